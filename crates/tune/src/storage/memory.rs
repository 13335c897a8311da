use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Decide, Storage};
use crate::{Entry, Result};

/// A study that lives as long as its process. Clones are one storage.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Arc<Entry>>,
    workers: u64,
    present: BTreeSet<u64>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Memory {
    fn name(&self) -> String {
        "the study in memory".into()
    }

    fn read(&self, after: u64) -> Result<Vec<Arc<Entry>>> {
        Ok(self.lock().entries.get(after as usize..).unwrap_or_default().to_vec())
    }

    fn transact(&self, after: u64, decide: &mut Decide<'_>) -> Result<Vec<Arc<Entry>>> {
        let mut log = self.lock();
        let appended = decide(log.entries.get(after as usize..).unwrap_or_default())?;
        let appended: Vec<_> = appended.into_iter().map(Arc::new).collect();
        log.entries.extend(appended.iter().cloned());
        Ok(appended)
    }

    fn join(&self) -> Result<u64> {
        let mut log = self.lock();
        log.workers += 1;
        let worker = log.workers;
        log.present.insert(worker);
        Ok(worker)
    }

    fn beat(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn beat_every(&self) -> Option<Duration> {
        None
    }

    fn leave(&self, worker: u64) -> Result<()> {
        self.lock().present.remove(&worker);
        Ok(())
    }

    fn gone(&self, workers: &[u64]) -> Result<Vec<u64>> {
        let log = self.lock();
        Ok(workers.iter().copied().filter(|worker| !log.present.contains(worker)).collect())
    }
}
