//! Whether forecasts were any good, out of sample, after costs, and after all that was tried.

mod backtest;
pub mod baseline;
mod bootstrap;
mod folds;
mod forecasts;
mod metrics;
mod overfitting;
mod scorecard;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

pub use backtest::{Backtest, BacktestConfig, Period, drawdowns};
pub use bootstrap::{BootstrapConfig, Interval, ScoreIntervals};
pub use folds::{CrossFold, CrossValidation, Subset};
pub use forecasts::{Forecast, Forecasts};
pub use metrics::{Classification, Regression};
pub use overfitting::Overfitting;
pub use scorecard::{Scorecard, Verdict};

/// Symbols that a date needs before a correlation over them means anything.
const CROSS_SECTION: usize = 5;

/// How good forecasts of returns were, out of sample.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Forecasts looked at.
    pub samples: usize,
    /// Correlation of forecast and outcome over all samples.
    pub pooled_ic: f64,
    /// Mean over dates of the correlation across symbols; pooled where dates hold fewer than five symbols.
    pub ic: f64,
    /// The same on ranks (Spearman).
    pub rank_ic: f64,
    /// `ic` in standard errors of its mean over dates; above 2 is unlikely to be chance.
    pub ic_t: f64,
    /// Share of non-zero outcomes whose sign the forecast had.
    pub directional_accuracy: f64,
    /// The forecasts traded.
    pub backtest: Backtest,
    /// Probability that the Sharpe ratio is above what the best of all trials would show by luck alone.
    pub deflated_sharpe: f64,
}

impl Evaluation {
    /// Scores forecasts; the deflated Sharpe ratio still counts one trial, see [`Evaluation::deflate`].
    #[must_use]
    pub fn new(forecasts: &Forecasts, config: &BacktestConfig) -> Self {
        let (values, outcomes) = (forecasts.values(), forecasts.outcomes());
        let pooled_ic = pearson(&values, &outcomes);
        let dates: Vec<(f64, f64)> = forecasts
            .dates()
            .filter(|date| date.len() >= CROSS_SECTION)
            .map(|date| {
                let (f, y): (Vec<f64>, Vec<f64>) = date.iter().map(|r| (r.value, r.outcome)).unzip();
                (pearson(&f, &y), pearson(&ranks(&f), &ranks(&y)))
            })
            .filter(|(ic, rank_ic)| ic.is_finite() && rank_ic.is_finite())
            .collect();
        let (ic, rank_ic, ic_t) = if dates.len() < 2 {
            let n = values.len() as f64;
            (pooled_ic, pearson(&ranks(&values), &ranks(&outcomes)), pooled_ic * n.sqrt())
        } else {
            let (ics, rank_ics): (Vec<f64>, Vec<f64>) = dates.into_iter().unzip();
            let m = Moments::of(&ics);
            (m.mean, Moments::of(&rank_ics).mean, m.mean / m.std * (ics.len() as f64).sqrt())
        };
        let moved = outcomes.iter().zip(&values).filter(|(y, _)| **y != 0.0);
        let (moved, hits) = moved.fold((0, 0), |(n, hit), (y, f)| (n + 1, hit + usize::from(f * y > 0.0)));
        let backtest = Backtest::run(forecasts, config);
        let mut evaluation = Self {
            samples: values.len(),
            pooled_ic,
            ic,
            rank_ic,
            ic_t,
            directional_accuracy: f64::from(hits as u32) / f64::from(moved.max(1)),
            backtest,
            deflated_sharpe: f64::NAN,
        };
        evaluation.deflate(&[]);
        evaluation
    }

    /// Counts the trials: `others` are the per-period Sharpe ratios of everything else that was tried on this data.
    pub fn deflate(&mut self, others: &[f64]) {
        let mut trials = others.to_vec();
        trials.push(self.backtest.period_sharpe());
        self.deflated_sharpe = deflated_sharpe(&self.backtest.returns(), &trials);
    }
}

/// Pearson's correlation; NaN when one side does not vary.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let (mx, my) = (Moments::of(x), Moments::of(y));
    let covariance = x.iter().zip(y).map(|(x, y)| (x - mx.mean) * (y - my.mean)).sum::<f64>() / x.len() as f64;
    covariance / (mx.std * my.std)
}

/// Ranks from 0; equal values share the mean of their ranks.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = order[from..].iter().take_while(|i| values[**i] == values[order[from]]).count().max(1);
        let mean = from as f64 + (same - 1) as f64 / 2.0;
        order[from..from + same].iter().for_each(|i| ranks[*i] = mean);
        from += same;
    }
    ranks
}

