use super::{Pruner, Verdict, is_turn};
use crate::pareto::dominates;
use crate::{History, Result, TrialRecord};

/// For several objectives: ends a trial whose report is beaten in every objective by more than a share of what complete trials
/// reported at the same step.
#[derive(Clone, Debug, PartialEq)]
pub struct Dominated {
    share: f64,
    warmup: u64,
    startup: u64,
}

impl Dominated {
    /// Keeps trials that at most this share of complete trials dominates, from step `warmup` on.
    #[must_use]
    pub const fn new(share: f64, warmup: u64) -> Self {
        Self { share, warmup, startup: 10 }
    }

    /// Prunes nothing before so many complete trials have reported at the step; 10 by default.
    #[must_use]
    pub const fn startup(mut self, trials: u64) -> Self {
        self.startup = trials;
        self
    }
}

impl Pruner for Dominated {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        let Some((step, values)) = trial.last_report() else { return Verdict::Continue };
        if !is_turn(trial, step, self.warmup, 1) {
            return Verdict::Continue;
        }
        if values.iter().any(|value| value.is_nan()) {
            return Verdict::prune("it reported a value that is not a number");
        }
        let own = history.losses(values);
        let complete = history.trials().iter().filter(|other| other.values().is_some());
        let others: Vec<Vec<f64>> =
            complete.filter_map(|other| Some(history.losses(other.reports.get(&step)?))).collect();
        if (others.len() as u64) < self.startup {
            return Verdict::Continue;
        }
        let (beaten, of) = (others.iter().filter(|other| dominates(other, &own)).count(), others.len());
        if beaten as f64 <= self.share * of as f64 {
            return Verdict::Continue;
        }
        Verdict::prune(format!("{beaten} of {of} complete trials beat it in every objective there"))
    }

    fn identity(&self) -> String {
        format!("dominated by {} (warmup {}, startup {})", self.share, self.warmup, self.startup)
    }

    fn check(&self, _: usize) -> Result<()> {
        Ok(())
    }
}
