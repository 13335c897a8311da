use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Timestamp, exact, hash_words};

use crate::state::SharedState;
use crate::{Params, Result};

/// One set of parameters to try, as [`Study::ask`](crate::Study::ask) gives it out.
///
/// It may move to any thread. Dropping it leaves the trial running; its result goes to [`Study::tell`](crate::Study::tell).
#[derive(Clone, Debug)]
pub struct Trial {
    number: u64,
    params: Params,
    seed: u64,
    state: SharedState,
}

/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrialOutcome {
    /// The objective's value. One that is not finite counts as failed.
    Complete(f64),
    /// Why there is no value.
    Failed(String),
}

/// What a study knows about one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrialRecord {
    /// Counts from 0 in the order of asking.
    pub number: u64,
    /// What was tried.
    pub params: Params,
    /// How far it got.
    pub status: TrialStatus,
    /// Step to value, as reported on the way; NaN and infinities are kept.
    #[serde(with = "exact::map")]
    pub reports: BTreeMap<u64, f64>,
    /// How often it was given out; above 1 when the process ended while it ran.
    pub attempts: u32,
    /// When it was last given out.
    pub started: Timestamp,
    /// When its result came; absent while it runs.
    pub finished: Option<Timestamp>,
}

/// How far a trial got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TrialStatus {
    /// Its result has not come.
    Running,
    /// It has a value.
    Complete {
        /// The objective's value, finite.
        #[serde(with = "exact")]
        value: f64,
    },
    /// It has none.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Trial {
    pub(crate) fn new(record: &TrialRecord, study_seed: u64, state: SharedState) -> Self {
        let seed = hash_words(&[study_seed, record.number]);
        Self { number: record.number, params: record.params.clone(), seed, state }
    }

    /// Keeps an intermediate value, such as the validation loss after an epoch. Any value will do, NaN too.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning) after the result was told, and
    /// [`Error::Invalid`](crate::Error::Invalid) for a step that was reported before.
    pub fn report(&self, step: u64, value: f64) -> Result<()> {
        self.state.lock().report(self.number, step, value)
    }

    /// Counts from 0 in the study.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What to try.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// A seed for what the trial does itself, such as drawing first weights: another one for each trial of a study.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}

impl TrialRecord {
    /// The objective's value, if the trial is complete.
    #[must_use]
    pub const fn value(&self) -> Option<f64> {
        match self.status {
            TrialStatus::Complete { value } => Some(value),
            _ => None,
        }
    }

    /// Wall time from the last asking to the result; absent while it runs.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.finished.map(|finished| finished.seconds_since(self.started))
    }
}

impl TrialStatus {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete { .. } => "complete",
            Self::Failed { .. } => "failed",
        }
    }
}

impl From<TrialOutcome> for TrialStatus {
    fn from(outcome: TrialOutcome) -> Self {
        match outcome {
            TrialOutcome::Complete(value) if value.is_finite() => Self::Complete { value },
            TrialOutcome::Complete(value) => Self::Failed { reason: format!("the objective is {value}, not finite") },
            TrialOutcome::Failed(reason) => Self::Failed { reason },
        }
    }
}
