use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Timestamp, exact};

use super::{Direction, TrialStatus};
use crate::{Domain, ParamValue, Params, Space};

/// What a study is about: the first entry of its log, never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Header {
    /// Of the format; see `docs/format/study-log.md`.
    pub version: u64,
    /// One for each objective.
    pub directions: Vec<Direction>,
    /// Decides all draws.
    pub seed: u64,
    /// What is searched; absent when trials name their parameters as they run.
    pub space: Option<Space>,
}

impl Header {
    /// The version that this build writes, and the newest that it reads.
    pub const VERSION: u64 = 1;

    /// A header of this build's version.
    #[must_use]
    pub const fn new(directions: Vec<Direction>, seed: u64, space: Option<Space>) -> Self {
        Self { version: Self::VERSION, directions, seed, space }
    }
}

/// One fact of a study. Trials are numbered in the order of their [`Entry::Added`].
///
/// An entry that names an attempt counts only while that attempt is the trial's newest and runs; otherwise every reader
/// ignores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Entry {
    /// The study begins.
    Created(Header),
    /// A trial that waits for a worker.
    Added {
        /// What to try; absent until a slow sampler has drawn it.
        params: Option<Params>,
        /// How many entries the sampler knew; absent when a person chose the parameters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<u64>,
        /// Who chose, and why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A worker took a waiting or paused trial, or one whose worker is gone.
    Claimed {
        /// Its number.
        trial: u64,
        /// Who has it now.
        worker: u64,
        /// When.
        at: Timestamp,
    },
    /// Parameters of a trial that was added without.
    Drawn {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// What to try.
        params: Params,
        /// How many entries the sampler knew.
        seen: u64,
        /// Who chose, and why.
        by: String,
    },
    /// A parameter that the trial named as it ran.
    Suggested {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// The parameter.
        name: String,
        /// What the trial uses.
        value: ParamValue,
        /// Present when the study has not seen this range under this name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<Domain>,
        /// How many entries the sampler knew; absent when the value was drawn ahead with the others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<u64>,
    },
    /// Intermediate values, one for each objective.
    Reported {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// Such as an epoch or a fold.
        step: u64,
        /// NaN and infinities are kept.
        #[serde(with = "exact_list")]
        values: Vec<f64>,
    },
    /// A pruner spoke against the trial.
    Judged {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// The step it judged.
        step: u64,
        /// Why.
        reason: String,
        /// The trial runs on to tell whether the verdict was right.
        audited: bool,
        /// The final value that the trial was thought not to reach, if the pruner says one.
        #[serde(default, with = "exact::option", skip_serializing_if = "Option::is_none")]
        bar: Option<f64>,
    },
    /// A constraint's value; above zero is a violation.
    Constrained {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// The constraint.
        name: String,
        /// Not NaN.
        #[serde(with = "exact")]
        value: f64,
    },
    /// Something the host wants to remember about a trial.
    Noted {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// What about.
        key: String,
        /// What.
        value: String,
    },
    /// Where the trial can be taken up again.
    Saved {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// Names the checkpoint, in words of the host.
        checkpoint: String,
        /// The last step in it.
        step: u64,
    },
    /// The trial waits for a pruner to promote it.
    Paused {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// The attempt came to nothing, and the trial waits for another one.
    Returned {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The trial is over.
    Finished {
        /// Its number.
        trial: u64,
        /// Which attempt.
        attempt: u32,
        /// How it ended; never waiting, running or paused.
        status: TrialStatus,
        /// When.
        at: Timestamp,
    },
}

/// Floats of a list as text, so that they come back to the bit.
pub(super) mod exact_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tapeloom_core::exact;

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "exact")] f64);

    pub(crate) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| Exact(*value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Exact>::deserialize(deserializer)?.into_iter().map(|Exact(value)| value).collect())
    }
}

/// The same for the lists of a map.
pub(super) mod exact_lists {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::BTreeMap;

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "super::exact_list")] Vec<f64>);

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<u64, Vec<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, values)| (key, Exact(values.clone()))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u64, Vec<f64>>, D::Error> {
        let map = BTreeMap::<u64, Exact>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, Exact(values))| (key, values)).collect())
    }
}

/// The same for the values of a map by name.
pub(super) mod exact_by_name {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use tapeloom_core::exact;

    use super::BTreeMap;

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "exact")] f64);

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, value)| (key, Exact(*value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let map = BTreeMap::<String, Exact>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, Exact(value))| (key, value)).collect())
    }
}
