use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Direction, Header, TrialRecord, TrialStatus};
use crate::{Domain, Error, Result, Space};

/// What one knows after reading the first entries of a study's log.
///
/// It is a fold over the log, so two readers of the same entries know the same, and a sampler that sees the history of a past
/// moment draws what it drew then.
#[derive(Clone, Debug)]
pub struct History {
    pub(super) header: Header,
    pub(super) entries: u64,
    pub(super) trials: Vec<TrialRecord>,
    /// Numbers of trials in the order in which what a sampler knows of them changed.
    pub(super) changes: Vec<u64>,
    pub(super) domains: BTreeMap<String, Domain>,
    pub(super) waiting: BTreeSet<u64>,
    pub(super) running: BTreeSet<u64>,
    pub(super) paused: BTreeSet<u64>,
    /// Tells one fold from another, so that a cache is not fed with the changes of another study.
    identity: Arc<()>,
}

impl History {
    /// What is known of a study that has just begun.
    #[must_use]
    pub fn new(header: Header) -> Self {
        let parameters = header.space.iter().flat_map(Space::parameters);
        let domains = parameters.map(|p| (p.name().to_owned(), p.domain().clone())).collect();
        Self {
            header,
            entries: 1,
            trials: Vec::new(),
            changes: Vec::new(),
            domains,
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            paused: BTreeSet::new(),
            identity: Arc::new(()),
        }
    }

    /// What the study is about.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How many entries were read.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// All trials in the order of their numbers.
    #[must_use]
    pub fn trials(&self) -> &[TrialRecord] {
        &self.trials
    }

    /// One trial.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number that was not given yet.
    pub fn trial(&self, number: u64) -> Result<&TrialRecord> {
        usize::try_from(number).ok().and_then(|number| self.trials.get(number)).ok_or_else(|| {
            Error::invalid("trial", number, format!("the study has {} trials, counted from 0", self.trials.len()))
        })
    }

    /// The range that each parameter was last drawn from.
    #[must_use]
    pub const fn domains(&self) -> &BTreeMap<String, Domain> {
        &self.domains
    }

    /// Numbers of trials in the order in which something that matters to a sampler changed: parameters or status.
    #[must_use]
    pub fn changes(&self) -> &[u64] {
        &self.changes
    }

    /// Trials that wait for a worker.
    #[must_use]
    pub const fn waiting(&self) -> &BTreeSet<u64> {
        &self.waiting
    }

    /// Trials that a worker has.
    #[must_use]
    pub const fn running(&self) -> &BTreeSet<u64> {
        &self.running
    }

    /// Trials that wait to be promoted.
    #[must_use]
    pub const fn paused(&self) -> &BTreeSet<u64> {
        &self.paused
    }

    /// Which values of each objective are better.
    #[must_use]
    pub fn directions(&self) -> &[Direction] {
        &self.header.directions
    }

    /// A value with its sign turned so that smaller is better, of the first objective.
    #[must_use]
    pub fn loss(&self, value: f64) -> f64 {
        self.header.directions.first().map_or(value, |direction| direction.loss(value))
    }

    /// The values with their signs turned so that smaller is better.
    #[must_use]
    pub fn losses(&self, values: &[f64]) -> Vec<f64> {
        self.header.directions.iter().zip(values).map(|(direction, value)| direction.loss(*value)).collect()
    }

    /// The complete trial with the best first value that breaks no constraint, the earlier one of equals.
    #[must_use]
    pub fn best(&self) -> Option<&TrialRecord> {
        let feasible = self.trials.iter().filter(|trial| trial.violation().is_none_or(|v| v <= 0.0));
        let complete = feasible.filter_map(|trial| trial.value().map(|value| (trial, self.loss(value))));
        complete.reduce(|a, b| if b.1 < a.1 { b } else { a }).map(|(trial, _)| trial)
    }

    /// Trials in a status with this [name](TrialStatus::name).
    #[must_use]
    pub fn count(&self, status: &str) -> u64 {
        self.trials.iter().filter(|trial| trial.status.name() == status).count() as u64
    }

    /// A copy that goes its own way: caches of samplers do not take it for the original.
    pub(crate) fn fork(&self) -> Self {
        Self { identity: Arc::new(()), ..self.clone() }
    }

    /// Whether this is the same fold as the one that gave `identity`.
    pub(crate) fn is(&self, identity: &Arc<()>) -> bool {
        Arc::ptr_eq(&self.identity, identity)
    }

    pub(crate) fn identity(&self) -> Arc<()> {
        self.identity.clone()
    }

    /// The trial, if `attempt` is the newest and runs.
    ///
    /// # Errors
    /// [`Error::Superseded`] or [`Error::NotRunning`].
    pub(crate) fn attempt(&self, number: u64, attempt: u32) -> Result<&TrialRecord> {
        let trial = usize::try_from(number).ok().and_then(|number| self.trials.get(number));
        let trial = trial.ok_or(Error::NotRunning { trial: number, state: "unknown" })?;
        if trial.attempts > attempt {
            return Err(Error::Superseded { trial: number, attempt, current: trial.attempts });
        }
        if trial.status != TrialStatus::Running || trial.attempts != attempt {
            return Err(Error::NotRunning { trial: number, state: trial.status.name() });
        }
        Ok(trial)
    }
}
