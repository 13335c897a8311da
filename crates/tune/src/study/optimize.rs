use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tapeloom_core::Timestamp;

use super::{Study, Trial, TrialOutcome};
use crate::{Error, History, Result};

/// Why [`Study::optimize`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Ending {
    /// All trials of the call were run.
    Finished,
    /// The sampler had nothing left to propose.
    Exhausted,
    /// The best value has not got better for long.
    Plateau,
    /// The timeout passed.
    TimedOut,
    /// Somebody raised the stop flag.
    Stopped,
}

/// How long a worker of an ordered study sleeps at most before it looks whether other processes have told their trials.
const PATIENCE: Duration = Duration::from_millis(100);

impl Study {
    /// Runs `trials` trials one after the other.
    ///
    /// An objective that returns an error, NaN, or panics makes a failed trial, and the study goes on.
    ///
    /// # Errors
    /// Whatever [`Study::ask`] returns, but for an exhausted sampler, which is an [`Ending`].
    pub fn optimize<V: Into<TrialOutcome>, E: fmt::Display>(
        &self,
        trials: u64,
        objective: impl FnMut(&Trial) -> Result<V, E> + Send,
    ) -> Result<Ending> {
        let plan = Plan::new(self, trials);
        self.watched(&plan, || self.work(&plan, objective))
    }

