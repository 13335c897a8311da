use std::sync::Arc;

use super::Trial;
use super::core::Core;
use crate::samplers::Proposal;
use crate::{Entry, Error, History, Params, Request, Result, TrialRecord};

/// How often a proposal that the host's filter refuses is drawn anew.
const REDRAWS: u64 = 100;

impl Core {
    pub(super) fn ask(self: &Arc<Self>) -> Result<Trial> {
        self.reclaim_sometimes()?;
        let mut number = 0;
        let mut slow = false;
        self.transact(|history| {
            let mut entries = Vec::new();
            let next = history.trials().len() as u64;
            let queued = history.waiting().first().copied().or_else(|| self.parts.pruner.promote(history));
            number = match (queued, self.parts.batch) {
                (Some(waiting), _) => waiting,
                (None, Some(batch)) => {
                    entries = self.next_batch(history, batch)?;
                    next
                }
                (None, None) => {
                    slow = self.parts.sampler.is_slow(history);
                    let at = self.parts.clock.now();
                    entries.push(if slow {
                        Entry::Added { params: None, seen: None, by: String::new(), at }
                    } else {
                        self.added(history, next)?
                    });
                    next
                }
            };
            entries.push(Entry::Claimed { trial: number, worker: self.worker, at: self.parts.clock.now() });
            Ok(entries)
        })?;
        let mut record = self.lock().trial(number)?.clone();
        // A slow sampler draws while nobody waits; so does the one who takes over from a worker that was lost before it drew.
        if record.seen.is_none() && record.by.is_empty() {
            record = self.draw(&record).inspect_err(|_| self.give_up(&record))?;
        }
        Ok(Trial::new(self.clone(), &record))
    }

    pub(super) fn enqueue(&self, params: Params) -> Result<u64> {
        if let Some(space) = &self.parts.space {
            space.check(&params)?;
        }
        let mut number = 0;
        self.transact(|history| {
            number = history.trials().len() as u64;
            let (params, at) = (Some(params.clone()), self.parts.clock.now());
            Ok(vec![Entry::Added { params, seen: None, by: "enqueued".into(), at }])
        })?;
        Ok(number)
    }

    pub(super) fn replay(&self, trial: u64) -> Result<Option<Params>> {
        self.sync()?;
        let record = self.lock().trial(trial)?.clone();
        let Some(seen) = record.seen else { return Ok(None) };
        let mut params = self.propose(&self.past(seen)?, trial)?.params;
        if !self.is_declared() {
            params = self.replay_named(&record, params)?;
        }
        Ok(Some(params))
    }

    /// The values of a trial that named its parameters: those of the proposal, and those that were drawn on the way.
    fn replay_named(&self, record: &TrialRecord, ahead: Params) -> Result<Params> {
        let mut params = Params::new();
        for entry in self.entries()? {
            let Entry::Suggested { trial, attempt, name, value, seen, .. } = entry.as_ref() else { continue };
            if (*trial, *attempt) != (record.number, record.attempts) {
                continue;
            }
            let history = self.lock().clone();
            let value = match seen {
                None => ahead.value(name).unwrap_or(value).clone(),
                Some(seen) => {
                    let domain = history.domains().get(name).cloned();
                    let domain = domain.ok_or_else(|| Error::damaged("the study", format!("{name} has no range")))?;
                    self.parts.sampler.suggest(&Request::new(&self.past(*seen)?, *trial), name, &domain)?
                }
            };
            params.insert(name, value);
        }
        Ok(params)
    }

    /// All trials of the next batch of an ordered study, each drawn as if those before it ran.
    fn next_batch(&self, history: &History, batch: u64) -> Result<Vec<Entry>> {
        if !history.running().is_empty() {
            return Err(Error::BatchRuns { running: history.running().len() });
        }
        let (mut history, mut entries) = (history.fork(), Vec::new());
        let next = history.trials().len() as u64;
        for trial in next..next - next % batch + batch {
            let entry = match self.added(&history, trial) {
                Err(Error::Exhausted { .. }) if trial > next => break,
                other => other?,
            };
            history.apply("the next batch", &entry)?;
            entries.push(entry);
        }
        Ok(entries)
    }

    fn added(&self, history: &History, trial: u64) -> Result<Entry> {
        let Proposal { params, by } = self.propose(history, trial)?;
        Ok(Entry::Added { params: Some(params), seen: Some(history.entries()), by, at: self.parts.clock.now() })
    }

    fn draw(&self, record: &TrialRecord) -> Result<TrialRecord> {
        let history = self.lock().clone();
        let (trial, attempt) = (record.number, record.attempts);
        let Proposal { params, by } = self.propose(&history, trial)?;
        let seen = history.entries();
        self.write(trial, attempt, |_| {
            Ok(vec![Entry::Drawn { trial, attempt, params: params.clone(), seen, by: by.clone() }])
        })?;
        self.lock().trial(trial).cloned()
    }

    /// A trial that got no parameters must not run for ever.
    fn give_up(&self, record: &TrialRecord) {
        let reason = "the sampler proposed nothing";
        _ = self.tell(record.number, record.attempts, &super::TrialOutcome::Failed(reason.into()), &[]);
    }

    fn propose(&self, history: &History, trial: u64) -> Result<Proposal> {
        let sampler = &self.parts.sampler;
        let exhausted = || Error::Exhausted { trials: trial };
        let request = Request::new(history, trial);
        let mut proposal = sampler.propose(&request)?.ok_or_else(exhausted)?;
        if let Some(space) = &self.parts.space {
            space.check(&proposal.params)?;
            if let Some(filter) = &self.parts.filter {
                proposal = filter.redraw(space, history, trial, proposal, REDRAWS)?;
            }
        }
        Ok(proposal)
    }
}
