use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tapeloom_core::{Claim, Clock, Fingerprint, Ledger, Receipt, Record, RunId};

use super::chain::{Entry, Head, Scope, may_be_torn_first_line};
use super::files::{append_note, beside, closed, lock, set_aside};
use super::hasher::{CLOSED, HELD, Hasher, RELEASED};
use super::note::{Checkpoint, SigningKey};
use super::verify::{Walk, walk};
use super::writer::{State, Writer};
use crate::disk::{private, sync_folder_of};
use crate::hex;
use crate::keys::{Key, random};
use crate::{Error, Result};

/// When a log begins a new file and signs what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Bytes after which a file is closed and a new one begun. Default none: one file.
    pub rotate_bytes: Option<u64>,
    /// Records between signed checkpoints, when there is a key to sign with. Default 1000.
    pub checkpoint_every: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { rotate_bytes: None, checkpoint_every: 1000 }
    }
}

/// An append-only ledger of JSON lines, each tied to the one before by a hash, under a Merkle tree. See
/// `docs/format/audit-log.md`.
///
/// A record is on disk before [`Ledger::append`] returns; threads that append at the same time share one `fsync`, and
/// [`AuditLog::append_all`] takes many records with one. One process writes a log at a time. With a key the chain is an HMAC, so
/// that nobody without the key can rewrite it. What the file alone does not show is a tail that was cut off: keep a [`Receipt`]
/// or a signed checkpoint elsewhere and check with [`Verifier`](crate::Verifier).
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    hasher: Hasher,
    scope: Scope,
    config: AuditConfig,
    signer: Option<SigningKey>,
    /// Records at the newest checkpoint.
    signed: AtomicU64,
    /// Names of the legal holds in force.
    holds: Mutex<BTreeSet<String>>,
    writer: Writer,
    /// Locked for as long as the log is open.
    _lock: Claim,
}

