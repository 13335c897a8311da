use std::time::Duration;

/// What can go wrong between ranks. Every rank of a group sees the same error, so that none is left waiting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument breaks a rule; fix the argument.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The argument.
        field: &'static str,
        /// Its value.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// Some ranks did not come in time; look at their logs, or raise the deadline.
    #[error("{operation} timed out after {deadline:?}, still missing ranks {missing:?}")]
    TimedOut {
        /// The collective call.
        operation: &'static str,
        /// Ranks that never came.
        missing: Vec<usize>,
        /// The deadline.
        deadline: Duration,
    },
    /// A rank ended while others waited for it; restart from the last checkpoint.
    #[error("{operation} can't complete, ranks {ranks:?} are gone")]
    PeerGone {
        /// The collective call.
        operation: &'static str,
        /// Ranks that ended.
        ranks: Vec<usize>,
    },
    /// A rank gave up and said why.
    #[error("rank {rank} aborted the group: {reason}")]
    Aborted {
        /// The rank that gave up.
        rank: usize,
        /// Its reason.
        reason: String,
    },
    /// Ranks called different things; all ranks must make the same calls in the same order with buffers of one length.
    #[error("rank {rank} called {found} while others called {expected}")]
    Mismatch {
        /// The rank that differed.
        rank: usize,
        /// Its call.
        found: String,
        /// The call of those before it.
        expected: String,
    },
    /// Rank 0 was not found, or did not answer; look whether it runs, and whether the network lets the ports through.
    #[error("rank 0 could not be reached at {address} within {deadline:?}: {reason}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// How long it was looked for.
        deadline: Duration,
        /// What came of the last try.
        reason: String,
    },
    /// Rank 0 turned this rank away; start every rank once, with the same world.
    #[error("rank {rank} was refused by rank 0: {reason}")]
    Refused {
        /// This rank.
        rank: usize,
        /// Why.
        reason: String,
    },
    /// The system refused something.
    #[error("{action} failed: {reason}")]
    System {
        /// What was tried.
        action: String,
        /// What the system says.
        reason: String,
    },
}

impl Error {
    pub(crate) fn invalid(field: &'static str, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self::Invalid { field, value: value.to_string(), remedy: remedy.into() }
    }

    pub(crate) fn system(action: impl Into<String>, reason: impl ToString) -> Self {
        Self::System { action: action.into(), reason: reason.to_string() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
