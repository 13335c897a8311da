/// What can go wrong when rules are applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of a policy breaks the law it stands under; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What to do instead, with the source of the rule.
        remedy: String,
    },
    /// The audit log can't be trusted or read.
    #[error(transparent)]
    Seal(#[from] tapeloom_seal::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