impl AuditLog {
    /// Opens a log for writing, making it where there is none, after checking every line of it.
    ///
    /// A last line that a crash tore is moved to a file beside the log, and a `log.recovered` record says so. A rotation that a
    /// crash cut short is ended.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Tampered`] that names the line, [`Error::Io`].
    pub fn open(path: impl Into<PathBuf>, key: Option<&Key>, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = path.into();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create the folder of", &path, e))?;
        }
        let lock = lock(&path)?;
        let hasher = Hasher::new(key);
        let mut holds = BTreeSet::new();
        let mut last_action = String::new();
        let Walk { head, current, .. } = walk(&path, &hasher, |entry, _| {
            note_hold(&mut holds, &entry);
            last_action = entry.record.action;
        })?;
        let begins = current.as_ref().is_none_or(|current| current.lines == 0);
        let torn = current.as_ref().map_or(&[][..], |current| &current.torn);
        if begins && !may_be_torn_first_line(head.next, torn) {
            return Err(Error::Tampered { path, line: 1, detail: "it is no line of an audit log".into() });
        }
        let file =
            private().read(true).append(true).create(true).open(&path).map_err(|e| Error::io("open", &path, e))?;
        let sound = current.as_ref().map_or(0, |current| current.sound);
        if !torn.is_empty() {
            set_aside(&path, head.next, torn)?;
            file.set_len(sound).map_err(|e| Error::io("cut the torn line off", &path, e))?;
        }
        let torn = torn.to_vec();
        let first = current.as_ref().map_or(head.next, |current| head.next - current.lines);
        let is_closed = !begins && last_action == CLOSED;
        let is_new = head.next == 0;
        let writer = Writer::new(path.clone(), file, sound, head);
        let log = Self {
            path,
            clock,
            hasher,
            scope: Scope::default(),
            config: AuditConfig::default(),
            signer: None,
            signed: AtomicU64::new(0),
            holds: Mutex::new(holds),
            writer,
            _lock: lock,
        };
        if is_new {
            let mut id = [0; 8];
            random(&mut id)?;
            log.write(&log.hasher.opening(&hex::encode(&id)))?;
            sync_folder_of(&log.path)?;
        } else if begins {
            log.writer.exclusive(|state| log.write_in(state, &state.durable.continuing(&log.hasher)))?;
            sync_folder_of(&log.path)?;
        } else if is_closed {
            log.writer.exclusive(|state| log.begin_file(state, first))?;
        }
        if !torn.is_empty() {
            let record = Record::new("tapeloom", "log.recovered", "audit log")
                .detail("torn_bytes", torn.len())
                .detail("torn_sha256", Fingerprint::of(&torn));
            log.write(&record)?;
        }
        Ok(log)
    }

    /// Names the run in every record from here on.
    #[must_use]
    pub fn run(mut self, run: RunId) -> Self {
        self.scope.run = Some(run);
        self
    }

    /// Names the tenant in every record from here on.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.scope.tenant = Some(tenant.into());
        self
    }

    /// Rotates and signs as this says.
    #[must_use]
    pub const fn config(mut self, config: AuditConfig) -> Self {
        self.config = config;
        self
    }

    /// Signs checkpoints into `<log>.checkpoints`: now and then, when a file is closed, and when [`AuditLog::checkpoint`] asks.
    #[must_use]
    pub fn signer(mut self, signer: SigningKey) -> Self {
        self.signer = Some(signer);
        self
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes many records, all or none, with one `fsync`.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_all(&self, records: &[Record]) -> Result<Vec<Receipt>> {
        let (receipts, ticket) = self.add(records)?;
        self.writer.commit(&ticket, |state| self.after_commit(state))?;
        self.rotate_when_long()?;
        Ok(receipts)
    }

    /// Takes a record that may be lost when the machine stops in the next moment: it reaches the disk with the next durable
    /// one, with [`AuditLog::flush`], or when the log is dropped. For records of what can be seen elsewhere, such as reads.
    ///
    /// # Errors
    /// [`Error::BadRecord`], [`Error::Stopped`]; what goes wrong on the way to the disk is told to whoever waits next.
    pub fn append_relaxed(&self, record: &Record) -> Result<Receipt> {
        if self.writer.is_full() {
            return self.write(record);
        }
        let (receipts, _) = self.add(std::slice::from_ref(record))?;
        receipts.first().copied().ok_or_else(|| Error::Stopped { path: self.path.clone() })
    }

    /// Comes back when all that was appended is on disk.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn flush(&self) -> Result<()> {
        self.writer.commit(&self.writer.ticket(), |state| self.after_commit(state))?;
        self.rotate_when_long()
    }

    /// What the log holds on disk, in one hash: for a signer elsewhere.
    #[must_use]
    pub fn tree_head(&self) -> Checkpoint {
        let head = self.writer.durable();
        Checkpoint { origin: head.origin(), size: head.next, root: head.root() }
    }

    /// Signs what the log holds, adds it to `<log>.checkpoints`, and gives the note. Send it out of the reach of whoever can
    /// write the log: it shows later that nothing before it was cut off or rewritten.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a signer; [`Error::Io`].
    pub fn checkpoint(&self) -> Result<String> {
        self.flush()?;
        self.writer.exclusive(|state| self.sign(&state.durable))
    }

    /// Closes the file that is written and begins the next.
    ///
    /// # Errors
    /// [`Error::Io`], after which the log is stopped until it is opened anew.
    pub fn rotate(&self) -> Result<()> {
        self.writer.exclusive(|state| self.rotate_in(state))
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    pub(crate) fn holds(&self) -> &Mutex<BTreeSet<String>> {
        &self.holds
    }

    pub(crate) fn write(&self, record: &Record) -> Result<Receipt> {
        let receipts = self.append_all(std::slice::from_ref(record))?;
        receipts.first().copied().ok_or_else(|| Error::Stopped { path: self.path.clone() })
    }

    fn add(&self, records: &[Record]) -> Result<(Vec<Receipt>, super::writer::Ticket)> {
        self.writer.add(&self.hasher, self.clock.now(), &self.scope, records)
    }

    fn after_commit(&self, state: &mut State) -> Result<()> {
        let due = self.signed.load(Ordering::Relaxed).saturating_add(self.config.checkpoint_every.max(1));
        if self.signer.is_some() && state.durable.next >= due {
            self.sign(&state.durable)?;
        }
        Ok(())
    }

    fn rotate_when_long(&self) -> Result<()> {
        let is_long = |length: u64| self.config.rotate_bytes.is_some_and(|most| length >= most);
        if !is_long(self.writer.length()) {
            return Ok(());
        }
        // Others may have come here too, and one of them first.
        self.writer.exclusive(|state| if is_long(state.length) { self.rotate_in(state) } else { Ok(()) })
    }

    fn sign(&self, head: &Head) -> Result<String> {
        let needs = "give the log a signer, or sign AuditLog::tree_head elsewhere";
        let signer = self.signer.as_ref().ok_or_else(|| Error::invalid("signer", "none", needs))?;
        let checkpoint = Checkpoint { origin: head.origin(), size: head.next, root: head.root() };
        let note = signer.sign(&checkpoint);
        let path = beside(&self.path, "checkpoints");
        append_note(&path, &note).map_err(|e| Error::io("append to", &path, e))?;
        self.signed.store(head.next, Ordering::Relaxed);
        Ok(note)
    }

    fn write_in(&self, state: &mut State, record: &Record) -> Result<Receipt> {
        state.write(&self.hasher, self.clock.now(), &Scope::default(), record, &self.path)
    }

    fn rotate_in(&self, state: &mut State) -> Result<()> {
        let record = Record::new("tapeloom", CLOSED, "audit log")
            .detail("size", state.durable.next)
            .detail("root", state.durable.root());
        self.write_in(state, &record)?;
        if self.signer.is_some() {
            self.sign(&state.durable)?;
        }
        let first = first_record(&self.path)?;
        let begun = self.begin_file(state, first);
        if begun.is_err() {
            state.stop();
        }
        begun
    }

    /// Puts the closed file, whose first record is `first`, in its place, and begins the next.
    fn begin_file(&self, state: &mut State, first: u64) -> Result<()> {
        let target = closed(&self.path, first);
        fs::rename(&self.path, &target).map_err(|e| Error::io("rename into place", &target, e))?;
        sync_folder_of(&self.path)?;
        let file = private().read(true).append(true).create_new(true).open(&self.path);
        state.switch(file.map_err(|e| Error::io("create", &self.path, e))?);
        self.write_in(state, &state.durable.continuing(&self.hasher))?;
        sync_folder_of(&self.path)
    }
}

