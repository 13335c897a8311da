use std::fmt;

use crate::{Direction, Draws, Parameter, Params, Result, Space, TrialRecord};

/// Proposes the parameters of trials.
///
/// A proposal is a function of the request alone: a sampler keeps no counter and no generator of its own, so that studies
/// can be replayed and resumed. Parameters are proposed whole, never one after the other while a trial runs.
pub trait Sampler: Send + Sync + fmt::Debug {
    /// The parameters of one trial, or none when there is nothing left to propose, now and for all later numbers.
    ///
    /// # Errors
    /// Whatever keeps the sampler from proposing.
    fn propose(&self, request: &Request<'_>) -> Result<Option<Params>>;

    /// Names the sampler and the settings that change what it proposes. A study resumes only with an equal one.
    fn identity(&self) -> String;

    /// Refuses a space that this sampler can't serve.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) that names what does not fit.
    fn check(&self, space: &Space) -> Result<()> {
        let _ = space;
        Ok(())
    }
}

/// What a sampler may know when it proposes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// What is searched.
    pub space: &'a Space,
    /// Of the study.
    pub seed: u64,
    /// The number of the trial that is proposed for, from 0.
    pub trial: u64,
    /// Which values are better.
    pub direction: Direction,
    /// All trials so far, running ones too, in the order of their numbers.
    pub trials: &'a [TrialRecord],
}

impl<'a> Request<'a> {
    /// A request before any trial has been told.
    #[must_use]
    pub const fn new(space: &'a Space, seed: u64, trial: u64) -> Self {
        Self { space, seed, trial, direction: Direction::Minimize, trials: &[] }
    }
}

/// Draws every parameter independently of all others and of all results. Never exhausted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Sampler for Random {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Params>> {
        let Request { space, seed, trial, .. } = *request;
        let draw = |parameter: &Parameter| parameter.domain().sample(&mut Draws::new(seed, trial, parameter.name()));
        space.fill(|parameter| Ok(draw(parameter))).map(Some)
    }

    fn identity(&self) -> String {
        "random".into()
    }
}
