use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postgres::{Client, NoTls, Row};

use super::{Decide, Storage};
use crate::{Entry, Error, Result};

/// A study in a PostgreSQL database, for workers on many hosts.
///
/// The log is the table `tapeloom_entry`, one row and one JSON text for each entry. A step locks the row of its study, so
/// that steps of one study have one order that all readers see, and steps of different studies do not wait for each other. A
/// worker says that it is there four times in each lease; who is gone is decided by the clock of the database alone.
///
/// The connection is not encrypted. Reach a database on another host through a tunnel or a proxy that is.
pub struct Postgres {
    name: String,
    study: i64,
    lease: Duration,
    connection: Connection,
    /// Heartbeats do not wait for a step.
    heart: Connection,
}

/// Opens a [`Postgres`] with other settings.
#[derive(Clone)]
pub struct PostgresBuilder {
    config: String,
    study: String,
    lease: Duration,
}

/// A client that is connected anew when it was cut off.
struct Connection {
    config: String,
    client: Mutex<Option<Client>>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS tapeloom_study (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name TEXT NOT NULL UNIQUE,
        entries BIGINT NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS tapeloom_entry (
        study BIGINT NOT NULL REFERENCES tapeloom_study, place BIGINT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (study, place)
    );
    CREATE TABLE IF NOT EXISTS tapeloom_worker (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, study BIGINT NOT NULL REFERENCES tapeloom_study,
        lease_until TIMESTAMPTZ NOT NULL
    );
";
/// Two programs that make the tables at once would get in each other's way.
const SCHEMA_LOCK: i64 = 0x7461_7065_6c6f_6f6d;
const READ: &str = "SELECT body FROM tapeloom_entry WHERE study = $1 AND place >= $2 ORDER BY place";

impl Postgres {
    /// Opens the study of this name, or starts it. `config` is a URL or a list of keys and values, as `libpq` takes it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the database can't be reached.
    pub fn open(config: impl Into<String>, study: impl Into<String>) -> Result<Self> {
        Self::builder(config, study).open()
    }

    /// The same with other settings.
    #[must_use]
    pub fn builder(config: impl Into<String>, study: impl Into<String>) -> PostgresBuilder {
        PostgresBuilder { config: config.into(), study: study.into(), lease: Duration::from_secs(60) }
    }

    fn failed(&self, task: &str, error: postgres::Error) -> Error {
        Error::storage(format!("{task} {}", self.name()), error)
    }

    fn parse(&self, rows: &[Row]) -> Result<Vec<Arc<Entry>>> {
        let damaged = |e: &dyn fmt::Display| Error::damaged(self.name(), e.to_string());
        let parse = |row: &Row| {
            let body: &str = row.try_get(0).map_err(|e| damaged(&e))?;
            serde_json::from_str(body).map(Arc::new).map_err(|e| damaged(&e))
        };
        rows.iter().map(parse).collect()
    }

    /// One step. Leaves in `committing` where it stands and what is in it when the outcome is about to be decided.
    fn step(
        &self,
        client: &mut Client,
        after: u64,
        decide: &mut Decide<'_>,
        committing: &mut Option<(i64, Vec<String>)>,
    ) -> Result<Vec<Arc<Entry>>> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = client.transaction().map_err(failed)?;
        let lock = "SELECT entries FROM tapeloom_study WHERE id = $1 FOR UPDATE";
        let row = transaction.query_one(lock, &[&self.study]).map_err(failed)?;
        let entries: i64 = row.get(0);
        let seen = if entries > after as i64 {
            self.parse(&transaction.query(READ, &[&self.study, &(after as i64)]).map_err(failed)?)?
        } else {
            Vec::new()
        };
        let appended = decide(&seen)?;
        if appended.is_empty() {
            return Ok(Vec::new());
        }
        let bodies = appended.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        let bodies = bodies.map_err(|e| Error::storage("write a step of the study", e))?;
        let insert =
            "WITH step AS (UPDATE tapeloom_study SET entries = $2::bigint + cardinality($3::text[]) WHERE id = $1)
            INSERT INTO tapeloom_entry (study, place, body)
            SELECT $1, $2::bigint + number - 1, body FROM unnest($3::text[]) WITH ORDINALITY AS new (body, number)";
        transaction.execute(insert, &[&self.study, &entries, &bodies]).map_err(failed)?;
        *committing = Some((entries, bodies));
        transaction.commit().map_err(failed)?;
        Ok(appended.into_iter().map(Arc::new).collect())
    }
}

impl PostgresBuilder {
    /// After how long a worker that did not say that it is there counts as gone; a minute by default. Trials may take much
    /// longer: a thread of the study says it.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// As [`Postgres::open`].
    ///
    /// # Errors
    /// As [`Postgres::open`], and [`Error::Invalid`] for a lease below a second.
    pub fn open(self) -> Result<Postgres> {
        let Self { config, study, lease } = self;
        if lease < Duration::from_secs(1) {
            return Err(Error::invalid("lease", format!("{lease:?}"), "give at least a second"));
        }
        let connection = Connection::new(&config);
        let id = connection.with(|client| {
            let mut transaction = client.transaction()?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])?;
            transaction.batch_execute(SCHEMA)?;
            transaction.execute("INSERT INTO tapeloom_study (name) VALUES ($1) ON CONFLICT DO NOTHING", &[&study])?;
            let id = transaction.query_one("SELECT id FROM tapeloom_study WHERE name = $1", &[&study])?.get(0);
            transaction.commit()?;
            Ok(id)
        });
        let id = id.map_err(|e| Error::storage(format!("open study {study:?} in PostgreSQL"), e))?;
        Ok(Postgres { name: study, study: id, lease, heart: Connection::new(&config), connection })
    }
}