    /// Runs `trials` trials on `workers` threads.
    ///
    /// In an [ordered](super::StudyBuilder::ordered) study, and with samplers that do not look at results, trials are the same
    /// for any number of workers; the order in which they end is not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no workers, and as [`Study::optimize`]; the other workers end their trials first.
    pub fn optimize_parallel<V: Into<TrialOutcome>, E: fmt::Display>(
        &self,
        trials: u64,
        workers: usize,
        objective: impl Fn(&Trial) -> Result<V, E> + Sync,
    ) -> Result<Ending> {
        if workers == 0 {
            return Err(Error::invalid("workers", 0, "use at least one"));
        }
        let plan = Plan::new(self, trials);
        let workers = u64::try_from(workers).unwrap_or(u64::MAX).min(trials.max(1));
        self.watched(&plan, || {
            let endings: Vec<Result<Ending>> = thread::scope(|scope| {
                let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| self.work(&plan, &objective))).collect();
                let ending = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
                    Ok(ending) => ending,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                workers.into_iter().map(ending).collect()
            });
            let endings = endings.into_iter().collect::<Result<Vec<_>>>()?;
            Ok(endings.into_iter().max().unwrap_or(Ending::Finished))
        })
    }

    fn work<V: Into<TrialOutcome>, E: fmt::Display>(
        &self,
        plan: &Plan,
        mut objective: impl FnMut(&Trial) -> Result<V, E>,
    ) -> Result<Ending> {
        let parts = &self.core.parts;
        while plan.take() {
            let trial = loop {
                if parts.stop.is_stopped() {
                    return Ok(Ending::Stopped);
                }
                if plan.deadline.is_some_and(|deadline| parts.clock.now() >= deadline) {
                    return Ok(Ending::TimedOut);
                }
                if parts.plateau.is_some_and(|(trials, delta)| is_plateau(&self.core.lock(), trials, delta)) {
                    return Ok(Ending::Plateau);
                }
                match self.ask() {
                    Ok(trial) => break trial,
                    Err(Error::BatchRuns { .. }) => {
                        let history = self.core.lock();
                        drop(self.core.told.wait_timeout(history, PATIENCE));
                        self.core.reclaim()?;
                    }
                    Err(Error::Exhausted { .. }) => return Ok(Ending::Exhausted),
                    Err(error) => {
                        plan.end();
                        return Err(error);
                    }
                }
            };
            let outcome = run(&trial, &mut objective);
            match trial.tell(outcome) {
                // Somebody else has it, or the hard timeout has passed: what this attempt found is refused, and that is all.
                Ok(()) | Err(Error::Superseded { .. } | Error::NotRunning { .. }) => {}
                Err(Error::Invalid { field, value, remedy }) => {
                    // Such as the wrong number of values: the trial's fault, and not the study's.
                    trial.tell(TrialOutcome::Failed(format!("{field} = {value}: {remedy}")))?;
                }
                Err(error) => {
                    plan.end();
                    return Err(error);
                }
            }
        }
        Ok(Ending::Finished)
    }

    /// Runs `work`, and beside it the watch over the hard timeout, if there is one.
    fn watched(&self, plan: &Plan, work: impl FnOnce() -> Result<Ending> + Send) -> Result<Ending> {
        let ending = match self.core.parts.hard_timeout {
            None => work(),
            Some(timeout) => thread::scope(|scope| {
                let watch = scope.spawn(|| self.watch(timeout, &plan.done));
                let ending = catch_unwind(AssertUnwindSafe(work));
                plan.done.store(true, Ordering::SeqCst);
                watch.thread().unpark();
                ending.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
        };
        self.core.parts.observer.flush();
        ending
    }

    fn watch(&self, timeout: Duration, done: &AtomicBool) {
        let pause = (timeout / 10).clamp(Duration::from_millis(5), Duration::from_secs(1));
        while !done.load(Ordering::SeqCst) {
            thread::park_timeout(pause);
            let late: Vec<(u64, u32)> = {
                let (history, now) = (self.core.lock(), self.core.parts.clock.now());
                let running = history.running().iter().filter_map(|number| history.trial(*number).ok());
                let own = running.filter(|trial| trial.worker == Some(self.core.worker));
                let late = own.filter(|trial| now >= self.core.after(trial.started, timeout));
                late.map(|trial| (trial.number, trial.attempts)).collect()
            };
            for (trial, attempt) in late {
                let outcome = TrialOutcome::Failed(format!("it did not end within {timeout:?}"));
                // It may have ended in this moment, and a storage that fails now is asked again soon.
                _ = self.core.tell(trial, attempt, &outcome, &[]);
            }
        }
    }
}

/// What the workers of one call have left to do.
struct Plan {
    left: AtomicU64,
    deadline: Option<Timestamp>,
    done: AtomicBool,
}

impl Plan {
    fn new(study: &Study, trials: u64) -> Self {
        let core = &study.core;
        let deadline = core.parts.timeout.map(|timeout| core.after(core.parts.clock.now(), timeout));
        Self { left: AtomicU64::new(trials), deadline, done: AtomicBool::new(false) }
    }

    fn take(&self) -> bool {
        self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn end(&self) {
        self.left.store(0, Ordering::SeqCst);
    }
}

/// A panic is one trial's failure too: often it is a shape or a size that its parameters can't have.
fn run<V: Into<TrialOutcome>, E: fmt::Display>(
    trial: &Trial,
    objective: &mut impl FnMut(&Trial) -> Result<V, E>,
) -> TrialOutcome {
    match catch_unwind(AssertUnwindSafe(|| objective(trial))) {
        Ok(Ok(outcome)) => outcome.into(),
        // The alternate form is where error types that hold a chain print all of it.
        Ok(Err(error)) => TrialOutcome::Failed(format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            TrialOutcome::Failed(format!("panicked: {}", text.as_deref().unwrap_or("without a message")))
        }
    }
}

/// Whether the best value has not got better by more than `delta` in the last `trials` finished trials.
fn is_plateau(history: &History, trials: u64, delta: f64) -> bool {
    let mut finished: Vec<_> = history.trials().iter().filter(|trial| trial.status.is_final()).collect();
    finished.sort_by_key(|trial| (trial.finished, trial.number));
    let (mut best, mut since) = (f64::INFINITY, 0);
    for trial in finished {
        let loss = trial.value().map_or(f64::INFINITY, |value| history.loss(value));
        if loss < best - delta || (best.is_infinite() && loss.is_finite()) {
            (best, since) = (loss, 0);
        } else {
            since += 1;
        }
    }
    best.is_finite() && since >= trials
}
