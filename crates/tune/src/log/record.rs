use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Timestamp, exact};

use super::entry::{exact_by_name, exact_list, exact_lists};
use crate::Params;

/// Which values of an objective are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Small ones, such as of a loss.
    #[default]
    Minimize,
    /// Large ones, such as of an information coefficient.
    Maximize,
}

impl Direction {
    /// The value with its sign turned so that smaller is better.
    #[must_use]
    pub const fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// What a study knows about one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrialRecord {
    /// Counts from 0 in the order of asking.
    pub number: u64,
    /// What was tried. Empty until a slow sampler has drawn it, or until the trial has named its parameters.
    pub params: Params,
    /// What the sampler drew ahead, for a trial that names its parameters as it runs.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub drawn: Params,
    /// How far it got.
    pub status: TrialStatus,
    /// Step to values, one for each objective, as reported on the way; NaN and infinities are kept.
    #[serde(with = "exact_lists")]
    pub reports: BTreeMap<u64, Vec<f64>>,
    /// Constraint to value; above zero is a violation.
    #[serde(default, with = "exact_by_name", skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, f64>,
    /// What pruners said against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgements: Vec<Judgement>,
    /// What the host wanted to remember.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// Where it can be taken up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// How often it was given out.
    pub attempts: u32,
    /// Who had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u64>,
    /// How many entries of the log the sampler knew when it chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Who chose the parameters, and why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Why earlier attempts came to nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<String>,
    /// When it was last given out, or added.
    pub started: Timestamp,
    /// When its result came; absent before.
    pub finished: Option<Timestamp>,
}

/// How far a trial got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TrialStatus {
    /// For a worker.
    Waiting,
    /// Its result has not come.
    Running,
    /// Until a pruner promotes it.
    Paused,
    /// It has a value for each objective.
    Complete {
        /// Finite or infinite, never NaN.
        #[serde(with = "exact_list")]
        values: Vec<f64>,
    },
    /// It was ended early; its reports tell how it went.
    Pruned {
        /// Why.
        reason: String,
    },
    /// It has no value.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Where a trial can be taken up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// In words of the host, such as the name of a checkpoint set.
    pub name: String,
    /// The last step in it.
    pub step: u64,
}

/// What a pruner said against a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The step it judged.
    pub step: u64,
    /// Why.
    pub reason: String,
    /// The trial ran on to tell whether the verdict was right.
    pub audited: bool,
    /// The final value that the trial was thought not to reach.
    #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
    pub bar: Option<f64>,
}

impl TrialRecord {
    pub(super) const fn new(number: u64, at: Timestamp) -> Self {
        Self {
            number,
            params: Params::new(),
            drawn: Params::new(),
            status: TrialStatus::Waiting,
            reports: BTreeMap::new(),
            constraints: BTreeMap::new(),
            judgements: Vec::new(),
            notes: BTreeMap::new(),
            checkpoint: None,
            attempts: 0,
            worker: None,
            seen: None,
            by: String::new(),
            returned: Vec::new(),
            started: at,
            finished: None,
        }
    }

    /// The values of the objectives, if the trial is complete.
    #[must_use]
    pub fn values(&self) -> Option<&[f64]> {
        match &self.status {
            TrialStatus::Complete { values } => Some(values),
            _ => None,
        }
    }

    /// The first objective's value, if the trial is complete.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.values().and_then(|values| values.first().copied())
    }

    /// Wall time from the last giving out to the result; absent before.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.finished.map(|finished| finished.seconds_since(self.started))
    }

    /// Complete, pruned or paused: it has something to say about its parameters.
    #[must_use]
    pub const fn is_evidence(&self) -> bool {
        matches!(self.status, TrialStatus::Complete { .. } | TrialStatus::Pruned { .. } | TrialStatus::Paused)
    }

    /// By how much it breaks its constraints, in all; none before any was told.
    #[must_use]
    pub fn violation(&self) -> Option<f64> {
        (!self.constraints.is_empty()).then(|| self.constraints.values().map(|value| value.max(0.0)).sum())
    }

    /// Its last step and what was reported there.
    #[must_use]
    pub fn last_report(&self) -> Option<(u64, &[f64])> {
        self.reports.last_key_value().map(|(step, values)| (*step, values.as_slice()))
    }
}

impl TrialStatus {
    /// In one word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Complete { .. } => "complete",
            Self::Pruned { .. } => "pruned",
            Self::Failed { .. } => "failed",
        }
    }

    /// Nothing more will happen.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Complete { .. } | Self::Pruned { .. } | Self::Failed { .. })
    }
}
