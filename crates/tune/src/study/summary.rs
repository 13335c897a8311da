use serde::{Deserialize, Serialize};

use super::StudyBuilder;
use crate::{Direction, History, TrialRecord};

/// A study in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Summary {
    /// Which values of each objective are better.
    pub directions: Vec<Direction>,
    /// Of the study.
    pub seed: u64,
    /// The sampler's identity.
    pub sampler: String,
    /// The pruner's identity.
    pub pruner: String,
    /// Trials in all. Say this number beside the best value: the more trials, the more of it is luck.
    pub trials: u64,
    /// Trials with a value.
    pub complete: u64,
    /// Trials that were ended early.
    pub pruned: u64,
    /// Trials that failed.
    pub failed: u64,
    /// Trials whose result has not come.
    pub running: u64,
    /// Trials that wait for a worker or a promotion.
    pub waiting: u64,
    /// The trial with the best first value, if one is complete.
    pub best: Option<TrialRecord>,
}

impl Summary {
    pub(super) fn of(history: &History, parts: &StudyBuilder) -> Self {
        Self {
            directions: parts.directions.clone(),
            seed: parts.seed,
            sampler: parts.sampler.identity(),
            pruner: parts.pruner.identity(),
            trials: history.trials().len() as u64,
            complete: history.count("complete"),
            pruned: history.count("pruned"),
            failed: history.count("failed"),
            running: history.running().len() as u64,
            waiting: (history.waiting().len() + history.paused().len()) as u64,
            best: history.best().cloned(),
        }
    }
}
