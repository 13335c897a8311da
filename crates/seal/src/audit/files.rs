//! The files of a log: the one that is written, and beside it those that were closed, named by the number of their first record.

use std::fs::{self, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::note::notes;
use tapeloom_core::Claim;

use crate::disk::{private, sync_folder_of};
use crate::{Error, Result};

/// Digits of a closed file's number: files sort as their records do.
const DIGITS: usize = 12;

/// The name under which the file of `log` that begins with record `first` is closed.
pub(crate) fn closed(log: &Path, first: u64) -> PathBuf {
    beside(log, &format!("{first:0DIGITS$}"))
}

/// A file beside the log: its name, a dot, and `end`.
pub(crate) fn beside(log: &Path, end: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

/// The closed files of a log, oldest first.
pub(crate) fn all_closed(log: &Path) -> Result<Vec<PathBuf>> {
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(base) = log.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::io("list", folder, e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| Error::io("list", folder, e))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(base)?.strip_prefix('.'));
        if number.is_some_and(|number| number.len() == DIGITS && number.bytes().all(|b| b.is_ascii_digit())) {
            found.push(folder.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Takes the log for this process alone. The lock is a file of its own: the log's is renamed when it is closed.
pub(crate) fn lock(path: &Path) -> Result<Claim> {
    let lock = beside(path, "lock");
    let file = private().read(true).write(true).create(true).truncate(false).open(&lock);
    let file = file.map_err(|e| Error::io("open", &lock, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Claim::of(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", &lock, e)),
    }
}

/// Keeps torn bytes beside the log, durable before they are cut off. What an earlier crash left stays.
pub(crate) fn set_aside(log: &Path, next: u64, torn: &[u8]) -> Result<()> {
    for attempt in 0.. {
        let end = if attempt == 0 { format!("torn-{next}") } else { format!("torn-{next}-{attempt}") };
        let side = beside(log, &end);
        match private().write(true).create_new(true).open(&side) {
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

/// Adds a note to the checkpoints of a log, behind the last whole one.
pub(crate) fn append_note(path: &Path, note: &str) -> std::io::Result<()> {
    let mut file = private().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut text)?;
    let (_, whole) = notes(&String::from_utf8_lossy(&text));
    file.set_len(whole as u64)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
    file.write_all(format!("{note}\n").as_bytes())?;
    file.sync_all()
}
