//! Group commit: threads append to one buffer, one of them writes and syncs it for all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tapeloom_core::{Receipt, Record, Timestamp};

use super::chain::{Head, Scope};
use super::hasher::Hasher;
use crate::{Error, Result};

/// Bytes that wait for a sync at most, records that nobody waits for included.
const MAX_PENDING: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) file: Arc<File>,
    /// Of the file.
    pub(crate) length: u64,
    /// What is on disk.
    pub(crate) durable: Head,
    /// What is on disk once the pending bytes are.
    head: Head,
    pending: Vec<u8>,
    is_syncing: bool,
    /// Somebody waits to have the log alone: nobody adds to it until then.
    is_reserved: bool,
    /// Counts commits that failed; what waits for one of before is lost.
    failures: u64,
    failure: Option<Failure>,
    /// A write failed, so what is on disk is unknown.
    is_stopped: bool,
}

/// An error that many threads get.
#[derive(Clone, Debug)]
enum Failure {
    Tampered { line: u64, detail: String },
    Io(Arc<std::io::Error>),
}

impl Writer {
    pub(crate) fn new(path: PathBuf, file: File, length: u64, head: Head) -> Self {
        let state = State {
            file: Arc::new(file),
            length,
            durable: head.clone(),
            head,
            pending: Vec::new(),
            is_syncing: false,
            is_reserved: false,
            failures: 0,
            failure: None,
            is_stopped: false,
        };
        Self { path, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds records to what the next commit writes: all of them or none. Gives what [`Writer::commit`] wants to wait for them.
    pub(crate) fn add(
        &self,
        hasher: &Hasher,
        time: Timestamp,
        scope: &Scope,
        records: &[Record],
    ) -> Result<(Vec<Receipt>, Ticket)> {
        let mut state = self.wait_while(|state| state.is_reserved);
        if state.is_stopped {
            return Err(Error::Stopped { path: self.path.clone() });
        }
        let (mut head, whole) = (state.head.clone(), state.pending.len());
        let mut receipts = Vec::with_capacity(records.len());
        for record in records {
            match head.extend(hasher, time, scope, record) {
                Ok((line, receipt)) => {
                    state.pending.extend_from_slice(line.as_bytes());
                    receipts.push(receipt);
                }
                Err(error) => {
                    state.pending.truncate(whole);
                    return Err(error);
                }
            }
        }
        state.head = head;
        let ticket = Ticket { next: state.head.next, failures: state.failures };
        Ok((receipts, ticket))
    }

    /// Whether so much waits that the next record has to be waited for.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().pending.len() > MAX_PENDING
    }

    /// Comes back when everything up to the ticket is on disk. `after` runs in the thread that committed, before anyone else
    /// writes.
    pub(crate) fn commit(&self, ticket: &Ticket, after: impl Fn(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.lock();
        loop {
            if state.failures != ticket.failures {
                return Err(state
                    .failure
                    .as_ref()
                    .map_or_else(|| Error::Stopped { path: self.path.clone() }, |failure| failure.error(&self.path)));
            }
            if state.durable.next >= ticket.next {
                return Ok(());
            }
            if state.is_syncing {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_syncing = true;
            let (bytes, head, file) = (std::mem::take(&mut state.pending), state.head.clone(), state.file.clone());
            let untouched = state.check_untouched();
            drop(state);
            // Others add to the next group meanwhile.
            let written = untouched.and_then(|()| write(&file, &bytes).map_err(|e| Failure::Io(Arc::new(e))));
            state = self.lock();
            state.is_syncing = false;
            let result = match written {
                Ok(()) => {
                    state.length += bytes.len() as u64;
                    state.durable = head;
                    after(&mut state)
                }
                Err(failure) => {
                    let error = failure.error(&self.path);
                    state.fail(failure);
                    Err(error)
                }
            };
            self.changed.notify_all();
            result?;
        }
    }

    /// Runs `change` while nobody writes and nothing waits.
    pub(crate) fn exclusive<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        self.wait_while(|state| state.is_reserved).is_reserved = true;
        // What was added before still has to reach the disk; nothing is added from here on.
        let flushed = self.commit(&self.ticket(), |_| Ok(()));
        let mut state = self.wait_while(|state| state.is_syncing);
        let result = match flushed {
            Ok(()) if state.is_stopped => Err(Error::Stopped { path: self.path.clone() }),
            Ok(()) => change(&mut state),
            Err(error) => Err(error),
        };
        state.is_reserved = false;
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Bytes of the file that is written.
    pub(crate) fn length(&self) -> u64 {
        self.lock().length
    }

    /// Where everything stands that was added so far.
    pub(crate) fn ticket(&self) -> Ticket {
        let state = self.lock();
        Ticket { next: state.head.next, failures: state.failures }
    }

    pub(crate) fn durable(&self) -> Head {
        self.lock().durable.clone()
    }

    fn wait_while(&self, busy: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| busy(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to where somebody waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    next: u64,
    failures: u64,
}

impl State {
    /// Adds one record by itself, durable. For those who hold the state alone.
    pub(crate) fn write(
        &mut self,
        hasher: &Hasher,
        time: Timestamp,
        scope: &Scope,
        record: &Record,
        path: &Path,
    ) -> Result<Receipt> {
        let mut head = self.durable.clone();
        let (line, receipt) = head.extend(hasher, time, scope, record)?;
        if let Err(error) = write(&self.file, line.as_bytes()) {
            let failure = Failure::Io(Arc::new(error));
            let error = failure.error(path);
            self.fail(failure);
            return Err(error);
        }
        self.length += line.len() as u64;
        (self.durable, self.head) = (head.clone(), head);
        Ok(receipt)
    }

    /// Goes on in another file.
    pub(crate) fn switch(&mut self, file: File) {
        (self.file, self.length) = (Arc::new(file), 0);
    }

    /// After this only a new look at the files tells what is on disk.
    pub(crate) const fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn fail(&mut self, failure: Failure) {
        if matches!(failure, Failure::Io(_)) {
            // After a sync that failed nobody knows what is on disk; only a new look at the file tells.
            self.is_stopped = true;
            let _ = self.file.set_len(self.length);
        }
        self.failures += 1;
        self.failure = Some(failure);
        self.pending.clear();
        self.head = self.durable.clone();
    }

    /// A log that was deleted, cut or added to while it is open takes no more evidence: that would be lost or refused.
    fn check_untouched(&self) -> Result<(), Failure> {
        let found = self.file.metadata().map_err(|e| Failure::Io(Arc::new(e)))?;
        #[cfg(unix)]
        let is_gone = std::os::unix::fs::MetadataExt::nlink(&found) == 0;
        #[cfg(not(unix))]
        let is_gone = false;
        let detail = match found.len() {
            _ if is_gone => "the log was deleted while it was open".to_owned(),
            length if length == self.length => return Ok(()),
            length => format!("the log has {length} bytes where {} were written", self.length),
        };
        Err(Failure::Tampered { line: self.durable.next + 1, detail })
    }
}

fn write(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.sync_data()
}

impl Failure {
    fn error(&self, path: &Path) -> Error {
        match self {
            Self::Tampered { line, detail } => {
                Error::Tampered { path: path.to_owned(), line: *line, detail: detail.clone() }
            }
            Self::Io(source) => {
                Error::io("append to", path, std::io::Error::new(source.kind(), SharedError(source.clone())))
            }
        }
    }
}

/// An error of the system that several callers get.
#[derive(Debug)]
struct SharedError(Arc<std::io::Error>);

impl std::fmt::Display for SharedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SharedError {}
