use super::{Pruner, Verdict, loss};
use crate::{History, TrialRecord};

/// Asks another pruner only about trials that have not got better for a while.
#[derive(Debug)]
pub struct Patient<P> {
    inner: P,
    patience: usize,
    min_delta: f64,
}

impl<P: Pruner> Patient<P> {
    /// Asks `inner` when the best of the last `patience` + 1 reports does not beat the best before them.
    #[must_use]
    pub const fn new(inner: P, patience: usize) -> Self {
        Self { inner, patience, min_delta: 0.0 }
    }

    /// By how much the newer reports may be worse; 0 by default.
    #[must_use]
    pub const fn min_delta(mut self, delta: f64) -> Self {
        self.min_delta = delta;
        self
    }
}

impl<P: Pruner> Pruner for Patient<P> {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        let losses: Vec<f64> = trial.reports.values().map(|values| loss(history, values)).collect();
        let Some(split) = losses.len().checked_sub(self.patience + 1).filter(|split| *split > 0) else {
            return Verdict::Continue;
        };
        let best = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
        if best(&losses[..split]) + self.min_delta < best(&losses[split..]) {
            return self.inner.judge(history, trial);
        }
        Verdict::Continue
    }

    fn promote(&self, history: &History) -> Option<u64> {
        self.inner.promote(history)
    }

    fn identity(&self) -> String {
        format!("patient {} (delta {:?}), then {}", self.patience, self.min_delta, self.inner.identity())
    }
}
