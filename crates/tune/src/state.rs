use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeloom_core::Timestamp;

use crate::{Error, Params, Result, TrialRecord, TrialStatus};

/// A trial that was running when the process ended so often is taken for the reason.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// The trials of a study, shared by the study and the trials that it gave out.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedState(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Sorted by number, without gaps.
    pub(crate) trials: Vec<TrialRecord>,
    /// Numbers of trials that a snapshot found running, last first.
    orphans: Vec<u64>,
}

impl SharedState {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The trials of a snapshot taken at an earlier time; those that ran then wait to be given out again.
    pub(crate) fn resumed(mut trials: Vec<TrialRecord>, now: Timestamp) -> Self {
        let running = |trial: &&mut TrialRecord| trial.status == TrialStatus::Running;
        for trial in trials.iter_mut().filter(running).filter(|trial| trial.attempts >= MAX_ATTEMPTS) {
            let reason = format!("the process ended {} times while this trial ran", trial.attempts);
            trial.status = TrialStatus::Failed { reason };
            trial.finished = Some(now);
        }
        let orphans = trials.iter().rev().filter(|t| t.status == TrialStatus::Running).map(|t| t.number).collect();
        Self { trials, orphans }
    }

    /// Gives out again the first trial that lost its process.
    pub(crate) fn adopt(&mut self, now: Timestamp) -> Option<&TrialRecord> {
        let number = loop {
            let number = self.orphans.pop()?;
            // Its result may have come by another way.
            if self.running(number).is_ok() {
                break number;
            }
        };
        let trial = self.running(number).ok()?;
        trial.reports.clear();
        trial.attempts += 1;
        trial.started = now;
        Some(trial)
    }

    pub(crate) fn start(&mut self, params: Params, now: Timestamp) -> &TrialRecord {
        let number = self.trials.len();
        self.trials.push(TrialRecord {
            number: number as u64,
            params,
            status: TrialStatus::Running,
            reports: BTreeMap::new(),
            attempts: 1,
            started: now,
            finished: None,
        });
        &self.trials[number]
    }

    pub(crate) fn report(&mut self, number: u64, step: u64, value: f64) -> Result<()> {
        let trial = self.running(number)?;
        if trial.reports.contains_key(&step) {
            return Err(Error::invalid("step", step, format!("trial {number} has reported it; report each step once")));
        }
        trial.reports.insert(step, value);
        Ok(())
    }

    pub(crate) fn finish(&mut self, number: u64, status: TrialStatus, now: Timestamp) -> Result<&TrialRecord> {
        let trial = self.running(number)?;
        trial.status = status;
        trial.finished = Some(now);
        Ok(trial)
    }

    fn running(&mut self, number: u64) -> Result<&mut TrialRecord> {
        let trial = usize::try_from(number).ok().and_then(|number| self.trials.get_mut(number));
        let trial = trial.ok_or(Error::NotRunning { trial: number, state: "unknown" })?;
        if trial.status != TrialStatus::Running {
            return Err(Error::NotRunning { trial: number, state: trial.status.name() });
        }
        Ok(trial)
    }
}