impl Connection {
    fn new(config: &str) -> Self {
        Self { config: config.to_owned(), client: Mutex::new(None) }
    }

    /// Runs a request that may be run again: once more when the connection turns out to be cut off.
    fn with<T>(
        &self,
        mut request: impl FnMut(&mut Client) -> Result<T, postgres::Error>,
    ) -> Result<T, postgres::Error> {
        let mut client = self.lock();
        let fresh = client.is_none();
        match request(self.connected(&mut client)?) {
            Err(error) if error.is_closed() || error.code().is_none() => {
                *client = None;
                if fresh { Err(error) } else { request(self.connected(&mut client)?) }
            }
            result => result,
        }
    }

    fn connected<'a>(&self, client: &'a mut Option<Client>) -> Result<&'a mut Client, postgres::Error> {
        if client.as_ref().is_some_and(Client::is_closed) {
            *client = None;
        }
        match client {
            Some(open) => Ok(open),
            none => Ok(none.insert(Client::connect(&self.config, NoTls)?)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Postgres {
    fn name(&self) -> String {
        format!("study {:?} in PostgreSQL", self.name)
    }

    fn read(&self, after: u64) -> Result<Vec<Arc<Entry>>> {
        let rows = self.connection.with(|client| client.query(READ, &[&self.study, &(after as i64)]));
        self.parse(&rows.map_err(|e| self.failed("read", e))?)
    }

    fn transact(&self, after: u64, decide: &mut Decide<'_>) -> Result<Vec<Arc<Entry>>> {
        let mut client = self.connection.lock();
        // An idle connection may have been cut off; nothing has happened yet that must not happen twice.
        if let Some(idle) = client.as_mut()
            && idle.is_valid(Duration::from_secs(5)).is_err()
        {
            *client = None;
        }
        let connected = self.connection.connected(&mut client).map_err(|e| self.failed("reach", e))?;
        let mut committing = None;
        let result = self.step(connected, after, decide, &mut committing);
        match (result, committing) {
            (Err(error @ Error::Storage { .. }), Some((place, bodies))) => {
                *client = None;
                drop(client);
                self.settled(place, &bodies, error)
            }
            (result, _) => result,
        }
    }

    fn join(&self) -> Result<u64> {
        let query = "INSERT INTO tapeloom_worker (study, lease_until)
            VALUES ($1, clock_timestamp() + $2 * interval '1 second') RETURNING id";
        let joined = self.connection.with(|client| client.query_one(query, &[&self.study, &self.lease.as_secs_f64()]));
        let id: i64 = joined.map_err(|e| self.failed("join", e))?.get(0);
        Ok(id as u64)
    }

    fn beat(&self, worker: u64) -> Result<()> {
        let query = "UPDATE tapeloom_worker SET lease_until = clock_timestamp() + $2 * interval '1 second'
            WHERE id = $1 AND lease_until > '-infinity'";
        let beat = self.heart.with(|client| client.execute(query, &[&(worker as i64), &self.lease.as_secs_f64()]));
        beat.map(|_| ()).map_err(|e| self.failed("stay with", e))
    }

    fn beat_every(&self) -> Option<Duration> {
        Some(self.lease / 4)
    }

    fn leave(&self, worker: u64) -> Result<()> {
        let query = "UPDATE tapeloom_worker SET lease_until = '-infinity' WHERE id = $1";
        let left = self.heart.with(|client| client.execute(query, &[&(worker as i64)]));
        left.map(|_| ()).map_err(|e| self.failed("leave", e))
    }

    fn gone(&self, workers: &[u64]) -> Result<Vec<u64>> {
        let ids: Vec<i64> = workers.iter().map(|worker| *worker as i64).collect();
        let query = "SELECT id FROM tapeloom_worker
            WHERE study = $1 AND id = ANY($2) AND lease_until >= clock_timestamp()";
        let rows = self.connection.with(|client| client.query(query, &[&self.study, &ids]));
        let present: Vec<i64> = rows.map_err(|e| self.failed("read", e))?.iter().map(|row| row.get(0)).collect();
        Ok(workers.iter().copied().filter(|worker| !present.contains(&(*worker as i64))).collect())
    }
}

impl Postgres {
    /// After a commit whose answer did not come: whether it was done tells what stands at its place in the log.
    fn settled(&self, place: i64, bodies: &[String], error: Error) -> Result<Vec<Arc<Entry>>> {
        let rows = self.connection.with(|client| client.query(READ, &[&self.study, &place]));
        let task = format!("learn whether a step was written to {}; open the study anew", self.name());
        let rows = rows.map_err(|e| Error::storage(task, e))?;
        let stands =
            rows.len() >= bodies.len() && rows.iter().zip(bodies).all(|(row, body)| row.get::<_, &str>(0) == body);
        if stands { self.parse(&rows[..bodies.len()]) } else { Err(error) }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("study", &self.name).field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The config may hold a password.
        f.debug_struct("PostgresBuilder")
            .field("study", &self.study)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
