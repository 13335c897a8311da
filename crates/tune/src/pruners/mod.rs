//! Who ends trials early.

mod asha;
mod audit;
mod curve;
mod dominated;
mod hyperband;
mod patient;
mod percentile;
mod threshold;
mod wilcoxon;

use std::fmt;

pub use asha::Asha;
pub use audit::{PruningAudit, pruning_audit};
pub use curve::Curve;
pub use dominated::Dominated;
pub use hyperband::Hyperband;
pub use patient::Patient;
pub use percentile::Percentile;
pub use threshold::Threshold;
pub use wilcoxon::Wilcoxon;

use crate::{Error, History, Result, TrialRecord};

/// Ends trials that are not worth more.
///
/// A verdict is a function of what it is shown; a pruner keeps nothing between calls, so a study that is opened again prunes
/// as before.
pub trait Pruner: Send + Sync + fmt::Debug {
    /// Speaks about a running trial right after its newest report, which `trial` holds.
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict;

    /// A paused trial that deserves to go on, before a new one is started.
    fn promote(&self, history: &History) -> Option<u64> {
        let _ = history;
        None
    }

    /// Names the pruner and the settings that change its verdicts.
    fn identity(&self) -> String;

    /// Refuses a number of objectives that it can't judge. Most pruners judge one.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says so.
    fn check(&self, objectives: usize) -> Result<()> {
        if objectives == 1 {
            return Ok(());
        }
        Err(Error::invalid("pruner", self.identity(), "it judges one objective; for several use `Dominated` or none"))
    }
}

/// What a pruner says of a trial.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// It waits until the pruner promotes it.
    Pause,
    /// It ends.
    Prune {
        /// In a few words and numbers.
        reason: String,
        /// The final value that the trial is thought not to reach, if the pruner says one.
        bar: Option<f64>,
    },
}

impl Verdict {
    pub(crate) fn prune(reason: impl Into<String>) -> Self {
        Self::Prune { reason: reason.into(), bar: None }
    }
}

/// Lets every trial run.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPruner;

impl Pruner for NoPruner {
    fn judge(&self, _: &History, _: &TrialRecord) -> Verdict {
        Verdict::Continue
    }

    fn identity(&self) -> String {
        "none".into()
    }

    fn check(&self, _: usize) -> Result<()> {
        Ok(())
    }
}

/// Step and value of a trial's newest report, the sign turned so that smaller is better, NaN as the worst.
pub(crate) fn newest(history: &History, trial: &TrialRecord) -> Option<(u64, f64)> {
    let (step, values) = trial.last_report()?;
    Some((step, loss(history, values)))
}

/// The first objective of a report, the sign turned so that smaller is better, NaN as the worst.
pub(crate) fn loss(history: &History, values: &[f64]) -> f64 {
    let loss = history.loss(values.first().copied().unwrap_or(f64::NAN));
    if loss.is_nan() { f64::INFINITY } else { loss }
}

/// Whether a trial that has just reported `step` speaks for the first time in its interval after the warm-up.
pub(crate) fn is_turn(trial: &TrialRecord, step: u64, warmup: u64, interval: u64) -> bool {
    let Some(past) = step.checked_sub(warmup) else { return false };
    let start = warmup + past / interval * interval;
    trial.reports.range(..step).next_back().is_none_or(|(earlier, _)| *earlier < start)
}
