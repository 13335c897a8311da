use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapeloom_core::{Event, Timestamp};

use super::heartbeat::Heartbeat;
use super::{Advice, StudyBuilder, TrialOutcome};
use crate::pruners::Verdict;
use crate::{Direction, Entry, Error, History, Result, Storage, TrialRecord, TrialStatus};

/// What a study and the trials that it gave out share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) parts: StudyBuilder,
    pub(super) worker: u64,
    storage: Arc<dyn Storage>,
    history: Mutex<History>,
    /// Signalled when a trial of this process was told.
    pub(super) told: Condvar,
    /// What a pruner of an ordered study may know: the history before the batch.
    before_batch: Mutex<Option<Arc<History>>>,
    looked: AtomicI64,
    _heartbeat: Option<Heartbeat>,
}

impl Core {
    pub(super) fn open(parts: StudyBuilder) -> Result<Self> {
        let storage = parts.storage.clone();
        let header = parts.header();
        // Whoever comes first says what the study is about; all others have to agree.
        let mut stored = Vec::new();
        let appended = storage.transact(0, &mut |entries| {
            stored.extend(entries.iter().cloned());
            Ok(if stored.is_empty() { vec![Entry::Created(header.clone())] } else { Vec::new() })
        })?;
        stored.extend(appended);
        let name = storage.name();
        let history = History::of(&name, stored.iter().map(AsRef::as_ref))?;
        parts.agrees(&name, history.header())?;
        let worker = storage.join()?;
        let heartbeat = storage.beat_every().map(|every| Heartbeat::start(storage.clone(), worker, every));
        Ok(Self {
            parts,
            worker,
            storage,
            history: Mutex::new(history),
            told: Condvar::new(),
            before_batch: Mutex::new(None),
            looked: AtomicI64::new(i64::MIN),
            _heartbeat: heartbeat,
        })
    }

