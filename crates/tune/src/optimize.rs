use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tapeloom_core::Timestamp;

use crate::{Error, Result, Study, Trial, TrialOutcome};

/// Why [`Study::optimize`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Ending {
    /// All trials of the call were run.
    Finished,
    /// The sampler had nothing left to propose.
    Exhausted,
    /// The timeout passed.
    TimedOut,
    /// Somebody raised the stop flag.
    Stopped,
}

impl Study {
    /// Runs `trials` trials one after the other.
    ///
    /// An objective that returns an error, a value that is not finite, or panics makes a failed trial, and the study goes on.
    ///
    /// # Errors
    /// Whatever [`Study::ask`] returns, but for an exhausted sampler, which is an [`Ending`].
    pub fn optimize<E: fmt::Display>(
        &self,
        trials: u64,
        objective: impl FnMut(&Trial) -> Result<f64, E>,
    ) -> Result<Ending> {
        let plan = Plan::new(self, trials);
        let ending = self.work(&plan, objective);
        self.parts.observer.flush();
        ending
    }

    /// Runs `trials` trials on `workers` threads.
    ///
    /// With [`Random`](crate::Random) and [`Grid`](crate::Grid) the parameters of a trial number are the same for any number
    /// of workers; the order in which trials end is not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no workers, and as [`Study::optimize`]; the other workers end their trials first.
    pub fn optimize_parallel<E: fmt::Display>(
        &self,
        trials: u64,
        workers: usize,
        objective: impl Fn(&Trial) -> Result<f64, E> + Sync,
    ) -> Result<Ending> {
        if workers == 0 {
            return Err(Error::invalid("workers", 0, "use at least one"));
        }
        let plan = Plan::new(self, trials);
        let workers = u64::try_from(workers).unwrap_or(u64::MAX).min(trials.max(1));
        let endings: Vec<Result<Ending>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| self.work(&plan, &objective))).collect();
            let ending = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(ending) => ending,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().map(ending).collect()
        });
        self.parts.observer.flush();
        let endings = endings.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(endings.into_iter().max().unwrap_or(Ending::Finished))
    }

    fn work<E: fmt::Display>(
        &self,
        plan: &Plan,
        mut objective: impl FnMut(&Trial) -> Result<f64, E>,
    ) -> Result<Ending> {
        loop {
            if !plan.take() {
                return Ok(Ending::Finished);
            }
            if self.parts.stop.is_stopped() {
                return Ok(Ending::Stopped);
            }
            if plan.deadline.is_some_and(|deadline| self.parts.clock.now() >= deadline) {
                return Ok(Ending::TimedOut);
            }
            let trial = match self.ask() {
                Ok(trial) => trial,
                Err(Error::Exhausted { .. }) => return Ok(Ending::Exhausted),
                Err(error) => {
                    plan.end();
                    return Err(error);
                }
            };
            let outcome = run(&trial, &mut objective);
            self.tell(trial.number(), outcome).inspect_err(|_| plan.end())?;
        }
    }
}

/// What the workers of one call have left to do.
struct Plan {
    left: AtomicU64,
    deadline: Option<Timestamp>,
}

impl Plan {
    fn new(study: &Study, trials: u64) -> Self {
        let micros = |timeout: std::time::Duration| i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
        let deadline =
            |timeout| Timestamp::from_micros(study.parts.clock.now().micros().saturating_add(micros(timeout)));
        Self { left: AtomicU64::new(trials), deadline: study.parts.timeout.map(deadline) }
    }

    fn take(&self) -> bool {
        self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn end(&self) {
        self.left.store(0, Ordering::SeqCst);
    }
}

/// A panic is one trial's failure too: often it is a shape or a size that its parameters can't have.
fn run<E: fmt::Display>(trial: &Trial, objective: &mut impl FnMut(&Trial) -> Result<f64, E>) -> TrialOutcome {
    match catch_unwind(AssertUnwindSafe(|| objective(trial))) {
        Ok(Ok(value)) => TrialOutcome::Complete(value),
        // The alternate form is where error types that hold a chain print all of it.
        Ok(Err(error)) => TrialOutcome::Failed(format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            TrialOutcome::Failed(format!("panicked: {}", text.as_deref().unwrap_or("without a message")))
        }
    }
}
