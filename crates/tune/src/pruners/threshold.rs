use std::ops::RangeInclusive;

use super::{Pruner, Verdict, is_turn};
use crate::{History, TrialRecord};

/// Ends a trial that reports NaN or a value outside of a range, such as a loss that has exploded.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    range: RangeInclusive<f64>,
    warmup: u64,
    interval: u64,
}

impl Threshold {
    /// Keeps trials whose values lie in `range`; use an infinite end where there is none.
    #[must_use]
    pub const fn new(range: RangeInclusive<f64>) -> Self {
        Self { range, warmup: 0, interval: 1 }
    }

    /// From which step on; 0 by default.
    #[must_use]
    pub const fn warmup(mut self, step: u64) -> Self {
        self.warmup = step;
        self
    }

    /// Speaks once in so many steps; 1 by default.
    #[must_use]
    pub const fn interval(mut self, steps: u64) -> Self {
        self.interval = if steps == 0 { 1 } else { steps };
        self
    }
}

impl Pruner for Threshold {
    fn judge(&self, _: &History, trial: &TrialRecord) -> Verdict {
        let Some((step, values)) = trial.last_report() else { return Verdict::Continue };
        let value = values.first().copied().unwrap_or(f64::NAN);
        if self.range.contains(&value) || !is_turn(trial, step, self.warmup, self.interval) {
            return Verdict::Continue;
        }
        let (low, high) = (self.range.start(), self.range.end());
        Verdict::prune(format!("its value, {value:?}, is not in {low:?} to {high:?}"))
    }

    fn identity(&self) -> String {
        let (low, high) = (self.range.start(), self.range.end());
        format!("threshold {low:?} to {high:?} (warmup {}, interval {})", self.warmup, self.interval)
    }
}
