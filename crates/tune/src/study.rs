use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tapeloom_core::{BlobStore, Clock, Event, Fanout, Observer, StopFlag, SystemClock};

use crate::snapshot::Snapshot;
use crate::state::{SharedState, State};
use crate::{Error, Random, Request, Result, Sampler, Space, Trial, TrialOutcome, TrialRecord, TrialStatus};

/// Which values of the objective are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Small ones, such as of a loss.
    #[default]
    Minimize,
    /// Large ones, such as of an information coefficient.
    Maximize,
}

/// Searches a [`Space`] for the parameters with the best value.
///
/// All methods take `&self`: workers share a study by reference.
#[derive(Debug)]
pub struct Study {
    pub(crate) parts: StudyBuilder,
    state: SharedState,
    saving: Mutex<()>,
}

/// Puts a [`Study`] together.
#[derive(Clone, Debug)]
pub struct StudyBuilder {
    pub(crate) space: Space,
    pub(crate) direction: Direction,
    pub(crate) seed: u64,
    pub(crate) sampler: Arc<dyn Sampler>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: StopFlag,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timeout: Option<Duration>,
}

/// A study in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Summary {
    /// Which values are better.
    pub direction: Direction,
    /// Of the study.
    pub seed: u64,
    /// The sampler's identity.
    pub sampler: String,
    /// Trials in all. Say this number beside the best value: the more trials, the more of it is luck.
    pub trials: u64,
    /// Trials with a value.
    pub complete: u64,
    /// Trials that failed.
    pub failed: u64,
    /// Trials whose result has not come.
    pub running: u64,
    /// The trial with the best value, if one is complete.
    pub best: Option<TrialRecord>,
}

impl Study {
    /// Starts a study of `space`: minimizing, seed 0, [`Random`], no observer, the machine's clock, no timeout.
    #[must_use]
    pub fn builder(space: Space) -> StudyBuilder {
        StudyBuilder {
            space,
            direction: Direction::default(),
            seed: 0,
            sampler: Arc::new(Random),
            observer: Arc::new(Fanout::default()),
            stop: StopFlag::default(),
            clock: Arc::new(SystemClock),
            timeout: None,
        }
    }

    /// The next trial to run. After a resume, trials that ran when the snapshot was taken come first, under their old number
    /// and with their old parameters, their reports forgotten.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the sampler has nothing left, and whatever the sampler returns.
    pub fn ask(&self) -> Result<Trial> {
        let StudyBuilder { space, direction, seed, sampler, clock, .. } = &self.parts;
        let mut state = self.state.lock();
        let now = clock.now();
        if let Some(record) = state.adopt(now) {
            return Ok(Trial::new(record, *seed, self.state.clone()));
        }
        let trial = state.trials.len() as u64;
        let request = Request { space, seed: *seed, trial, direction: *direction, trials: &state.trials };
        let params = sampler.propose(&request)?.ok_or(Error::Exhausted { trials: trial })?;
        space.check(&params)?;
        Ok(Trial::new(state.start(params, now), *seed, self.state.clone()))
    }

    /// Takes the result of a running trial. A value that is not finite is recorded as failed.
    ///
    /// # Errors
    /// [`Error::NotRunning`] for a trial that has its result or was never asked for; nothing changes then.
    pub fn tell(&self, trial: u64, outcome: TrialOutcome) -> Result<()> {
        let now = self.parts.clock.now();
        let event = {
            let mut state = self.state.lock();
            let record = state.finish(trial, TrialStatus::from(outcome), now)?;
            Event::TrialFinished { trial, value: record.value(), seconds: record.seconds().unwrap_or_default() }
        };
        self.parts.observer.observe(now, &event);
        Ok(())
    }

    /// The complete trial with the best value, the earlier one of equals.
    #[must_use]
    pub fn best(&self) -> Option<TrialRecord> {
        best(&self.state.lock().trials, self.parts.direction).cloned()
    }

    /// All trials so far, in the order of their numbers.
    #[must_use]
    pub fn trials(&self) -> Vec<TrialRecord> {
        self.state.lock().trials.clone()
    }

    /// The study in a few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let state = self.state.lock();
        let count = |name| state.trials.iter().filter(|trial| trial.status.name() == name).count() as u64;
        Summary {
            direction: self.parts.direction,
            seed: self.parts.seed,
            sampler: self.parts.sampler.identity(),
            trials: state.trials.len() as u64,
            complete: count("complete"),
            failed: count("failed"),
            running: count("running"),
            best: best(&state.trials, self.parts.direction).cloned(),
        }
    }

    /// Writes all trials to `name`, replacing an earlier snapshot. An objective may call this while other trials run.
    ///
    /// # Errors
    /// Whatever kept the store from writing.
    pub fn save(&self, store: &dyn BlobStore, name: &str) -> Result<()> {
        // Two savers must not replace a newer snapshot by an older one.
        let _turn = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = Snapshot::of(&self.parts, self.trials()).to_bytes()?;
        Ok(store.put(name, &bytes)?)
    }
}

impl StudyBuilder {
    /// Which values are better.
    #[must_use]
    pub const fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Decides all draws.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Proposes the parameters.
    #[must_use]
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.sampler = Arc::new(sampler);
        self
    }

    /// Is told of every finished trial.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Ends [`Study::optimize`] at the next trial.
    #[must_use]
    pub fn stop(mut self, stop: StopFlag) -> Self {
        self.stop = stop;
        self
    }

    /// Tells the time of trials and timeouts.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How long one [`Study::optimize`] may start trials. It does not interrupt a trial that runs.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A study without trials.
    ///
    /// # Errors
    /// Whatever the sampler has against the space.
    pub fn build(self) -> Result<Study> {
        self.study(State::default())
    }

    /// The study whose snapshot `name` is in `store`. Space, direction, seed and sampler must be those of the snapshot;
    /// then it goes on as if it had never been interrupted.
    ///
    /// A trial that was running when the process ended is given out again, three times at most; then it has failed.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names what differs, [`Error::UnknownVersion`], [`Error::Damaged`], and whatever kept the
    /// store from reading.
    pub fn resume(self, store: &dyn BlobStore, name: &str) -> Result<Study> {
        let trials = Snapshot::parse(name, &store.get(name)?)?.trials_of(name, &self)?;
        let state = State::resumed(trials, self.clock.now());
        self.study(state)
    }

    fn study(self, state: State) -> Result<Study> {
        self.sampler.check(&self.space)?;
        let shared = SharedState::default();
        *shared.lock() = state;
        Ok(Study { parts: self, state: shared, saving: Mutex::new(()) })
    }
}

fn best(trials: &[TrialRecord], direction: Direction) -> Option<&TrialRecord> {
    let complete = trials.iter().filter_map(|trial| trial.value().map(|value| (trial, value)));
    // Both keep the first of equals.
    let better = |a: f64, b: f64| match direction {
        Direction::Minimize => b < a,
        Direction::Maximize => b > a,
    };
    complete.reduce(|a, b| if better(a.1, b.1) { b } else { a }).map(|(trial, _)| trial)
}
