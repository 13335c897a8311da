//! Who proposes what to try.

mod auto;
mod cmaes;
mod cube;
mod gp;
mod grid;
mod nsga;
mod random;
mod sobol;
mod tpe;

use std::fmt;

pub(crate) use self::cube::Cube;
pub(crate) use self::tpe::axis::Axis;
pub(crate) use self::tpe::split::reference;
pub use auto::Auto;
pub use cmaes::CmaEs;
pub use gp::Gp;
pub use grid::{Grid, GridBuilder};
pub use nsga::Nsga2;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::{Mode, Tpe, TpeConfig};

use crate::{Domain, Draws, History, ParamValue, Parameter, Params, Result, Space};

/// Proposes the parameters of trials.
///
/// A proposal is a function of the request alone. What a sampler keeps between calls is a cache of what it read from the
/// history: with it or without, in any order of results, it proposes the same. So studies can be replayed and resumed.
pub trait Sampler: Send + Sync + fmt::Debug {
    /// The parameters of one trial, or none when there is nothing left to propose, now and for all later numbers.
    ///
    /// For a declared space these are all active parameters. For a trial that names its parameters as it runs they are those
    /// that earlier trials named; what it does not name is dropped.
    ///
    /// # Errors
    /// Whatever keeps the sampler from proposing.
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>>;

    /// The value of one parameter that no proposal held.
    ///
    /// # Errors
    /// Whatever keeps the sampler from proposing.
    fn suggest(&self, request: &Request<'_>, name: &str, domain: &Domain) -> Result<ParamValue> {
        Ok(domain.sample(&mut request.draws(name)))
    }

    /// Names the sampler and the settings that change what it proposes.
    fn identity(&self) -> String;

    /// Refuses a study that this sampler can't serve: its space, if it has one, and its number of objectives.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) that names what does not fit.
    fn check(&self, space: Option<&Space>, objectives: usize) -> Result<()> {
        let _ = (space, objectives);
        Ok(())
    }

    /// Whether a proposal takes so long, say above 20 ms, that other workers should not wait for it. They then do not see
    /// it until it is drawn.
    fn is_slow(&self, history: &History) -> bool {
        let _ = history;
        false
    }
}

/// What a sampler proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Parameter to value.
    pub params: Params,
    /// Who chose, and why, in a few words.
    pub by: String,
}

/// What a sampler may know when it proposes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// What came of all trials so far.
    pub history: &'a History,
    /// The number of the trial that is proposed for, from 0.
    pub trial: u64,
}

impl<'a> Request<'a> {
    /// A request for trial number `trial`.
    #[must_use]
    pub const fn new(history: &'a History, trial: u64) -> Self {
        Self { history, trial }
    }

    /// The random numbers that `name` has in this trial.
    #[must_use]
    pub fn draws(&self, name: &str) -> Draws {
        Draws::new(self.history.header().seed, self.trial, name)
    }

    /// A value for each active parameter of a declared space, or for each parameter that earlier trials named.
    ///
    /// # Errors
    /// Whatever `pick` returns.
    pub fn fill(&self, mut pick: impl FnMut(&str, &Domain) -> Result<ParamValue>) -> Result<Params> {
        match &self.history.header().space {
            Some(space) => space.fill(|parameter: &Parameter| pick(parameter.name(), parameter.domain())),
            None => {
                let domains = self.history.domains().iter();
                domains.map(|(name, domain)| Ok((name.clone(), pick(name, domain)?))).collect()
            }
        }
    }
}

impl Proposal {
    /// A proposal and who made it.
    #[must_use]
    pub fn new(params: Params, by: impl Into<String>) -> Self {
        Self { params, by: by.into() }
    }
}
