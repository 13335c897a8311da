use serde::{Deserialize, Serialize};

use crate::study::StudyBuilder;
use crate::{Direction, Error, Result, Space, TrialRecord, TrialStatus};

/// A study as it rests in a store: JSON, floats as text so that they come back to the bit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    format: String,
    version: u64,
    direction: Direction,
    seed: u64,
    sampler: String,
    space: Space,
    trials: Vec<TrialRecord>,
}

/// What every version of the format starts with.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
}

impl Snapshot {
    const FORMAT: &'static str = "tapeloom-study";
    const VERSION: u64 = 1;

    pub(crate) fn of(parts: &StudyBuilder, trials: Vec<TrialRecord>) -> Self {
        Self {
            format: Self::FORMAT.into(),
            version: Self::VERSION,
            direction: parts.direction,
            seed: parts.seed,
            sampler: parts.sampler.identity(),
            space: parts.space.clone(),
            trials,
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)
            .map_err(|e| tapeloom_core::Error::provider("could not write the study", e))?)
    }

    /// Reads the header first, so that a newer format is told from a damaged one.
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |detail: String| Error::Damaged { name: name.into(), detail };
        let header: Header = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if header.format != Self::FORMAT {
            return Err(damaged(format!("its format is {:?}, not {:?}", header.format, Self::FORMAT)));
        }
        if header.version != Self::VERSION {
            let (version, supported) = (header.version, Self::VERSION);
            return Err(Error::UnknownVersion { name: name.into(), version, supported });
        }
        serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))
    }

    /// The trials, if they are those of the study that `parts` make.
    pub(crate) fn trials_of(self, name: &str, parts: &StudyBuilder) -> Result<Vec<TrialRecord>> {
        let same = |field: &str, ours: &dyn ToString, theirs: &dyn ToString| {
            let (ours, theirs) = (ours.to_string(), theirs.to_string());
            let remedy = || format!("{name} was made with {theirs}; resume with the same, or start a new study");
            if ours == theirs { Ok(()) } else { Err(Error::invalid(field, &ours, remedy())) }
        };
        same("seed", &parts.seed, &self.seed)?;
        same("direction", &format!("{:?}", parts.direction), &format!("{:?}", self.direction))?;
        same("sampler", &parts.sampler.identity(), &self.sampler)?;
        if parts.space != self.space {
            let remedy = format!("{name} was made over another space; resume with the same, or start a new study");
            return Err(Error::invalid("space", format!("{} parameters", parts.space.parameters().len()), remedy));
        }
        let damaged = |trial: &TrialRecord, what: &dyn ToString| {
            Err(Error::Damaged { name: name.into(), detail: format!("trial {}: {}", trial.number, what.to_string()) })
        };
        for (number, trial) in self.trials.iter().enumerate() {
            if trial.number != number as u64 {
                return damaged(trial, &format!("it stands in place {number}"));
            }
            if (trial.status == TrialStatus::Running) == trial.finished.is_some() {
                return damaged(trial, &"it has an end if and only if it does not run");
            }
            if trial.value().is_some_and(|value| !value.is_finite()) {
                return damaged(trial, &"its value is not finite");
            }
            if let Err(error) = self.space.check(&trial.params) {
                return damaged(trial, &error);
            }
        }
        Ok(self.trials)
    }
}
