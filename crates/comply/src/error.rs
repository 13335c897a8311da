/// What can go wrong before a rule is evaluated. A rule that fails is no error but a finding.
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
    /// The audit log does not prove what it holds.
    #[error("the audit log is no evidence")]
    Evidence(#[from] tapeloom_seal::Error),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
