//! Bayesian optimisation with a Gaussian process.

mod acquire;
mod data;
mod model;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use self::acquire::Acquisition;
use self::data::Data;
use self::model::{Gp as Process, Hyper};
use super::cube::Cube;
use super::{Proposal, Request, Sampler, sobol};
use crate::samplers::tpe::axis::Axis;
use crate::{History, Result};

/// Proposes where a Gaussian process expects the most improvement: for few, expensive trials of up to about twenty parameters
/// without conditions.
///
/// Matérn 5/2 kernel, most likely lengths under weak beliefs, logarithm of the expected improvement (Ament and others,
/// "Unexpected improvements to expected improvement", NeurIPS 2023) maximised from many starts. Trials that run count with the
/// value that is expected of them, so workers spread. Constraints multiply in the chance to keep them. Several objectives are
/// scalarised with weights that change from trial to trial (Knowles, "ParEGO", 2006). Conditional parameters are drawn at random.
#[derive(Debug, Default)]
pub struct Gp {
    /// Shapes of kernels by what they were fitted to.
    fitted: Mutex<Fitted>,
}

/// By history, then by (which target, number of trials).
#[derive(Debug, Default)]
struct Fitted {
    history: Option<Arc<()>>,
    cube: Option<Cube>,
    hypers: BTreeMap<(usize, usize), Hyper>,
}

/// Trials that are spread evenly first.
const STARTUP: usize = 10;

impl Gp {
    /// A kernel's shape is found anew whenever a tenth more trials are known, from those trials alone, so that it follows from
    /// the history and not from when it was asked.
    fn hyper(&self, request: &Request<'_>, cube: &Cube, data: &Data, target: usize) -> Hyper {
        let count = milestone(data.points.len());
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = fitted.history.as_ref().is_some_and(|identity| request.history.is(identity));
        if !known || fitted.cube.as_ref() != Some(cube) {
            *fitted =
                Fitted { history: Some(request.history.identity()), cube: Some(cube.clone()), ..Fitted::default() };
        }
        // With several objectives the target is another one in each trial.
        let shared = request.history.directions().len() == 1 || target > 0;
        if let Some(hyper) = fitted.hypers.get(&(target, count)).filter(|_| shared && data.settled) {
            return hyper.clone();
        }
        let choices = cube.parameters.iter().map(|(_, _, axis)| matches!(axis, Axis::Choices(_))).collect();
        let targets = data::standardised(&data.targets[target][..count]);
        let hyper = Hyper::new(choices).fit(&data.points[..count], &targets);
        if shared && data.settled {
            fitted.hypers.insert((target, count), hyper.clone());
        }
        hyper
    }
}

impl Sampler for Gp {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        let cube = Cube::of(request.history);
        let other = |name: &str, domain: &crate::Domain| Ok(domain.sample(&mut request.draws(name)));
        let data = Data::of(request, &cube);
        if cube.len() == 0 || data.points.len() < STARTUP {
            let point = sobol::point(request.history.header().seed, request.trial, cube.len());
            return Ok(Some(Proposal::new(cube.params(request, &point, other)?, "sobol, to start with")));
        }
        let mut processes = Vec::new();
        for target in 0..data.targets.len() {
            let hyper = self.hyper(request, &cube, &data, target);
            let targets = data::standardised(&data.targets[target]);
            processes
                .extend(Process::new(&hyper, data.points.clone(), &targets).map(|process| (hyper, process, targets)));
        }
        let acquisition = Acquisition::new(processes, &data);
        let point = acquisition.best(request, &cube, &data);
        let by = format!("gp, from {} trials", data.points.len());
        Ok(Some(Proposal::new(cube.params(request, &point, other)?, by)))
    }

    fn identity(&self) -> String {
        "gp".into()
    }

    fn is_slow(&self, history: &History) -> bool {
        history.trials().len() > 30
    }
}

/// The largest number of a ladder whose rungs are a tenth apart that is not above `count`.
fn milestone(count: usize) -> usize {
    let mut rung = STARTUP;
    while rung + (rung / 10).max(1) <= count {
        rung += (rung / 10).max(1);
    }
    rung.min(count)
}
