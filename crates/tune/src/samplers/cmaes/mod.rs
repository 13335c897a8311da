//! The covariance matrix adaptation evolution strategy.

mod state;

use std::sync::{Arc, Mutex, PoisonError};

use self::state::State;
use super::cube::Cube;
use super::{Proposal, Request, Sampler, Tpe};
use crate::samplers::tpe::axis::{Axis, Interval};
use crate::{Domain, Error, ParamValue, Result, Space};

/// CMA-ES: for many cheap trials of numeric parameters, several hundred and more, and for valleys that do not run along an axis.
///
/// A generation goes on when enough of its trials are complete. With restarts, and a margin that keeps whole numbers from
/// getting stuck. Categorical and conditional parameters, which it does not know, are proposed by [`Tpe`].
#[derive(Debug, Default)]
pub struct CmaEs {
    tpe: Tpe,
    cache: Mutex<Option<Cache>>,
}

/// A state, and which trials made it.
#[derive(Debug)]
struct Cache {
    history: Arc<()>,
    cube: Cube,
    generations: Vec<Vec<u64>>,
    state: State,
}

impl CmaEs {
    /// The state after all generations that are complete.
    fn state(&self, request: &Request<'_>, cube: &Cube) -> State {
        let history = request.history;
        let half_step = |(_, domain, axis): &(String, Domain, Axis)| match axis {
            Axis::Interval(Interval { step: Some(_), .. }) => domain.cardinality().map(|count| 0.5 / count as f64),
            _ => None,
        };
        // Trials with a loss, by the generation that drew them.
        let mut told: Vec<Vec<u64>> = Vec::new();
        for trial in history.trials().iter().filter(|trial| trial.value().is_some()) {
            let generation = trial.by.strip_prefix("cmaes, generation ").and_then(|rest| rest.parse::<usize>().ok());
            if let Some(generation) = generation.filter(|_| cube.point(&trial.params).is_some()) {
                told.resize(told.len().max(generation + 1), Vec::new());
                told[generation].push(trial.number);
            }
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = cache.as_ref().is_some_and(|cache| {
            history.is(&cache.history) && cache.cube == *cube && told.starts_with(&cache.generations)
        });
        if !usable {
            let steps = cube.parameters.iter().map(half_step).collect();
            let state = State::new(steps, history.header().seed, None);
            *cache = Some(Cache { history: history.identity(), cube: cube.clone(), generations: Vec::new(), state });
        }
        let Some(Cache { generations, state, .. }) = &mut *cache else { unreachable!("it was made right before") };
        for numbers in &told[generations.len()..] {
            if numbers.len() < state.size {
                break;
            }
            let known = numbers.iter().filter_map(|number| {
                let trial = history.trial(*number).ok()?;
                let violation = trial.violation().unwrap_or(0.0);
                // What breaks a constraint is worse than all that does not.
                let loss = if violation > 0.0 { 1e100 * (1.0 + violation) } else { history.loss(trial.value()?) };
                Some((loss, cube.point(&trial.params)?))
            });
            state.tell(known.collect());
            generations.push(numbers.clone());
        }
        state.clone()
    }
}

impl Sampler for CmaEs {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        let cube = Cube::of(request.history).numeric();
        if cube.len() == 0 {
            return self.tpe.propose(request);
        }
        let state = self.state(request, &cube);
        let point = state.sample(&mut request.draws("cmaes"));
        let rest = self.tpe.propose(request)?.map(|proposal| proposal.params).unwrap_or_default();
        let params = cube.params(request, &point, |name, domain| match rest.value(name) {
            Some(value) => Ok(value.clone()),
            None => Ok(domain.sample(&mut request.draws(name))),
        })?;
        Ok(Some(Proposal::new(params, format!("cmaes, generation {}", state.generation))))
    }

    fn suggest(&self, request: &Request<'_>, name: &str, domain: &Domain) -> Result<ParamValue> {
        self.tpe.suggest(request, name, domain)
    }

    fn identity(&self) -> String {
        "cmaes".into()
    }

    fn check(&self, _: Option<&Space>, objectives: usize) -> Result<()> {
        if objectives == 1 {
            return Ok(());
        }
        Err(Error::invalid("sampler", "cmaes", "it knows one objective; for several use `Nsga2`, `Tpe` or `Gp`"))
    }
}
