use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::presence::{Presence, failed};
use super::{Decide, Storage};
use crate::{Entry, Error, Result};

/// A study in one append-only file, for the processes of one host. The format is in `docs/format/study-log.md`.
///
/// A step of the study is one record with its length and CRC-32; a step that a crash or a full disk cut off is cut away by the
/// next writer, and nothing before it is touched. Damage in the middle is refused. Not for network file systems: their locks
/// can't be relied on.
///
/// ```
/// use tapeloom_tune::{Journal, Space, Study};
///
/// let folder = tempfile::tempdir().expect("a folder");
/// let journal = || Journal::open(folder.path().join("cells.study"));
/// let space = Space::builder().float("x", -1.0..=1.0).build()?;
/// Study::builder(space.clone()).storage(journal()?).build()?.optimize(10, |trial| trial.params().float("x"))?;
/// let again = Study::builder(space).storage(journal()?).build()?;
/// assert_eq!(again.summary()?.complete, 10);
/// # Ok::<(), tapeloom_tune::Error>(())
/// ```
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    sync: bool,
    presence: Presence,
    tail: Mutex<Tail>,
}

/// Opens a [`Journal`] with other settings.
#[derive(Clone, Debug)]
pub struct JournalBuilder {
    path: PathBuf,
    sync: bool,
}

/// What this process has read.
#[derive(Debug)]
struct Tail {
    file: File,
    /// Where the next record starts.
    offset: u64,
    entries: Vec<Arc<Entry>>,
}

const MAGIC: &[u8; 16] = b"tapeloom study 1";
/// Length and checksum in front of each record.
const HEAD: usize = 8;

impl Journal {
    /// Opens the study in `path`, or starts one. Every step is on the disk before it counts.
    ///
    /// # Errors
    /// [`Error::Storage`] when the file can't be opened, [`Error::Damaged`] when it is something else.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// The same with other settings.
    #[must_use]
    pub fn builder(path: impl Into<PathBuf>) -> JournalBuilder {
        JournalBuilder { path: path.into(), sync: true }
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, task: &str, error: std::io::Error) -> Error {
        failed(task, &self.path, error)
    }

    /// Reads the records that other processes appended. Returns whether an unfinished one is at the end.
    fn catch_up(&self, tail: &mut Tail) -> Result<bool> {
        let read = |e| self.failed("read", e);
        let len = tail.file.metadata().map_err(read)?.len();
        if len < tail.offset {
            return Err(Error::damaged(self.name(), "it has become shorter; somebody replaced it"));
        }
        if len == tail.offset {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity((len - tail.offset) as usize);
        tail.file.seek(SeekFrom::Start(tail.offset)).map_err(read)?;
        tail.file.read_to_end(&mut bytes).map_err(read)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match record(rest) {
                Record::Whole(payload) => {
                    let entries: Vec<Entry> = serde_json::from_slice(payload).map_err(|e| self.damaged(tail, &e))?;
                    tail.entries.extend(entries.into_iter().map(Arc::new));
                    tail.offset += (HEAD + payload.len()) as u64;
                    rest = &rest[HEAD + payload.len()..];
                }
                Record::Unfinished => return Ok(true),
                Record::Damaged => return Err(self.damaged(tail, &"a record does not match its checksum")),
            }
        }
        Ok(false)
    }

    fn damaged(&self, tail: &Tail, what: &dyn ToString) -> Error {
        let what = what.to_string();
        Error::damaged(self.name(), format!("at byte {}: {what}", tail.offset))
    }

    fn append(&self, tail: &mut Tail, entries: &[Arc<Entry>]) -> Result<()> {
        let entries: Vec<&Entry> = entries.iter().map(AsRef::as_ref).collect();
        let payload = serde_json::to_vec(&entries).map_err(|e| Error::storage("write a step of the study", e))?;
        let length = u32::try_from(payload.len())
            .map_err(|_| Error::invalid("step of the study", payload.len(), "keep it below 4 GiB"))?;
        let mut bytes = Vec::with_capacity(HEAD + payload.len());
        bytes.extend(length.to_le_bytes());
        bytes.extend(checksum(length, &payload).to_le_bytes());
        bytes.extend(payload);
        let file = &mut tail.file;
        let written = file.seek(SeekFrom::Start(tail.offset)).and_then(|_| file.write_all(&bytes));
        let durable = written.and_then(|()| if self.sync { file.sync_data() } else { Ok(()) });
        if let Err(error) = durable {
            // Part of it may be there. If it can't be cut off now, the next writer does.
            _ = tail.file.set_len(tail.offset);
            return Err(self.failed("write", error));
        }
        tail.offset += bytes.len() as u64;
        Ok(())
    }
}

