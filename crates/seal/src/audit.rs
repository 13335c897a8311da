use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tapeloom_core::{Clock, Fingerprint, Ledger, Receipt, Record, RunId};

use crate::chain::{Head, Scanned, Scope, may_be_torn_first_line, scan};
use crate::disk::sync_folder_of;
use crate::hasher::Hasher;
use crate::keys::Key;
use crate::{Error, Result};

/// An append-only ledger of JSON lines, each tied to the one before by a hash. See `docs/format/audit-log.md`.
///
/// A record is on disk before [`Ledger::append`] returns; each costs one `fsync`. One process writes a log at a time. With a
/// key the chain is an HMAC, so that nobody without the key can rewrite it. What a chain alone does not show is a tail that was
/// cut off: keep a [`Receipt`] elsewhere and check it with [`verify_since`](crate::verify_since).
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    hasher: Hasher,
    scope: Scope,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    /// Locked for as long as the log is open.
    file: File,
    head: Head,
    length: u64,
    /// A write failed, so what is on disk is unknown.
    is_stopped: bool,
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
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create the folder of", &path, e))?;
        }
        let file = lock(&path)?;
        let hasher = Hasher::new(key);
        let Scanned { head, sound, torn } = scan(&path, &file, &hasher, |_| {})?;
        let is_new = head.next == 0;
        if is_new && !may_be_torn_first_line(&torn) {
            return Err(Error::Tampered { path, line: 1, detail: "it is no line of an audit log".into() });
        }
        if !torn.is_empty() {
            set_aside(&path, head.next, &torn)?;
            file.set_len(sound).map_err(|e| Error::io("cut the torn line off", &path, e))?;
        }
        let writer = Mutex::new(Writer { file, head, length: sound, is_stopped: false });
        let log = Self { path, clock, hasher, scope: Scope::default(), writer };
        if is_new {
            log.write(&log.hasher.opening())?;
            sync_folder_of(&log.path)?;
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

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, record: &Record) -> Result<Receipt> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_stopped {
            return Err(Error::Stopped { path: self.path.clone() });
        }
        writer.check_untouched(&self.path)?;
        let mut head = writer.head.clone();
        let (line, receipt) = head.extend(&self.hasher, self.clock.now(), &self.scope, record)?;
        if let Err(error) = writer.file.write_all(line.as_bytes()).and_then(|()| writer.file.sync_data()) {
            // After a sync that failed nobody knows what is on disk; only a new look at the file tells.
            writer.is_stopped = true;
            let _ = writer.file.set_len(writer.length);
            return Err(Error::io("append to", &self.path, error));
        }
        writer.head = head;
        writer.length += line.len() as u64;
        Ok(receipt)
    }
}

impl Ledger for AuditLog {
    fn append(&self, record: &Record) -> tapeloom_core::Result<Receipt> {
        Ok(self.write(record)?)
    }
}

impl Writer {
    /// A log that was deleted, cut or added to while it is open takes no more evidence: that would be lost or refused.
    fn check_untouched(&self, path: &Path) -> Result<()> {
        let found = self.file.metadata().map_err(|e| Error::io("measure", path, e))?;
        #[cfg(unix)]
        let is_gone = std::os::unix::fs::MetadataExt::nlink(&found) == 0;
        #[cfg(not(unix))]
        let is_gone = false;
        let detail = match found.len() {
            _ if is_gone => "the log was deleted while it was open".to_owned(),
            length if length == self.length => return Ok(()),
            length => format!("the log has {length} bytes where {} were written", self.length),
        };
        Err(Error::Tampered { path: path.to_owned(), line: self.head.next + 1, detail })
    }
}

/// Opens the file for this process alone.
fn lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|e| Error::io("open", path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
    }
}

/// Keeps torn bytes beside the log, durable before they are cut off. What an earlier crash left stays.
fn set_aside(log: &Path, next: u64, torn: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    for attempt in 0.. {
        let mut name = log.as_os_str().to_owned();
        name.push(if attempt == 0 { format!(".torn-{next}") } else { format!(".torn-{next}-{attempt}") });
        let side = PathBuf::from(name);
        match options.open(&side) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            opened => {
                let written = opened.and_then(|mut file| file.write_all(torn).and_then(|()| file.sync_all()));
                written.map_err(|e| Error::io("write", &side, e))?;
                return sync_folder_of(&side);
            }
        }
    }
    Ok(())
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
        let unwritable = File::open(&path).expect("opened");
        let writable = std::mem::replace(&mut log.writer.lock().expect("no panic").file, unwritable);
        assert!(matches!(log.write(&record), Err(Error::Io { action: "append to", .. })));
        log.writer.lock().expect("no panic").file = writable;
        assert!(matches!(log.write(&record), Err(Error::Stopped { .. })));
        assert_eq!(fs::read(&path).expect("read"), good);
        drop(log);
        assert_eq!(AuditLog::open(&path, None, Arc::new(SystemClock))?.write(&record)?.sequence, 1);
        Ok(())
    }
}
