use super::{Pruner, Verdict, loss, newest};
use crate::{History, TrialRecord, TrialStatus};

/// Successive halving without waiting: at the steps `min_step`, `min_step * eta`, `min_step * eta^2` and so on a trial goes on
/// only if it is among the best 1 / `eta` of those that got there (Li and others, "A system for massively parallel
/// hyperparameter tuning", MLSys 2020).
///
/// With [`Asha::new`] a trial that isn't is ended. With [`Asha::pausing`] it waits at its checkpoint and goes on when enough
/// others turn out to be worse, so the order of arrival does not decide; the objective has to [save](crate::Trial::save)
/// checkpoints and start from [`Trial::checkpoint`](crate::Trial::checkpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asha {
    pub(super) min_step: u64,
    pub(super) eta: u64,
    pauses: bool,
}

impl Asha {
    /// Ends trials; `eta` of 3 or 4 is usual.
    #[must_use]
    pub const fn new(min_step: u64, eta: u64) -> Self {
        let (min_step, eta) = (if min_step == 0 { 1 } else { min_step }, if eta < 2 { 2 } else { eta });
        Self { min_step, eta, pauses: false }
    }

    /// Pauses trials, and promotes them later.
    #[must_use]
    pub const fn pausing(min_step: u64, eta: u64) -> Self {
        Self { pauses: true, ..Self::new(min_step, eta) }
    }

    /// The step of each rung, upwards, as far as `step`.
    fn rungs(&self, step: u64) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let rungs = std::iter::successors(Some(self.min_step), |rung| rung.checked_mul(self.eta));
        rungs.take_while(|rung| *rung <= step).collect::<Vec<_>>().into_iter()
    }

    /// What each trial that `takes_part` had when it reached `rung`.
    fn values(history: &History, rung: u64, takes_part: impl Fn(u64) -> bool) -> Vec<(f64, u64)> {
        let mut values: Vec<(f64, u64)> = history
            .trials()
            .iter()
            .filter(|trial| takes_part(trial.number))
            .filter_map(|trial| Some((loss(history, trial.reports.range(rung..).next()?.1), trial.number)))
            .collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        values
    }

    pub(super) fn judge_among(
        &self,
        history: &History,
        trial: &TrialRecord,
        takes_part: impl Fn(u64) -> bool,
    ) -> Verdict {
        let Some((step, own)) = newest(history, trial) else { return Verdict::Continue };
        let before = trial.reports.range(..step).next_back().map_or(0, |(step, _)| *step);
        // The highest rung that this report is the first to reach.
        let Some(rung) = self.rungs(step).rfind(|rung| *rung > before) else { return Verdict::Continue };
        let mut values = Self::values(history, rung, |number| number != trial.number && takes_part(number));
        let better = values.iter().filter(|(value, _)| *value < own).count();
        values.push((own, trial.number));
        let kept = (values.len() / self.eta as usize).max(1);
        if own.is_finite() && better < kept {
            return Verdict::Continue;
        }
        if self.pauses && own.is_finite() {
            return Verdict::Pause;
        }
        let (place, of) = (better + 1, values.len());
        Verdict::prune(format!("place {place} of {of} at the rung of step {rung}, of which {kept} go on"))
    }
}

impl Pruner for Asha {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        self.judge_among(history, trial, |_| true)
    }

    fn promote(&self, history: &History) -> Option<u64> {
        if !self.pauses || history.paused().is_empty() {
            return None;
        }
        let paused = history.paused().iter().filter_map(|number| history.trial(*number).ok());
        let reached = |trial: &TrialRecord| trial.last_report().and_then(|(step, _)| self.rungs(step).next_back());
        let top = paused.clone().filter_map(reached).max()?;
        // From the top: what has come far goes on first.
        self.rungs(top).rev().find_map(|rung| {
            let values = Self::values(history, rung, |_| true);
            let kept = &values[..values.len() / self.eta as usize];
            let waits = |number: u64| {
                let trial = history.trial(number).ok();
                trial.is_some_and(|trial| trial.status == TrialStatus::Paused && reached(trial) == Some(rung))
            };
            kept.iter().map(|(_, number)| *number).find(|number| waits(*number))
        })
    }

    fn identity(&self) -> String {
        let what = if self.pauses { "pausing asha" } else { "asha" };
        format!("{what} (from step {}, eta {})", self.min_step, self.eta)
    }
}