impl Ledger for AuditLog {
    fn append(&self, record: &Record) -> tapeloom_core::Result<Receipt> {
        Ok(self.write(record)?)
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // Who wanted to know whether it worked has called `flush`.
        let _ = self.flush();
    }
}

/// Follows the legal holds that records set and lift.
pub(crate) fn note_hold(holds: &mut BTreeSet<String>, entry: &Entry) {
    match entry.record.action.as_str() {
        HELD => drop(holds.insert(entry.record.object.clone())),
        RELEASED => drop(holds.remove(&entry.record.object)),
        _ => {}
    }
}

/// The number of the first record of the file that is written.
fn first_record(path: &Path) -> Result<u64> {
    #[derive(Deserialize)]
    struct First {
        seq: u64,
    }
    let mut line = String::new();
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(file), &mut line)
        .map_err(|e| Error::io("read", path, e))?;
    let first: First = serde_json::from_str(&line).map_err(|_| Error::Tampered {
        path: path.to_owned(),
        line: 1,
        detail: "it is no record".into(),
    })?;
    Ok(first.seq)
}

#[cfg(test)]
mod tests {
    use tapeloom_core::SystemClock;

    use super::*;

    #[test]
    fn a_write_that_fails_stops_the_log_until_it_is_opened_anew() -> Result<()> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.log");
        let record = Record::new("a", "b", "c");
        let log = AuditLog::open(&path, None, Arc::new(SystemClock))?;
        let good = fs::read(&path).expect("read");
        // A handle without the right to write stands for a full disk.
        let unwritable = Arc::new(File::open(&path).expect("opened"));
        let writable = log.writer.exclusive(|state| Ok(std::mem::replace(&mut state.file, unwritable)))?;
        assert!(matches!(log.write(&record), Err(Error::Io { action: "append to", .. })));
        assert!(matches!(log.write(&record), Err(Error::Stopped { .. })));
        assert!(matches!(log.append_relaxed(&record), Err(Error::Stopped { .. })));
        drop(writable);
        assert_eq!(fs::read(&path).expect("read"), good);
        drop(log);
        assert_eq!(AuditLog::open(&path, None, Arc::new(SystemClock))?.write(&record)?.sequence, 1);
        Ok(())
    }
}
