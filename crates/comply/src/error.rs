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
    /// No role of the actor allows this.
    #[error("{actor:?} may not {operation:?} in tenant {tenant:?}: a role that allows it has to be granted")]
    Refused {
        /// Who asked.
        actor: String,
        /// For what.
        operation: String,
        /// In which tenant.
        tenant: String,
    },
    /// A store or the ledger failed; nothing was done that is not on record.
    #[error("a store or the ledger failed")]
    Provider(#[from] tapeloom_core::Error),
    /// The audit log does not prove what it holds, or a key or sealed file was refused.
    #[error("the audit log, a key or a sealed file was refused")]
    Evidence(#[from] tapeloom_seal::Error),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
