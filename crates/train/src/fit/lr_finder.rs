use serde::{Deserialize, Serialize};
use tapeloom_core::WindowSource;
use tapeloom_model::Network;

use crate::batches::EpochOrder;
use crate::step::Step;
use crate::{Error, Result};

/// Steps of the range test at most.
const STEPS: u64 = 100;
const LOWEST: f64 = 1e-6;
const HIGHEST: f64 = 1.0;
/// Weight of the past in the smoothed loss.
const SMOOTHING: f64 = 0.9;
/// Draws of the test never meet those of the run, whose steps count from 0.
const FIRST_STEP: u64 = 1 << 48;

/// What the learning-rate range test saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateTest {
    /// Learning rate and smoothed loss of each step, up to where the loss left its range.
    pub curve: Vec<[f64; 2]>,
    /// The rate that was taken.
    pub rate: f64,
    /// Whether the loss fell at all; if not, the configured rate was taken.
    pub found: bool,
}

/// The learning-rate range test (Smith, "Cyclical learning rates", 2017): the rate grows exponentially over some steps, and
/// the one where the smoothed loss falls steepest is taken.
///
/// `step` is used up: give it a copy of the network. Falls back to `configured` when the loss never falls.
///
/// # Errors
/// Whatever a step refuses, but for divergence, which ends the test.
pub(crate) fn find<N: Network>(
    mut step: Step<N>,
    source: &dyn WindowSource,
    seed: u64,
    global_batch: usize,
    configured: f64,
) -> Result<RateTest> {
    let growth = (HIGHEST / LOWEST).powf(1.0 / (STEPS - 1) as f64);
    let (mut rate, mut average, mut lowest) = (LOWEST, 0.0, f64::INFINITY);
    let mut curve: Vec<[f64; 2]> = Vec::new();
    let order = EpochOrder::new(seed, u64::MAX, source.len(), global_batch);
    for i in 0..STEPS {
        let ids = order.batch(i % order.steps());
        let loss = match step.run(source, &ids, rate, FIRST_STEP + i) {
            Ok(report) => report.loss,
            Err(Error::Diverged { .. }) => break,
            Err(error) => return Err(error),
        };
        average = SMOOTHING * average + (1.0 - SMOOTHING) * loss;
        // Unbiased like Adam's moments: the first averages are made of few losses.
        let smooth = average / (1.0 - SMOOTHING.powi(i as i32 + 1));
        lowest = lowest.min(smooth);
        if i > 0 && smooth > 4.0 * lowest {
            break;
        }
        curve.push([rate, smooth]);
        rate *= growth;
    }
    let found = steepest(&curve);
    Ok(RateTest { rate: found.unwrap_or(configured), found: found.is_some(), curve })
}

/// The rate where the curve falls fastest per factor of the rate, its unsettled ends left out.
fn steepest(curve: &[[f64; 2]]) -> Option<f64> {
    const SPAN: usize = 5;
    let inner = curve.get(2 * SPAN..curve.len().saturating_sub(SPAN))?;
    let slopes = inner.windows(SPAN).map(|w| (w[SPAN / 2][0], w[SPAN - 1][1] - w[0][1]));
    slopes.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, slope)| *slope < 0.0).map(|(rate, _)| rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steepest_fall_is_found() {
        let curve: Vec<[f64; 2]> =
            (0..60).map(|i| [10_f64.powf(f64::from(i) / 10.0), 1.0 / (1.0 + (f64::from(i - 35)).exp())]).collect();
        let rate = steepest(&curve).expect("it falls");
        assert!((rate.log10() - 3.5).abs() < 0.2, "{rate}");
    }

    #[test]
    fn a_curve_that_never_falls_gives_no_rate() {
        let curve: Vec<[f64; 2]> = (0..60).map(|i| [f64::from(i), f64::from(i)]).collect();
        assert_eq!(steepest(&curve), None);
        assert_eq!(steepest(&curve[..3]), None);
    }
}
