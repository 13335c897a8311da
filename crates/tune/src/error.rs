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
    /// The trial isn't waiting for a result; check the number, or drop the late result.
    #[error("trial {trial} is {state}, not running")]
    NotRunning {
        /// The trial's number.
        trial: u64,
        /// What it is instead.
        state: &'static str,
    },
    /// The snapshot was written by another version of the format; read it with the version that wrote it.
    #[error("{name} is a study snapshot of version {version}, this build reads version {supported}")]
    UnknownVersion {
        /// The snapshot's name in its store.
        name: String,
        /// What it says it is.
        version: u64,
        /// What this build writes and reads.
        supported: u64,
    },
    /// The snapshot is not what a study writes; restore it from an older copy.
    #[error("{name} is no usable study snapshot: {detail}")]
    Damaged {
        /// The snapshot's name in its store.
        name: String,
        /// Which check failed.
        detail: String,
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
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
