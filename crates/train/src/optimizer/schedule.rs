use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The learning rate as a pure function of the step, so that a resumed run needs no schedule state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The shape behind the warm-up. Default `cosine`.
    pub shape: Shape,
    /// Optimizer steps over which the rate climbs linearly from 0 to its peak. Default 0.
    pub warmup_steps: u64,
    /// The last rate as a share of the peak, in [0, 1]. Default 0.01.
    pub final_ratio: f64,
}

/// How the rate falls from its peak to its last value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// It stays at its peak.
    Constant,
    /// A straight line.
    Linear,
    /// Half a cosine (Loshchilov and Hutter 2017).
    #[default]
    Cosine,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { shape: Shape::Cosine, warmup_steps: 0, final_ratio: 0.01 }
    }
}

impl ScheduleConfig {
    /// The rate of step `step` (from 0) of `total`, for a peak of `peak`.
    #[must_use]
    pub fn rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        if step < self.warmup_steps {
            return peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let span = total.saturating_sub(self.warmup_steps).saturating_sub(1).max(1);
        let done = ((step - self.warmup_steps) as f64 / span as f64).min(1.0);
        let height = match self.shape {
            Shape::Constant => return peak,
            Shape::Linear => 1.0 - done,
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        };
        peak * (self.final_ratio + (1.0 - self.final_ratio) * height)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.final_ratio) {
            return Ok(());
        }
        Err(Error::invalid("schedule.final_ratio", self.final_ratio, "give a share in [0, 1]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_climbs_to_the_peak_and_the_end_is_the_final_rate() {
        for shape in [Shape::Linear, Shape::Cosine] {
            let schedule = ScheduleConfig { shape, warmup_steps: 4, final_ratio: 0.1 };
            let rates: Vec<f64> = (0..20).map(|step| schedule.rate(2.0, step, 20)).collect();
            assert_eq!(rates[..5], [0.5, 1.0, 1.5, 2.0, 2.0]);
            assert!(rates[4..].is_sorted_by(|a, b| a >= b));
            assert!((rates[19] - 0.2).abs() < 1e-12);
            assert!((schedule.rate(2.0, 99, 20) - 0.2).abs() < 1e-12);
        }
    }

    #[test]
    fn a_constant_rate_stays() {
        let schedule = ScheduleConfig { shape: Shape::Constant, warmup_steps: 0, final_ratio: 0.5 };
        assert!((0..9).all(|step| schedule.rate(0.3, step, 9) == 0.3));
    }
}