impl JournalBuilder {
    /// Whether every step waits for the disk. Without, a killed process loses nothing, and a host that loses its power loses
    /// the last seconds.
    #[must_use]
    pub const fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// As [`Journal::open`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(self) -> Result<Journal> {
        let Self { path, sync } = self;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|e| failed("open", &path, e))?;
        begin(&mut file, &path)?;
        let presence = Presence::beside(&path)?;
        let tail = Tail { file, offset: MAGIC.len() as u64, entries: Vec::new() };
        Ok(Journal { path, sync, presence, tail: Mutex::new(tail) })
    }
}

/// Writes what a new file starts with, or checks it.
fn begin(file: &mut File, path: &Path) -> Result<()> {
    let failed = |task: &str, e| failed(task, path, e);
    file.lock().map_err(|e| failed("lock", e))?;
    let mut start = Vec::new();
    file.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(|e| failed("read", e))?;
    if start.len() < MAGIC.len() && MAGIC.starts_with(&start) {
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(MAGIC)).map_err(|e| failed("write", e))?;
        file.sync_all().map_err(|e| failed("write", e))?;
        // The name of a new file is durable when its folder is.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed("sync the folder of", e))?;
        }
    } else if start != MAGIC {
        return Err(Error::damaged(path.display().to_string(), "it does not start like the journal of a study"));
    }
    file.unlock().map_err(|e| failed("unlock", e))
}

enum Record<'a> {
    Whole(&'a [u8]),
    /// What a writer left that did not come to the end.
    Unfinished,
    Damaged,
}

fn record(bytes: &[u8]) -> Record<'_> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Record::Unfinished };
    let Some((sum, rest)) = rest.split_first_chunk() else { return Record::Unfinished };
    let length = u32::from_le_bytes(*length);
    match rest.get(..length as usize) {
        Some(payload) if length > 0 && checksum(length, payload) == u32::from_le_bytes(*sum) => Record::Whole(payload),
        // What comes before a good record is no unfinished end: then its length, or what it holds, was damaged.
        _ if (1..bytes.len().saturating_sub(HEAD)).any(|at| starts_record(&bytes[at..])) => Record::Damaged,
        _ => Record::Unfinished,
    }
}

fn starts_record(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return false };
    let [a, b, c, d, sum @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]);
    rest.starts_with(b"[{")
        && rest.get(..length as usize).is_some_and(|payload| checksum(length, payload) == u32::from_le_bytes(sum))
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

impl Storage for Journal {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self, after: u64) -> Result<Vec<Arc<Entry>>> {
        let mut tail = self.lock();
        self.catch_up(&mut tail)?;
        Ok(tail.entries.get(after as usize..).unwrap_or_default().to_vec())
    }

    fn transact(&self, after: u64, decide: &mut Decide<'_>) -> Result<Vec<Arc<Entry>>> {
        let mut tail = self.lock();
        tail.file.lock().map_err(|e| self.failed("lock", e))?;
        let mut step = || {
            if self.catch_up(&mut tail)? {
                tail.file.set_len(tail.offset).map_err(|e| self.failed("cut the unfinished end of", e))?;
            }
            let appended = decide(tail.entries.get(after as usize..).unwrap_or_default())?;
            let appended: Vec<_> = appended.into_iter().map(Arc::new).collect();
            if !appended.is_empty() {
                self.append(&mut tail, &appended)?;
                tail.entries.extend(appended.iter().cloned());
            }
            Ok(appended)
        };
        let result = step();
        tail.file.unlock().map_err(|e| self.failed("unlock", e))?;
        result
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
