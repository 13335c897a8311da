//! Where the log of a study rests.

mod journal;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod presence;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use journal::{Journal, JournalBuilder};
pub use memory::Memory;
#[cfg(feature = "postgres")]
pub use postgres::{Postgres, PostgresBuilder};
#[cfg(feature = "sqlite")]
pub use sqlite::{Sqlite, SqliteBuilder};

use crate::{Entry, Result};

/// The log of one study, and who works on it.
///
/// All entries of a study have one order, the same for every reader; a position in it is how many entries came before. What
/// a worker may do (take a trial, tell a result) is decided by the study from the entries themselves, inside
/// [`Storage::transact`], so a storage knows nothing of trials. Each provider runs
/// [`contract::storage`](crate::contract::storage).
pub trait Storage: Send + Sync + fmt::Debug {
    /// Names it in errors, such as the path of a file.
    fn name(&self) -> String;

    /// The entries from position `after` on. Does not wait for writers.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) and [`Error::Damaged`](crate::Error::Damaged).
    fn read(&self, after: u64) -> Result<Vec<Arc<Entry>>>;

    /// Shows `decide` the entries from position `after` on, and appends what it returns, all of it or nothing, while nobody
    /// else writes. What was appended is durable on return, and returned. An error of `decide` comes back as it is and appends
    /// nothing; so does any other error, unless the outcome is not known, which the error then says.
    ///
    /// `decide` may be called again, with the entries since its last call, when others wrote in between.
    ///
    /// # Errors
    /// Those of `decide`, [`Error::Storage`](crate::Error::Storage) and [`Error::Damaged`](crate::Error::Damaged).
    fn transact(&self, after: u64, decide: &mut Decide<'_>) -> Result<Vec<Arc<Entry>>>;

    /// A new worker, present from now on, by a number that no other worker of the study has or had.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    fn join(&self) -> Result<u64>;

    /// Keeps a worker present. Called every [`Storage::beat_every`] by the study, if there is such a time.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    fn beat(&self, worker: u64) -> Result<()>;

    /// How often a worker has to say that it is there; none when its presence shows without.
    fn beat_every(&self) -> Option<Duration>;

    /// Ends a worker's presence.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    fn leave(&self, worker: u64) -> Result<()>;

    /// Those of `workers` that are no longer present: they left, were killed, or did not say for too long that they are there.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    fn gone(&self, workers: &[u64]) -> Result<Vec<u64>>;
}

/// Sees the entries that are new, and says what to append.
pub type Decide<'a> = dyn FnMut(&[Arc<Entry>]) -> Result<Vec<Entry>> + 'a;
