//! A study: who asks for trials, runs them and tells what came of them.

mod ask;
mod builder;
mod core;
mod explain;
mod heartbeat;
mod optimize;
mod outcome;
mod summary;
mod trial;

use std::sync::Arc;

pub use self::builder::StudyBuilder;
use self::core::Core;
pub use self::explain::Explanation;
pub use self::optimize::Ending;
pub use self::outcome::{Advice, TrialOutcome, Values};
pub use self::summary::Summary;
pub use self::trial::Trial;
use crate::{History, Params, Result, Space, TrialRecord, TrialStatus};

/// Searches a [`Space`] for the parameters with the best values.
///
/// All methods take `&self`: threads share a study by reference, processes and hosts by their storage.
#[derive(Debug)]
pub struct Study {
    core: Arc<Core>,
}

impl Study {
    /// Starts a study of `space`: minimizing, seed 0, [`Tpe`](crate::Tpe), no pruner, in memory, the machine's clock.
    pub fn builder(space: Space) -> StudyBuilder {
        StudyBuilder::new(Some(space))
    }

    /// Starts a study whose trials name their parameters as they run, by [`Trial::suggest`] and its shorter forms.
    pub fn define_by_run() -> StudyBuilder {
        StudyBuilder::new(None)
    }

    /// The next trial to run. Trials that wait come first: those that were enqueued, and those that lost their worker or were
    /// returned, under their old number and with their old parameters. Then those that the pruner promotes, then a new one.
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted) when the sampler has nothing left, [`Error::BatchRuns`](crate::Error::BatchRuns) in an
    /// [ordered](StudyBuilder::ordered) study, and those of sampler and storage.
    pub fn ask(&self) -> Result<Trial> {
        self.core.ask()
    }

    /// Takes the result of a running trial. A value that is NaN is recorded as failed.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning) for a trial that has its result, [`Error::Superseded`](crate::Error::Superseded) for one that was given to somebody else
    /// in the meantime, and those of the storage; nothing changes then.
    pub fn tell(&self, trial: &Trial, outcome: impl Into<TrialOutcome>) -> Result<()> {
        trial.tell(outcome.into())
    }

    /// The handle of a trial that this study's worker or another one runs, for a host that passes trials on as numbers.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning) and [`Error::Superseded`](crate::Error::Superseded) when that attempt is not the one that runs.
    pub fn attach(&self, trial: u64, attempt: u32) -> Result<Trial> {
        self.core.sync()?;
        let record = self.core.lock().attempt(trial, attempt)?.clone();
        Ok(Trial::new(self.core.clone(), &record))
    }

    /// Adds a trial with parameters of your choice, to be run before new ones. Of a declared space all active parameters
    /// need a value; else any will do, and the sampler adds the others. Returns its number.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for parameters outside of the space, and those of the storage.
    pub fn enqueue(&self, params: Params) -> Result<u64> {
        self.core.enqueue(params)
    }

    /// Gives trials of workers that are gone back to the queue, and says how many. [`Study::ask`] does this too, about once a
    /// second.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn reclaim(&self) -> Result<usize> {
        self.core.reclaim()
    }

    /// The complete trial with the best first value that breaks no constraint, the earlier one of equals, as far as this
    /// process has read the study.
    #[must_use]
    pub fn best(&self) -> Option<TrialRecord> {
        self.core.lock().best().cloned()
    }

    /// Complete trials that break no constraint and that no other one beats in every objective, in the order of their numbers.
    #[must_use]
    pub fn front(&self) -> Vec<TrialRecord> {
        let history = self.core.lock();
        crate::pareto::front_of(&history).into_iter().cloned().collect()
    }

    /// All trials so far, in the order of their numbers.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn trials(&self) -> Result<Vec<TrialRecord>> {
        self.core.sync()?;
        Ok(self.core.lock().trials().to_vec())
    }

    /// What is known of the study.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn history(&self) -> Result<History> {
        self.core.sync()?;
        Ok(self.core.lock().clone())
    }

    /// The study in a few numbers.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn summary(&self) -> Result<Summary> {
        self.core.sync()?;
        Ok(Summary::of(&self.core.lock(), &self.core.parts))
    }

    /// Draws again the parameters of a trial from what the sampler knew then; they equal the trial's own to the bit, if the
    /// study has the sampler that drew them. None for a trial whose parameters a person chose.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a number that was not given yet, and those of sampler and storage.
    pub fn replay(&self, trial: u64) -> Result<Option<Params>> {
        self.core.replay(trial)
    }

    /// Why a trial has its parameters, and why it ended.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a number that was not given yet, and those of the storage.
    pub fn explain(&self, trial: u64) -> Result<Explanation> {
        self.core.sync()?;
        Explanation::of(&self.core.lock(), trial)
    }

    /// How this process is called in the study's log.
    #[must_use]
    pub fn worker(&self) -> u64 {
        self.core.worker
    }
}

impl TrialStatus {
    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into() }
    }
}
