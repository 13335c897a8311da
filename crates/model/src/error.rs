/// What can go wrong in this crate, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value given by the caller breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The field or argument, as the caller knows it.
        field: String,
        /// The offending value.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// The device could not do the work.
    #[error("the device failed while it was asked to {action}")]
    Device {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Stored weights do not fit the model that they are meant for.
    #[error("weights do not fit the model: {detail}")]
    Weights {
        /// Which tensors, and how they differ.
        detail: String,
    },
    /// A contract of the core crate failed.
    #[error(transparent)]
    Core(#[from] tapeloom_core::Error),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, value: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
