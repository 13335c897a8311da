use std::path::PathBuf;

/// What can go wrong when bytes are made safe, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key is no key; make one with `Key::generate` or give the right file.
    #[error("{}: {problem}", path.display())]
    BadKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes were sealed with another key; give that one.
    #[error("{name} was sealed with key {sealed_with}, this is key {given}")]
    WrongKey {
        /// The blob.
        name: String,
        /// Id of the key that sealed it.
        sealed_with: String,
        /// Id of the key at hand.
        given: String,
    },
    /// The bytes are not what was sealed: damaged, cut, or moved from another name. Restore them.
    #[error("{name} is damaged: {detail}")]
    Damaged {
        /// The blob.
        name: String,
        /// Which check failed.
        detail: String,
    },
    /// The audit log was changed after it was written, or is torn.
    #[error("{} line {line}: {detail}", path.display())]
    Tampered {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Which check failed.
        detail: String,
    },
    /// Somebody else writes this log; each log has one writer.
    #[error("{} is in use by another writer", path.display())]
    Locked {
        /// The log.
        path: PathBuf,
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
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    pub(crate) fn damaged(name: &str, detail: impl Into<String>) -> Self {
        Self::Damaged { name: name.to_owned(), detail: detail.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// As the core contracts want it: damage stays damage, the rest is a provider's failure.
impl From<Error> for tapeloom_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Damaged { name, detail } => Self::Corrupt { name, detail },
            Error::WrongKey { ref name, .. } => Self::Corrupt { name: name.clone(), detail: error.to_string() },
            Error::Io { action, path, source } => Self::Io { action, path, source },
            other => Self::provider(other.to_string(), other),
        }
    }
}
