use super::{Pruner, Verdict, is_turn, loss, newest};
use crate::{History, TrialRecord};

/// Ends a trial whose best value so far is worse than a percentile of what complete trials reported at the same step.
///
/// With 50 it is the median rule of Golovin and others, "Google Vizier" (KDD 2017), with the best value so far in place of a
/// running mean. Only complete trials set the bar, and pruned ones never do, so it rises as a study goes on: give a warm-up
/// that covers a slow start, such as the warm-up of a learning rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentile {
    percent: f64,
    warmup: u64,
    startup: u64,
    interval: u64,
    min_values: usize,
}

impl Percentile {
    /// Keeps trials that are among the best `percent` of 100, from step `warmup` on.
    #[must_use]
    pub const fn new(percent: f64, warmup: u64) -> Self {
        Self { percent: percent.clamp(0.0, 100.0), warmup, startup: 5, interval: 1, min_values: 1 }
    }

    /// Keeps trials that are better than the median, from step `warmup` on.
    #[must_use]
    pub const fn median(warmup: u64) -> Self {
        Self::new(50.0, warmup)
    }

    /// Prunes nothing before so many trials are complete; 5 by default.
    #[must_use]
    pub const fn startup(mut self, trials: u64) -> Self {
        self.startup = trials;
        self
    }

    /// Speaks once in so many steps; 1 by default.
    #[must_use]
    pub const fn interval(mut self, steps: u64) -> Self {
        self.interval = if steps == 0 { 1 } else { steps };
        self
    }

    /// Speaks only where so many complete trials have reported; 1 by default.
    #[must_use]
    pub const fn min_values(mut self, values: usize) -> Self {
        self.min_values = if values == 0 { 1 } else { values };
        self
    }
}

impl Pruner for Percentile {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        let Some((step, _)) = newest(history, trial) else { return Verdict::Continue };
        if !is_turn(trial, step, self.warmup, self.interval) {
            return Verdict::Continue;
        }
        let complete = history.trials().iter().filter(|other| other.value().is_some());
        let (mut count, mut values) = (0, Vec::new());
        for other in complete {
            count += 1;
            values.extend(other.reports.get(&step).map(|values| loss(history, values)).filter(|x| x.is_finite()));
        }
        if count < self.startup || values.len() < self.min_values {
            return Verdict::Continue;
        }
        let bar = quantile(&mut values, self.percent / 100.0);
        let best = trial.reports.values().map(|values| loss(history, values)).fold(f64::INFINITY, f64::min);
        if best <= bar {
            return Verdict::Continue;
        }
        let (best, bar, percent, of) = (history.loss(best), history.loss(bar), self.percent, values.len());
        Verdict::prune(format!("its best, {best:.6}, is not among the best {percent} % of {of} there, up to {bar:.6}"))
    }

    fn identity(&self) -> String {
        let Self { percent, warmup, startup, interval, min_values } = self;
        format!("percentile {percent} (warmup {warmup}, startup {startup}, interval {interval}, values {min_values})")
    }
}

/// With linear interpolation between neighbours. Sorts the values, of which there is at least one.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    if below == above {
        values[below]
    } else {
        values[below] + (values[above] - values[below]) * (place - below as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0, 4.0], 0.5), 2.5);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0, 4.0], 0.25), 1.75);
        assert_eq!(quantile(&mut [7.0], 0.9), 7.0);
    }
}