    pub(super) fn is_declared(&self) -> bool {
        self.parts.space.is_some()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what others wrote.
    pub(super) fn sync(&self) -> Result<()> {
        let mut history = self.lock();
        let entries = self.storage.read(history.entries())?;
        let name = self.storage.name();
        entries.iter().try_for_each(|entry| history.apply(&name, entry))
    }

    /// Lets `decide` see the whole history and append to it while nobody else writes.
    pub(super) fn transact(&self, mut decide: impl FnMut(&History) -> Result<Vec<Entry>>) -> Result<()> {
        let mut history = self.lock();
        let name = self.storage.name();
        let known = history.entries();
        let appended = self.storage.transact(known, &mut |entries| {
            // Called again, it is shown again what it saw.
            let seen = (history.entries() - known) as usize;
            entries.iter().skip(seen).try_for_each(|entry| history.apply(&name, entry))?;
            decide(&history)
        })?;
        appended.iter().try_for_each(|entry| history.apply(&name, entry))
    }

    /// Appends what a running attempt says.
    pub(super) fn write(
        &self,
        trial: u64,
        attempt: u32,
        mut say: impl FnMut(&TrialRecord) -> Result<Vec<Entry>>,
    ) -> Result<()> {
        self.transact(|history| say(history.attempt(trial, attempt)?))
    }

    pub(super) fn report(
        &self,
        trial: u64,
        attempt: u32,
        step: u64,
        values: &[f64],
        unsaved: &[Entry],
    ) -> Result<Advice> {
        self.check_count("values", values.len())?;
        let mut advice = Advice::Continue;
        let before_batch = self.history_of_pruner(trial)?;
        self.transact(|history| {
            advice = Advice::Continue;
            let record = history.attempt(trial, attempt)?;
            if record.reports.contains_key(&step) {
                let remedy = format!("trial {trial} has reported it; report each step once");
                return Err(Error::invalid("step", step, remedy));
            }
            let mut entries = unsaved.to_vec();
            entries.push(Entry::Reported { trial, attempt, step, values: values.to_vec() });
            let mut record = record.clone();
            record.reports.insert(step, values.to_vec());
            let verdict = self.parts.pruner.judge(before_batch.as_deref().unwrap_or(history), &record);
            let (reason, bar) = match verdict {
                Verdict::Continue => return Ok(entries),
                Verdict::Pause => {
                    advice = Advice::Pause;
                    return Ok(entries);
                }
                Verdict::Prune { reason, bar } => (reason, bar),
            };
            let audited = self.parts.is_audited(trial);
            // An audited trial is judged once: its end will tell.
            if !audited || record.judgements.is_empty() {
                entries.push(Entry::Judged { trial, attempt, step, reason: reason.clone(), audited, bar });
            }
            if !audited {
                advice = Advice::Prune(reason);
            }
            Ok(entries)
        })?;
        Ok(advice)
    }

    pub(super) fn tell(&self, trial: u64, attempt: u32, outcome: &TrialOutcome, unsaved: &[Entry]) -> Result<()> {
        if let TrialOutcome::Complete(values) = outcome {
            self.check_count("values", values.0.len())?;
        }
        let now = self.parts.clock.now();
        let retries = self.parts.retries;
        self.write(trial, attempt, |record| {
            let mut entries = unsaved.to_vec();
            entries.push(ending(record, outcome, &self.parts.directions, retries, now));
            Ok(entries)
        })?;
        let event = {
            let history = self.lock();
            let record = history.trial(trial)?;
            let finished =
                Event::TrialFinished { trial, value: record.value(), seconds: record.seconds().unwrap_or_default() };
            record.status.is_final().then_some(finished)
        };
        self.told.notify_all();
        if let Some(event) = event {
            self.parts.observer.observe(now, &event);
        }
        Ok(())
    }

    /// Gives trials of workers that are gone back to the queue.
    pub(super) fn reclaim(&self) -> Result<usize> {
        self.sync()?;
        let owners: BTreeSet<u64> = {
            let history = self.lock();
            let owner = |number: &u64| history.trial(*number).ok().and_then(|trial| trial.worker);
            history.running().iter().filter_map(owner).filter(|worker| *worker != self.worker).collect()
        };
        if owners.is_empty() {
            return Ok(0);
        }
        let gone = self.storage.gone(&owners.into_iter().collect::<Vec<_>>())?;
        let mut count = 0;
        let now = self.parts.clock.now();
        if !gone.is_empty() {
            self.transact(|history| {
                let running = history.running().iter().filter_map(|number| history.trial(*number).ok());
                let lost = running.filter(|trial| trial.worker.is_some_and(|worker| gone.contains(&worker)));
                let entries: Vec<Entry> = lost.map(|record| self.lost(record, now)).collect();
                count = entries.len();
                Ok(entries)
            })?;
        }
        Ok(count)
    }

    /// As [`Core::reclaim`], once a second at most.
    pub(super) fn reclaim_sometimes(&self) -> Result<()> {
        let (now, last) = (self.parts.clock.now().micros(), self.looked.load(Ordering::Relaxed));
        if last == i64::MIN || now < last || now - last >= 1_000_000 {
            self.looked.store(now, Ordering::Relaxed);
            self.reclaim()?;
        }
        Ok(())
    }

    pub(super) fn after(&self, start: Timestamp, timeout: Duration) -> Timestamp {
        Timestamp::from_micros(start.micros().saturating_add(i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The history that the log's first `entries` entries make.
    pub(super) fn past(&self, entries: u64) -> Result<History> {
        let log = self.storage.read(0)?;
        History::of(&self.storage.name(), log.iter().take(entries as usize).map(AsRef::as_ref))
    }

    pub(super) fn entries(&self) -> Result<Vec<Arc<Entry>>> {
        self.storage.read(0)
    }

    fn lost(&self, record: &TrialRecord, at: Timestamp) -> Entry {
        let (trial, attempt) = (record.number, record.attempts);
        if attempt >= self.parts.max_attempts {
            let reason = format!("its worker was lost {attempt} times");
            return Entry::Finished { trial, attempt, status: TrialStatus::failed(reason), at };
        }
        let worker = record.worker.unwrap_or_default();
        Entry::Returned { trial, attempt, reason: format!("worker {worker} is gone"), at }
    }

    /// In an ordered study a pruner knows what was known before the trial's batch, whatever its neighbours did since.
    fn history_of_pruner(&self, trial: u64) -> Result<Option<Arc<History>>> {
        let Some(batch) = self.parts.batch else { return Ok(None) };
        let first = trial - trial % batch;
        let seen = self.lock().trial(first)?.seen;
        let Some(seen) = seen else { return Ok(None) };
        let mut cached = self.before_batch.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.as_ref().is_none_or(|history| history.entries() != seen) {
            *cached = Some(Arc::new(self.past(seen)?));
        }
        Ok(cached.clone())
    }

    fn check_count(&self, field: &str, count: usize) -> Result<()> {
        let objectives = self.parts.directions.len();
        if count == objectives {
            return Ok(());
        }
        Err(Error::invalid(field, count, format!("give one value for each of the {objectives} objectives")))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // A worker that can't say good-bye is found gone all the same.
        _ = self.storage.leave(self.worker);
    }
}

fn ending(
    record: &TrialRecord,
    outcome: &TrialOutcome,
    directions: &[Direction],
    retries: u32,
    at: Timestamp,
) -> Entry {
    let (trial, attempt) = (record.number, record.attempts);
    let status = match outcome {
        TrialOutcome::Paused => return Entry::Paused { trial, attempt, at },
        TrialOutcome::Returned(reason) => return Entry::Returned { trial, attempt, reason: reason.clone(), at },
        TrialOutcome::Complete(values) if values.0.iter().any(|value| value.is_nan()) => {
            TrialStatus::failed("an objective is not a number")
        }
        TrialOutcome::Complete(values)
            if directions.iter().zip(&values.0).any(|(d, x)| d.loss(*x) == f64::NEG_INFINITY) =>
        {
            TrialStatus::failed(format!("an objective is infinitely good: {:?}", values.0))
        }
        TrialOutcome::Complete(values) => TrialStatus::Complete { values: values.0.clone() },
        TrialOutcome::Pruned(reason) => TrialStatus::Pruned { reason: reason.clone() },
        TrialOutcome::Failed(reason) if attempt <= retries => {
            return Entry::Returned { trial, attempt, reason: reason.clone(), at };
        }
        TrialOutcome::Failed(reason) => TrialStatus::failed(reason.clone()),
    };
    Entry::Finished { trial, attempt, status, at }
}
