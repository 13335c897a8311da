/// What can go wrong in a study, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value given by the caller breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The parameter, setting or argument.
        field: String,
        /// The offending value.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// The sampler has nothing left to propose; the study is done.
    #[error("the sampler has nothing left to propose after {trials} trials")]
    Exhausted {
        /// Trials asked for so far.
        trials: u64,
    },
    /// The trials of an ordered study's batch are not all told; tell them, or ask again later.
    #[error("{running} trials of the batch are not told yet")]
    BatchRuns {
        /// How many.
        running: usize,
    },
    /// The trial isn't waiting for a result; check the number, or drop the late result.
    #[error("trial {trial} is {state}, not running")]
    NotRunning {
        /// The trial's number.
        trial: u64,
        /// What it is instead.
        state: &'static str,
    },
    /// The trial was given to somebody else in the meantime; drop what this attempt found.
    #[error("attempt {attempt} of trial {trial} was superseded by attempt {current}; drop its result")]
    Superseded {
        /// The trial's number.
        trial: u64,
        /// The attempt that came late.
        attempt: u32,
        /// The attempt that counts.
        current: u32,
    },
    /// The study was written by a newer version of the format; use at least the version that wrote it.
    #[error("{name} holds version {version} of the study format, this build reads up to {supported}")]
    UnknownVersion {
        /// The study's storage.
        name: String,
        /// What it says it is.
        version: u64,
        /// What this build writes and reads.
        supported: u64,
    },
    /// The stored study is not what a study writes; restore it from an older copy.
    #[error("{name} is no usable study: {detail}")]
    Damaged {
        /// The study's storage.
        name: String,
        /// Which check failed.
        detail: String,
    },
    /// A storage failed to do something; nothing of that step was stored. Try again, or mend the storage.
    #[error("could not {task}")]
    Storage {
        /// What was being done.
        task: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A store failed.
    #[error(transparent)]
    Core(#[from] tapeloom_core::Error),
}

impl Error {
    /// An [`Error::Invalid`] that names field, value and remedy.
    pub fn invalid(field: impl Into<String>, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }

    /// An [`Error::Storage`] with what was being done, such as "write the journal".
    pub fn storage(task: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage { task: task.into(), source: source.into() }
    }

    pub(crate) fn damaged(name: impl Into<String>, detail: impl ToString) -> Self {
        Self::Damaged { name: name.into(), detail: detail.to_string() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
