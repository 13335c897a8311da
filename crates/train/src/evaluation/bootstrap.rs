use serde::{Deserialize, Serialize};
use tapeloom_core::Philox;

use super::{BacktestConfig, Evaluation, Forecasts, pearson};
use crate::{Error, Result};

/// How a series is drawn anew to see how far a statistic of it moves by chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapConfig {
    /// Series drawn. Default 1000.
    pub draws: usize,
    /// Mean length of the blocks of neighbours that stay together; 0 takes the cube root of the series' length. Default 0.
    pub block: usize,
    /// Share of the draws that lies inside of an interval, in (0, 1). Default 0.95.
    pub level: f64,
    /// Decides the draws. Default 42.
    pub seed: u64,
}

impl Default for BootstrapConfig {
    fn default() -> Self {
        Self { draws: 1000, block: 0, level: 0.95, seed: 42 }
    }
}

/// Where a statistic lies, and between which bounds chance alone would move it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Of the series itself.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl BootstrapConfig {
    /// The percentile interval of a statistic of a series of `len` moments, by the stationary bootstrap (Politis and Romano,
    /// "The stationary bootstrap", 1994): blocks of random length keep what hangs together in time. `statistic` takes the
    /// places of a drawn series; draws in which it is not a number are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two moments, no draws, or a level outside (0, 1).
    pub fn interval(&self, len: usize, statistic: impl Fn(&[usize]) -> f64) -> Result<Interval> {
        if len < 2 {
            return Err(Error::invalid("series", len, "give at least 2 moments"));
        }
        if self.draws == 0 {
            return Err(Error::invalid("bootstrap.draws", 0, "give at least 1"));
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(Error::invalid("bootstrap.level", self.level, "give a share between 0 and 1"));
        }
        let straight: Vec<usize> = (0..len).collect();
        let mut places = vec![0; len];
        let mut values: Vec<f64> = (0..self.draws as u64)
            .map(|draw| {
                self.draw(draw, &mut places);
                statistic(&places)
            })
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| match values.len() {
            0 => f64::NAN,
            count => values[(share * (count - 1) as f64).round() as usize],
        };
        let tail = 0.5 * (1.0 - self.level);
        Ok(Interval { value: statistic(&straight), low: at(tail), high: at(1.0 - tail) })
    }

    /// The places of one drawn series.
    fn draw(&self, draw: u64, places: &mut [usize]) {
        let len = places.len();
        let block = if self.block == 0 { (len as f64).cbrt().round().max(1.0) } else { self.block as f64 };
        let mut uniform = vec![0.0; 2 * len];
        Philox::new(self.seed).uniform(draw, 0, &mut uniform);
        let mut place = 0;
        for (at, pair) in uniform.chunks_exact(2).enumerate() {
            let fresh = at == 0 || f64::from(pair[0]) < 1.0 / block;
            place = if fresh { ((f64::from(pair[1]) * len as f64) as usize).min(len - 1) } else { (place + 1) % len };
            places[at] = place;
        }
    }
}

/// The scores that a verdict rests on, with their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreIntervals {
    /// Correlation of forecast and outcome over all samples.
    pub pooled_ic: Interval,
    /// Share of non-zero outcomes whose sign the forecast had.
    pub directional_accuracy: Interval,
    /// A year's Sharpe ratio after costs.
    pub sharpe: Interval,
}

