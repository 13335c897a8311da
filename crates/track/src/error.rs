use std::net::SocketAddr;
use std::path::PathBuf;

/// What can go wrong around the observers, grouped by what the caller can do about it. Observing itself never fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The argument, as the caller knows it.
        field: String,
        /// The offending value, or what may be shown of it.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// A file is not an event log, or no longer one; restore it or write to another path.
    #[error("{} is not an event log at line {line}: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// 1 for the first.
        line: u64,
        /// What is wrong with it.
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
    /// The metrics endpoint can't have its address; choose another port, or 0 for any free one.
    #[error("could not listen on {address}: choose another port, or 0 for any free one")]
    Address {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The operating system gave no thread or no event queue.
    #[error("could not start {what}")]
    Spawn {
        /// What was to run there.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
