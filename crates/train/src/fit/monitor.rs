use serde::{Deserialize, Serialize};

use crate::config::{EarlyStoppingConfig, Mode};

/// Follows the monitored metric from epoch to epoch. Its state travels in the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Monitor {
    /// The best value that improved on the one before by more than the minimum change.
    #[serde(with = "tapeloom_core::exact::option")]
    best: Option<f64>,
    /// Epochs since then.
    waited: u64,
}

impl Monitor {
    /// Takes the value of one epoch; says whether it is an improvement.
    pub(crate) fn observe(&mut self, value: f64, mode: Mode, config: &EarlyStoppingConfig) -> bool {
        let improved = self.best.is_none_or(|best| match mode {
            Mode::Min => value < best - config.min_delta,
            Mode::Max => value > best + config.min_delta,
        });
        if improved {
            self.best = Some(value);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        improved
    }

    /// Whether the last value was an improvement.
    pub(crate) const fn has_improved(&self) -> bool {
        self.waited == 0 && self.best.is_some()
    }

    /// Whether patience is over.
    pub(crate) const fn is_exhausted(&self, config: &EarlyStoppingConfig) -> bool {
        config.patience > 0 && self.waited >= config.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[f64], mode: Mode, patience: u64) -> (Vec<bool>, Option<usize>) {
        let config = EarlyStoppingConfig { patience, min_delta: 0.1 };
        let mut monitor = Monitor::default();
        let mut improved = Vec::new();
        for (epoch, value) in values.iter().enumerate() {
            improved.push(monitor.observe(*value, mode, &config));
            if monitor.is_exhausted(&config) {
                return (improved, Some(epoch));
            }
        }
        (improved, None)
    }

    #[test]
    fn a_change_below_min_delta_is_no_improvement() {
        assert_eq!(run(&[1.0, 0.95, 0.91, 0.5], Mode::Min, 2), (vec![true, false, false], Some(2)));
        assert_eq!(run(&[1.0, 1.05, 1.2, 1.2], Mode::Max, 2), (vec![true, false, true, false], None));
    }

    #[test]
    fn patience_of_zero_never_ends_a_run() {
        assert_eq!(run(&[1.0; 9], Mode::Min, 0).1, None);
    }
}
