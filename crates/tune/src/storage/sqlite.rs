use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::presence::Presence;
use super::{Decide, Storage};
use crate::{Entry, Error, Result};

/// A study in a SQLite file, which may hold several, for the processes of one host. Not for network file systems.
///
/// The log is the table `entry`, one row and one JSON text for each entry. Writers take turns from their first statement on
/// (`BEGIN IMMEDIATE`, and a queue of this process before it), so nobody ever meets a lock that he did not wait for; readers
/// see the last whole step and wait for nobody (write-ahead log).
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    name: String,
    study: i64,
    presence: Presence,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// Opens a [`Sqlite`] with other settings.
#[derive(Clone, Debug)]
pub struct SqliteBuilder {
    path: PathBuf,
    study: String,
    sync: bool,
    patience: Duration,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS study (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE IF NOT EXISTS entry (
        study INTEGER NOT NULL REFERENCES study (id),
        place INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (study, place)
    ) STRICT, WITHOUT ROWID;
";

impl Sqlite {
    /// Opens the study of this name in `path`, or starts it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the file can't be opened, or is no SQLite database.
    pub fn open(path: impl Into<PathBuf>, study: impl Into<String>) -> Result<Self> {
        Self::builder(path, study).open()
    }

    /// The same with other settings.
    #[must_use]
    pub fn builder(path: impl Into<PathBuf>, study: impl Into<String>) -> SqliteBuilder {
        SqliteBuilder { path: path.into(), study: study.into(), sync: true, patience: Duration::from_mins(1) }
    }

    /// The names of all studies in a file.
    ///
    /// # Errors
    /// [`Error::Storage`] when it can't be read.
    pub fn studies(path: impl Into<PathBuf>) -> Result<Vec<String>> {
        let builder = Self::builder(path, "");
        let connection = builder.connect()?;
        let names = || -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare("SELECT name FROM study ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        names().map_err(|e| builder.failed("list the studies in", e))
    }

    fn failed(&self, task: &str, error: rusqlite::Error) -> Error {
        Error::storage(format!("{task} {}", self.name()), error)
    }

    fn parse(&self, bodies: Vec<String>) -> Result<Vec<Arc<Entry>>> {
        let parse = |body: &String| serde_json::from_str(body).map(Arc::new);
        bodies.iter().map(|body| parse(body).map_err(|e| Error::damaged(self.name(), e))).collect()
    }

    fn bodies(&self, connection: &Connection, after: u64) -> rusqlite::Result<Vec<String>> {
        let query = "SELECT body FROM entry WHERE study = ?1 AND place >= ?2 ORDER BY place";
        let mut statement = connection.prepare(query)?;
        statement.query_map(params![self.study, after as i64], |row| row.get(0))?.collect()
    }

    fn append(&self, transaction: &Transaction<'_>, place: u64, entries: &[Entry]) -> rusqlite::Result<()> {
        let query = "INSERT INTO entry (study, place, body) VALUES (?1, ?2, ?3)";
        let mut statement = transaction.prepare(query)?;
        for (place, entry) in (place..).zip(entries) {
            let body = serde_json::to_string(entry).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
            statement.execute(params![self.study, place as i64, body])?;
        }
        Ok(())
    }
}

impl SqliteBuilder {
    /// Whether every step waits for the disk. Without, a killed process loses nothing, and a host that loses its power loses
    /// the last seconds.
    #[must_use]
    pub const fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// How long a writer waits for its turn; a minute by default.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// As [`Sqlite::open`].
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open(self) -> Result<Sqlite> {
        let (mut writer, reader) = (self.connect()?, self.connect()?);
        let mut begin = || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute("INSERT INTO study (name) VALUES (?1) ON CONFLICT DO NOTHING", [&self.study])?;
            let id = transaction.query_row("SELECT id FROM study WHERE name = ?1", [&self.study], |row| row.get(0))?;
            transaction.commit()?;
            Ok(id)
        };
        let study = begin().map_err(|e| self.failed("open", e))?;
        let presence = Presence::beside(&self.path)?;
        let (path, name) = (self.path, self.study);
        Ok(Sqlite { path, name, study, presence, writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    fn connect(&self) -> Result<Connection> {
        let connect = || {
            let connection = Connection::open(&self.path)?;
            connection.busy_timeout(self.patience)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", if self.sync { "FULL" } else { "OFF" })?;
            Ok(connection)
        };
        connect().map_err(|e| self.failed("open", e))
    }

    fn failed(&self, task: &str, error: rusqlite::Error) -> Error {
        Error::storage(format!("{task} {}", self.path.display()), error)
    }
}

impl Storage for Sqlite {
    fn name(&self) -> String {
        format!("study {:?} in {}", self.name, self.path.display())
    }

    fn read(&self, after: u64) -> Result<Vec<Arc<Entry>>> {
        let bodies = self.bodies(&lock(&self.reader), after).map_err(|e| self.failed("read", e))?;
        self.parse(bodies)
    }

    fn transact(&self, after: u64, decide: &mut Decide<'_>) -> Result<Vec<Arc<Entry>>> {
        let mut connection = lock(&self.writer);
        let begin = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        // Dropped without a commit, it is rolled back.
        let transaction = begin.map_err(|e| self.failed("write to", e))?;
        let seen = self.parse(self.bodies(&transaction, after).map_err(|e| self.failed("read", e))?)?;
        let appended = decide(&seen)?;
        if !appended.is_empty() {
            let written = self.append(&transaction, after + seen.len() as u64, &appended);
            written.and_then(|()| transaction.commit()).map_err(|e| self.failed("write to", e))?;
        }
        Ok(appended.into_iter().map(Arc::new).collect())
    }

    fn join(&self) -> Result<u64> {
        self.presence.join()
    }

    fn beat(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn beat_every(&self) -> Option<Duration> {
        None
    }

    fn leave(&self, worker: u64) -> Result<()> {
        self.presence.leave(worker);
        Ok(())
    }

    fn gone(&self, workers: &[u64]) -> Result<Vec<u64>> {
        self.presence.gone(workers)
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
