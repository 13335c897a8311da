use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tapeloom_core::{Clock, Fingerprint, Ledger, Receipt, Record, Timestamp};

use crate::chain::{Entry, Hasher, Head, scan};
use crate::key::Key;
use crate::{Error, Result};

/// An append-only ledger of JSON lines, each tied to the one before by a hash. See `docs/format/audit-log.md`.
///
/// A record is on disk before [`Ledger::append`] returns. One process writes a log at a time. With a key the chain is an
/// HMAC, so that nobody without the key can rewrite it. What a chain alone does not show is a tail that was cut off: keep a
/// [`Receipt`] elsewhere and check it with [`verify_since`].
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    hasher: Hasher,
    /// Locked for as long as the log is open.
    writer: Mutex<(File, Head)>,
}

impl AuditLog {
    /// Opens a log for writing, making it where there is none, after checking every line of it.
    ///
    /// A last line that a crash tore is moved to a file beside the log, and a `log.recovered` record says so.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Tampered`] that names the line, [`Error::Io`].
    pub fn open(path: impl Into<PathBuf>, key: Option<&Key>, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = path.into();
        let io = |action| {
            let path = path.clone();
            move |e| Error::io(action, path, e)
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("create the folder of"))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path }),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path, e)),
        }
        let hasher = Hasher::new(key);
        let scanned = scan(&path, &file, &hasher, |_| {})?;
        if !scanned.torn.is_empty() {
            let side = path.with_extension(format!("torn-{}", scanned.head.next));
            fs::write(&side, &scanned.torn).map_err(|e| Error::io("write", &side, e))?;
            file.set_len(scanned.sound).map_err(io("cut the torn line off"))?;
        }
        let is_new = scanned.head.next == 0;
        let log = Self { path, clock, hasher, writer: Mutex::new((file, scanned.head)) };
        if is_new {
            log.write(&Record::new("tapeloom", "log.opened", "audit log").detail("chain", log.hasher.name()))?;
        }
        if !scanned.torn.is_empty() {
            let record = Record::new("tapeloom", "log.recovered", "audit log")
                .detail("torn_bytes", scanned.torn.len())
                .detail("torn_sha256", Fingerprint::of(&scanned.torn));
            log.write(&record)?;
        }
        Ok(log)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, record: &Record) -> Result<Receipt> {
        let io = |action| move |e| Error::io(action, self.path.clone(), e);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, head) = &mut *writer;
        let mut next = head.clone();
        let (line, receipt) = next
            .extend(&self.hasher, self.clock.now(), record)
            .map_err(|e| Error::io("encode a record for", self.path.clone(), e.into()))?;
        let length = file.metadata().map_err(io("measure"))?.len();
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            // A half-written line would make the next record unreadable.
            let _ = file.set_len(length);
            return Err(Error::io("append to", self.path.clone(), error));
        }
        *head = next;
        Ok(receipt)
    }
}

impl Ledger for AuditLog {
    fn append(&self, record: &Record) -> tapeloom_core::Result<Receipt> {
        Ok(self.write(record)?)
    }
}

/// What a whole, unbroken log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lines.
    pub records: u64,
    /// Of the first line.
    pub first: Timestamp,
    /// Of the last line.
    pub last: Timestamp,
    /// Of the last line; keep it elsewhere to find a cut tail later.
    pub head: Receipt,
}

/// Checks every line of a log.
///
/// # Errors
/// [`Error::Tampered`] names the first line that was changed, added, removed, moved or torn, and what is wrong with it.
pub fn verify(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Verified> {
    verify_entries(path.as_ref(), key, |_| {})
}

/// Checks every line, and that the record of an earlier receipt is still there unchanged.
///
/// # Errors
/// As [`verify`]; [`Error::Tampered`] also when the log ends before the receipt or was rewritten.
pub fn verify_since(path: impl AsRef<Path>, key: Option<&Key>, receipt: &Receipt) -> Result<Verified> {
    let mut found = None;
    let verified = verify_entries(path.as_ref(), key, |entry| {
        if entry.sequence == receipt.sequence {
            found = Some(entry.hash);
        }
    })?;
    let problem = match found {
        Some(hash) if hash == receipt.hash => return Ok(verified),
        Some(_) => "it is another record than the receipt's: the log was rewritten",
        None => "the log ends before the receipt's record: its tail was cut off",
    };
    let path = path.as_ref().to_owned();
    Err(Error::Tampered { path, line: receipt.sequence + 1, detail: problem.into() })
}

/// All records of a log, checked.
///
/// # Errors
/// As [`verify`].
pub fn entries(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    verify_entries(path.as_ref(), key, |entry| entries.push(entry))?;
    Ok(entries)
}

fn verify_entries(path: &Path, key: Option<&Key>, mut each: impl FnMut(Entry)) -> Result<Verified> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut first = None;
    let scanned = scan(path, &file, &Hasher::new(key), |entry| {
        first.get_or_insert(entry.time);
        each(entry);
    })?;
    let line = scanned.head.next + 1;
    let tampered = |detail: &str| Error::Tampered { path: path.to_owned(), line, detail: detail.into() };
    if !scanned.torn.is_empty() {
        return Err(tampered("it is torn"));
    }
    let (Some(first), Some(hash)) = (first, scanned.head.hash) else {
        return Err(tampered("the log is empty"));
    };
    let head = Receipt { sequence: scanned.head.next - 1, hash };
    Ok(Verified { records: scanned.head.next, first, last: scanned.head.time, head })
}
