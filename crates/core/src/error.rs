use std::path::PathBuf;

/// What can go wrong in the contracts, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value given by the caller breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The field or argument, as the caller knows it.
        field: String,
        /// The offending value, shortened where it is long.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// The named blob does not exist.
    #[error("no blob named {name}")]
    NotFound {
        /// The name that was asked for.
        name: String,
    },
    /// Another process writes there; wait for it, or choose another place.
    #[error("{} is in use by another process: wait until it ends, or give another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Stored bytes are not what was written; restore them or fall back to an older copy.
    #[error("{name} is damaged: {detail}")]
    Corrupt {
        /// The blob, file or record.
        name: String,
        /// Which check failed.
        detail: String,
    },
    /// The operating system refused; the path says where.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A provider of a contract failed for a reason of its own.
    #[error("{what}")]
    Provider {
        /// What failed.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// An [`Error::Invalid`] that names field, value and remedy.
    pub fn invalid(field: impl Into<String>, value: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }

    /// An [`Error::Io`] on `path`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    /// An [`Error::Provider`] around any other error.
    pub fn provider(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Provider { what: what.into(), source: source.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