/// Probability that the true Sharpe ratio exceeds the best that `trials` of no skill would show (Bailey and Lopez de Prado,
/// "The deflated Sharpe ratio", 2014). `trials` holds the per-period Sharpe ratio of every trial, this one included.
/// NaN for returns that do not vary.
#[must_use]
pub fn deflated_sharpe(returns: &[f64], trials: &[f64]) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    let normal = Normal::standard();
    let m = Moments::of(returns);
    let sharpe = m.mean / m.std;
    let trials: Vec<f64> = trials.iter().copied().filter(|s| s.is_finite()).collect();
    let count = trials.len() as f64;
    let luck = if trials.len() < 2 {
        0.0
    } else {
        let best = |p: f64| normal.inverse_cdf(1.0 - p);
        let expected = (1.0 - EULER) * best(1.0 / count) + EULER * best(1.0 / (count * std::f64::consts::E));
        Moments::of(&trials).std * expected
    };
    let spread = (1.0 - m.skewness * sharpe + (m.kurtosis - 1.0) / 4.0 * sharpe * sharpe).sqrt();
    normal.cdf((sharpe - luck) * (returns.len() as f64 - 1.0).sqrt() / spread)
}

/// Moments of a sample; the standard deviation divides by n, kurtosis of a normal is 3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) std: f64,
    skewness: f64,
    kurtosis: f64,
}

impl Moments {
    pub(crate) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let central = |power: i32| values.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
        let std = central(2).sqrt();
        Self { mean, std, skewness: central(3) / std.powi(3), kurtosis: central(4) / std.powi(4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_of_known_samples() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!((pearson(&x, &[2.0, 4.0, 6.0, 8.0, 10.0]) - 1.0).abs() < 1e-12);
        // By hand: covariance 1.2, standard deviations sqrt 2 and sqrt 1.36.
        assert!((pearson(&x, &[2.0, 1.0, 4.0, 3.0, 4.0]) - 1.2 / (2.0_f64 * 1.36).sqrt()).abs() < 1e-12);
        assert!(pearson(&x, &[3.0; 5]).is_nan());
        assert_eq!(ranks(&[10.0, 30.0, 10.0, 20.0]), [0.5, 3.0, 0.5, 2.0]);
    }

    #[test]
    fn the_deflated_sharpe_ratio_of_one_trial_is_the_probabilistic_one() {
        // Alternating returns: skewness 0, kurtosis 1, so the spread is 1 and PSR = Phi(SR sqrt(n - 1)).
        let returns: Vec<f64> = (0..101).map(|i| if i % 2 == 0 { 0.02 } else { -0.01 }).collect();
        let m = Moments::of(&returns);
        let sharpe = m.mean / m.std;
        let spread = (1.0 - m.skewness * sharpe + (m.kurtosis - 1.0) / 4.0 * sharpe * sharpe).sqrt();
        let want = Normal::standard().cdf(sharpe * 10.0 / spread);
        assert!((deflated_sharpe(&returns, &[sharpe]) - want).abs() < 1e-12);
    }

    #[test]
    fn more_trials_deflate_more() {
        let returns: Vec<f64> = (0..250).map(|i| 0.001 + 0.01 * f64::from(i).sin()).collect();
        let trials = |n: usize| (0..n).map(|i| 0.05 * (i as f64).cos()).collect::<Vec<_>>();
        let (few, many) = (deflated_sharpe(&returns, &trials(3)), deflated_sharpe(&returns, &trials(300)));
        assert!(few > many, "{few} {many}");
    }

    #[test]
    fn a_published_example_of_the_deflated_sharpe_ratio() {
        // Bailey and Lopez de Prado 2014, numerical example: annual SR 2.5, 1250 daily returns, skewness -3, kurtosis 10,
        // 100 trials with variance 1/2 of annual SR over 250 days: SR0 = 0.1132 per day and DSR = 0.9004.
        let normal = Normal::standard();
        let (sharpe, count) = (2.5 / 250.0_f64.sqrt(), 100.0);
        let best = |p: f64| normal.inverse_cdf(1.0 - p);
        let euler = 0.577_215_664_901_532_9;
        let expected = (1.0 - euler) * best(1.0 / count) + euler * best(1.0 / (count * std::f64::consts::E));
        let luck = (0.5_f64 / 250.0).sqrt() * expected;
        assert!((luck - 0.1132).abs() < 1e-4, "{luck}");
        let spread = (1.0 + 3.0 * sharpe + 9.0 / 4.0 * sharpe * sharpe).sqrt();
        let dsr = normal.cdf((sharpe - luck) * 1249.0_f64.sqrt() / spread);
        assert!((dsr - 0.9004).abs() < 1e-3, "{dsr}");
    }
}