impl Evaluation {
    /// Bounds of the scores of forecasts. Moments are drawn with all their symbols, so that what moves together stays
    /// together.
    ///
    /// # Errors
    /// As [`BootstrapConfig::interval`].
    pub fn intervals(
        forecasts: &Forecasts,
        backtest: &BacktestConfig,
        bootstrap: &BootstrapConfig,
    ) -> Result<ScoreIntervals> {
        let dates: Vec<&[super::Forecast]> = forecasts.dates().collect();
        let rows = |places: &[usize]| places.iter().flat_map(|at| dates[*at]).copied().collect::<Vec<_>>();
        let pooled_ic = bootstrap.interval(dates.len(), |places| {
            let (f, y): (Vec<f64>, Vec<f64>) = rows(places).iter().map(|row| (row.value, row.outcome)).unzip();
            pearson(&f, &y)
        })?;
        let directional_accuracy = bootstrap.interval(dates.len(), |places| {
            let rows = rows(places);
            let moved = rows.iter().filter(|row| row.outcome != 0.0);
            let (count, hits) =
                moved.fold((0.0, 0.0), |(n, h), r| (n + 1.0, h + f64::from(u8::from(r.value * r.outcome > 0.0))));
            hits / count
        })?;
        let returns = super::Backtest::run(forecasts, backtest).returns();
        let year = (backtest.bars_per_year / backtest.horizon_bars.max(1) as f64).sqrt();
        let sharpe = bootstrap.interval(returns.len(), |places| {
            let drawn: Vec<f64> = places.iter().map(|at| returns[*at]).collect();
            let m = super::Moments::of(&drawn);
            m.mean / m.std * year
        })?;
        Ok(ScoreIntervals { pooled_ic, directional_accuracy, sharpe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(seed: u64, len: usize) -> Vec<f64> {
        let mut uniform = vec![0.0; 12 * len];
        Philox::new(seed).uniform(0, 0, &mut uniform);
        // Irwin and Hall: twelve uniform numbers add up to almost a normal one.
        uniform.chunks(12).map(|u| u.iter().map(|x| f64::from(*x)).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says() {
        let x = normal(1, 400);
        let mean = |places: &[usize]| places.iter().map(|at| x[*at]).sum::<f64>() / places.len() as f64;
        let interval = BootstrapConfig { block: 1, ..BootstrapConfig::default() }.interval(400, mean).expect("sound");
        let width = interval.high - interval.low;
        // 2 * 1.96 / sqrt(400) = 0.196 for a deviation of 1.
        assert!((0.16..0.24).contains(&width), "{interval:?}");
        assert!(interval.low < interval.value && interval.value < interval.high);
    }

    /// In 200 series with a mean of 0, an interval of 90 % holds the 0 about 180 times.
    #[test]
    fn intervals_cover_what_they_should() {
        let config = BootstrapConfig { draws: 200, level: 0.9, ..BootstrapConfig::default() };
        let covered = (0..200)
            .filter(|seed| {
                let x = normal(100 + seed, 120);
                let mean = |places: &[usize]| places.iter().map(|at| x[*at]).sum::<f64>() / places.len() as f64;
                let interval = config.interval(120, mean).expect("sound");
                interval.low < 0.0 && 0.0 < interval.high
            })
            .count();
        // Five standard deviations of a binomial with n = 200 and p = 0.9 is 21; small samples cover a little less.
        assert!((155..=200).contains(&covered), "{covered}");
    }

    /// A series in which each value comes ten times in a row has ten times fewer free ones: blocks must tell.
    #[test]
    fn blocks_see_what_hangs_together() {
        let base = normal(3, 60);
        let x: Vec<f64> = base.iter().flat_map(|x| [*x; 10]).collect();
        let mean = |places: &[usize]| places.iter().map(|at| x[*at]).sum::<f64>() / places.len() as f64;
        let width = |block| {
            let config = BootstrapConfig { block, ..BootstrapConfig::default() };
            let interval = config.interval(x.len(), mean).expect("sound");
            interval.high - interval.low
        };
        assert!(width(30) > 2.0 * width(1), "{} {}", width(30), width(1));
    }

    #[test]
    fn what_can_not_be_drawn_is_refused() {
        let nothing = |_: &[usize]| 0.0;
        assert!(BootstrapConfig::default().interval(1, nothing).is_err());
        assert!(BootstrapConfig { level: 1.0, ..BootstrapConfig::default() }.interval(9, nothing).is_err());
    }
}
