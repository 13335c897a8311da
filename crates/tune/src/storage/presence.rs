use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// Who works on a study of one host: a worker holds the lock of its file for as long as it lives. The system lets go of a
/// lock when a process ends, however it ends, so no clock decides who is gone.
#[derive(Debug)]
pub(super) struct Presence {
    folder: PathBuf,
    held: Mutex<BTreeMap<u64, File>>,
}

impl Presence {
    /// Workers in the folder beside `study`, the file of the study.
    pub(super) fn beside(study: &Path) -> Result<Self> {
        let mut folder = study.as_os_str().to_owned();
        folder.push(".workers");
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).map_err(|e| failed("make the folder", &folder, e))?;
        Ok(Self { folder, held: Mutex::default() })
    }

    pub(super) fn join(&self) -> Result<u64> {
        let mut held = self.held();
        let mut worker = self.newest()? + 1;
        loop {
            let path = self.path(worker);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    file.lock().map_err(|e| failed("lock", &path, e))?;
                    held.insert(worker, file);
                    return Ok(worker);
                }
                // Another process took the number in this moment.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => worker += 1,
                Err(error) => return Err(failed("make", &path, error)),
            }
        }
    }

    pub(super) fn leave(&self, worker: u64) {
        // The file stays, so that its number is never given again.
        self.held().remove(&worker);
    }

    pub(super) fn gone(&self, workers: &[u64]) -> Result<Vec<u64>> {
        let held = self.held();
        let mut gone = Vec::new();
        for worker in workers.iter().copied().filter(|worker| !held.contains_key(worker)) {
            let path = self.path(worker);
            let file = match OpenOptions::new().write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    gone.push(worker);
                    continue;
                }
                Err(error) => return Err(failed("open", &path, error)),
            };
            match file.try_lock() {
                Ok(()) => gone.push(worker),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("try the lock of", &path, error)),
            }
        }
        Ok(gone)
    }

    fn newest(&self) -> Result<u64> {
        let entries = fs::read_dir(&self.folder).map_err(|e| failed("list", &self.folder, e))?;
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(numbers.max().unwrap_or(0))
    }

    fn path(&self, worker: u64) -> PathBuf {
        self.folder.join(worker.to_string())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn failed(task: &str, path: &Path, error: io::Error) -> Error {
    Error::storage(format!("{task} {}", path.display()), error)
}
