use super::{Checkpoint, Entry, Header, History, Judgement, TrialRecord, TrialStatus};
use crate::{Error, Result};

impl History {
    /// Reads a whole log, or its beginning.
    ///
    /// # Errors
    /// [`Error::Damaged`] for entries that no study writes, [`Error::UnknownVersion`] for those of a newer one.
    pub fn of<'a>(name: &str, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self> {
        let mut entries = entries.into_iter();
        let Some(Entry::Created(header)) = entries.next() else {
            return Err(Error::damaged(name, "its log does not start with what the study is about"));
        };
        if header.version > Header::VERSION {
            let (version, supported) = (header.version, Header::VERSION);
            return Err(Error::UnknownVersion { name: name.into(), version, supported });
        }
        if header.directions.is_empty() {
            return Err(Error::damaged(name, "it has no objective"));
        }
        let mut history = Self::new(header.clone());
        entries.try_for_each(|entry| history.apply(name, entry))?;
        Ok(history)
    }

    /// Reads one entry more.
    ///
    /// # Errors
    /// As [`History::of`]; nothing changes then.
    pub fn apply(&mut self, name: &str, entry: &Entry) -> Result<()> {
        let place = self.entries;
        self.check(entry).map_err(|detail| Error::damaged(name, format!("entry {place}: {detail}")))?;
        self.entries += 1;
        match entry {
            Entry::Created(_) => {}
            Entry::Added { params, seen, by, at } => {
                let number = self.trials.len() as u64;
                let mut trial = TrialRecord::new(number, *at);
                (trial.seen, trial.by) = (*seen, by.clone());
                self.trials.push(trial);
                self.waiting.insert(number);
                if let Some(params) = params {
                    self.take_params(number, params);
                }
            }
            Entry::Claimed { trial, worker, at } => {
                self.move_to(*trial, TrialStatus::Running);
                let record = &mut self.trials[*trial as usize];
                // A trial that can be taken up again keeps what it reported up to its checkpoint.
                match &record.checkpoint {
                    Some(checkpoint) => {
                        let step = checkpoint.step;
                        record.reports.retain(|reported, _| *reported <= step);
                    }
                    None => record.reports.clear(),
                }
                record.attempts += 1;
                (record.worker, record.started) = (Some(*worker), *at);
            }
            _ => self.apply_attempt(entry),
        }
        Ok(())
    }

    /// What only the running attempt may say; the words of another one are ignored by every reader.
    fn apply_attempt(&mut self, entry: &Entry) {
        let Some((number, attempt)) = entry.attempt() else { return };
        if self.attempt(number, attempt).is_err() {
            return;
        }
        let trial = &mut self.trials[number as usize];
        match entry {
            Entry::Drawn { params, seen, by, .. } => {
                (trial.seen, trial.by) = (Some(*seen), by.clone());
                self.take_params(number, params);
            }
            Entry::Suggested { name, value, domain, .. } => {
                trial.params.insert(name, value.clone());
                if let Some(domain) = domain {
                    self.domains.insert(name.clone(), domain.clone());
                }
                self.changes.push(number);
            }
            Entry::Reported { step, values, .. } => {
                trial.reports.insert(*step, values.clone());
            }
            Entry::Judged { step, reason, audited, bar, .. } => {
                trial.judgements.push(Judgement { step: *step, reason: reason.clone(), audited: *audited, bar: *bar });
            }
            Entry::Constrained { name, value, .. } => {
                trial.constraints.insert(name.clone(), *value);
            }
            Entry::Noted { key, value, .. } => {
                trial.notes.insert(key.clone(), value.clone());
            }
            Entry::Saved { checkpoint, step, .. } => {
                trial.checkpoint = Some(Checkpoint { name: checkpoint.clone(), step: *step });
            }
            Entry::Paused { .. } => self.move_to(number, TrialStatus::Paused),
            Entry::Returned { reason, .. } => {
                trial.returned.push(reason.clone());
                self.move_to(number, TrialStatus::Waiting);
            }
            Entry::Finished { status, at, .. } => {
                trial.finished = Some(*at);
                self.move_to(number, status.clone());
            }
            Entry::Created(_) | Entry::Added { .. } | Entry::Claimed { .. } => {}
        }
    }

    fn take_params(&mut self, number: u64, params: &crate::Params) {
        let declared = self.header.space.is_some();
        let trial = &mut self.trials[number as usize];
        *(if declared { &mut trial.params } else { &mut trial.drawn }) = params.clone();
        self.changes.push(number);
    }

    fn move_to(&mut self, number: u64, status: TrialStatus) {
        for set in [&mut self.waiting, &mut self.running, &mut self.paused] {
            set.remove(&number);
        }
        match status {
            TrialStatus::Waiting => _ = self.waiting.insert(number),
            TrialStatus::Running => _ = self.running.insert(number),
            TrialStatus::Paused => _ = self.paused.insert(number),
            _ => {}
        }
        self.trials[number as usize].status = status;
        self.changes.push(number);
    }

    /// Why no study would write this entry here.
    fn check(&self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Created(_) => Err("a study begins once".into()),
            Entry::Added { params: Some(params), .. } | Entry::Drawn { params, .. } => match &self.header.space {
                Some(space) => space.check(params).map_err(|error| error.to_string()),
                None => Ok(()),
            },
            Entry::Claimed { trial, .. } => match self.trial(*trial) {
                Ok(record) if !record.status.is_final() => Ok(()),
                Ok(record) => Err(format!("trial {trial} is {} and can't be given out", record.status.name())),
                Err(error) => Err(error.to_string()),
            },
            Entry::Reported { values, .. } if values.len() != self.directions().len() => {
                Err(format!("{} values are reported for {} objectives", values.len(), self.directions().len()))
            }
            Entry::Finished { status: TrialStatus::Complete { values }, .. }
                if values.len() != self.directions().len() || values.iter().any(|value| value.is_nan()) =>
            {
                Err(format!("a trial of {} objectives ends with {values:?}", self.directions().len()))
            }
            Entry::Finished { status, .. } if !status.is_final() => Err(format!("a trial ends {}", status.name())),
            _ => Ok(()),
        }
    }
}

impl Entry {
    /// The trial and attempt that speak, for entries that only a running attempt may write.
    #[must_use]
    pub const fn attempt(&self) -> Option<(u64, u32)> {
        match self {
            Self::Created(_) | Self::Added { .. } | Self::Claimed { .. } => None,
            Self::Drawn { trial, attempt, .. }
            | Self::Suggested { trial, attempt, .. }
            | Self::Reported { trial, attempt, .. }
            | Self::Judged { trial, attempt, .. }
            | Self::Constrained { trial, attempt, .. }
            | Self::Noted { trial, attempt, .. }
            | Self::Saved { trial, attempt, .. }
            | Self::Paused { trial, attempt, .. }
            | Self::Returned { trial, attempt, .. }
            | Self::Finished { trial, attempt, .. } => Some((*trial, *attempt)),
        }
    }
}
