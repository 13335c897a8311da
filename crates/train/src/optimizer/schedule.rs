use serde::{Deserialize, Serialize};

use crate::config::Mode;
use crate::{Error, Result};

/// The learning rate as a function of the step alone, so that a resumed run needs no schedule state; only `plateau` looks at
/// the monitored metric, and its few numbers travel in the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The shape behind the warm-up. Default `cosine`.
    pub shape: Shape,
    /// Optimizer steps over which the rate climbs from almost 0 to its peak: a straight line, in `one_cycle` half a cosine. 0
    /// is no warm-up, and three tenths of the run in `one_cycle`. Default 0.
    pub warmup_steps: u64,
    /// The last rate as a share of the peak, in [0, 1]; `exponential` needs more than 0. `plateau` does not fall below it.
    /// Default 0.01.
    pub final_ratio: f64,
    /// What `step` and `plateau` multiply the rate by, in (0, 1). Default 0.1.
    pub decay_factor: f64,
    /// Steps from one cut of `step` to the next. Default 1000.
    pub decay_every_steps: u64,
    /// Epochs without a better monitored metric before `plateau` cuts the rate. Default 10.
    pub plateau_patience: u64,
    /// Change of the metric that `plateau` takes for better, as a share of its best value. Default 1e-4.
    pub plateau_threshold: f64,
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
    /// Up from a 25th of the peak and down again, each half a cosine (Smith and Topin 2019).
    OneCycle,
    /// The same factor at each step.
    Exponential,
    /// A factor each so many steps.
    Step,
    /// A factor when the monitored metric stops improving.
    Plateau,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            shape: Shape::Cosine,
            warmup_steps: 0,
            final_ratio: 0.01,
            decay_factor: 0.1,
            decay_every_steps: 1000,
            plateau_patience: 10,
            plateau_threshold: 1e-4,
        }
    }
}

impl ScheduleConfig {
    /// Where `one_cycle` starts, as a share of the peak.
    const START: f64 = 1.0 / 25.0;

    /// The rate of step `step` (from 0) of `total`, for a peak of `peak`. Of `plateau` it is the rate before any cut.
    #[must_use]
    pub fn rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        let one_cycle = self.shape == Shape::OneCycle;
        let warmup = if one_cycle && self.warmup_steps == 0 { total * 3 / 10 } else { self.warmup_steps };
        if step < warmup {
            let climbed = if one_cycle { step as f64 } else { (step + 1) as f64 } / warmup as f64;
            let share = if one_cycle { Self::START + (1.0 - Self::START) * (1.0 - cosine(climbed)) } else { climbed };
            return peak * share;
        }
        let (behind, span) = (step - warmup, total.saturating_sub(warmup).saturating_sub(1).max(1));
        let done = (behind as f64 / span as f64).min(1.0);
        let height = match self.shape {
            Shape::Constant | Shape::Plateau => return peak,
            Shape::Exponential => return peak * self.final_ratio.powf(done),
            Shape::Step => {
                let cuts = i32::try_from(behind / self.decay_every_steps).unwrap_or(i32::MAX);
                return peak * self.decay_factor.powi(cuts);
            }
            Shape::Linear => 1.0 - done,
            Shape::Cosine | Shape::OneCycle => cosine(done),
        };
        peak * (self.final_ratio + (1.0 - self.final_ratio) * height)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |field: &str, value: f64, remedy: &str| {
            Err(Error::invalid(format!("schedule.{field}"), value, remedy.to_owned()))
        };
        if !(0.0..=1.0).contains(&self.final_ratio) {
            return refuse("final_ratio", self.final_ratio, "give a share in [0, 1]");
        }
        if self.shape == Shape::Exponential && self.final_ratio == 0.0 {
            return refuse("final_ratio", 0.0, "an exponential never reaches 0; give a small share");
        }
        if !(self.decay_factor > 0.0 && self.decay_factor < 1.0) {
            return refuse("decay_factor", self.decay_factor, "give a factor in (0, 1)");
        }
        if self.decay_every_steps == 0 {
            return refuse("decay_every_steps", 0.0, "give at least 1 step");
        }
        if !(0.0..1.0).contains(&self.plateau_threshold) {
            return refuse("plateau_threshold", self.plateau_threshold, "give a share in [0, 1)");
        }
        Ok(())
    }
}

/// From 1 down to 0 while `done` goes from 0 to 1.
fn cosine(done: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// What the shape `plateau` remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plateau {
    #[serde(with = "tapeloom_core::exact::option")]
    best: Option<f64>,
    waited: u64,
    cuts: u32,
}

impl Plateau {
    /// Takes the monitored metric of one epoch.
    pub(crate) fn observe(&mut self, value: f64, mode: Mode, config: &ScheduleConfig) {
        let better = self.best.is_none_or(|best| {
            let least = config.plateau_threshold * best.abs();
            match mode {
                Mode::Min => value < best - least,
                Mode::Max => value > best + least,
            }
        });
        if better {
            (self.best, self.waited) = (Some(value), 0);
        } else {
            self.waited += 1;
        }
        if self.waited > config.plateau_patience {
            (self.waited, self.cuts) = (0, self.cuts + 1);
        }
    }

    /// Factor on the rate.
    pub(crate) fn factor(&self, config: &ScheduleConfig) -> f64 {
        if config.shape != Shape::Plateau {
            return 1.0;
        }
        config.decay_factor.powi(self.cuts as i32).max(config.final_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPES: [Shape; 7] = [
        Shape::Constant,
        Shape::Linear,
        Shape::Cosine,
        Shape::OneCycle,
        Shape::Exponential,
        Shape::Step,
        Shape::Plateau,
    ];

    #[test]
    fn warm_up_climbs_to_the_peak_and_the_end_is_the_final_rate() {
        for shape in [Shape::Linear, Shape::Cosine, Shape::Exponential] {
            let schedule = ScheduleConfig { shape, warmup_steps: 4, final_ratio: 0.1, ..ScheduleConfig::default() };
            let rates: Vec<f64> = (0..20).map(|step| schedule.rate(2.0, step, 20)).collect();
            assert_eq!(rates[..5], [0.5, 1.0, 1.5, 2.0, 2.0]);
            assert!((rates[19] - 0.2).abs() < 1e-12);
            assert!((schedule.rate(2.0, 99, 20) - 0.2).abs() < 1e-12);
        }
    }

    #[test]
    fn one_cycle_and_step_follow_by_hand() {
        let one_cycle = ScheduleConfig { shape: Shape::OneCycle, final_ratio: 0.0, ..ScheduleConfig::default() };
        let rates: Vec<f64> = (0..10).map(|step| one_cycle.rate(1.0, step, 10)).collect();
        // Three steps up: a 25th, then a quarter and three quarters of the way along half a cosine.
        for (got, want) in rates.iter().zip([0.04, 0.28, 0.76, 1.0]) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
        assert!(rates[9].abs() < 1e-12);
        let step = ScheduleConfig { shape: Shape::Step, decay_every_steps: 2, ..ScheduleConfig::default() };
        let rates: Vec<f64> = (0..5).map(|s| step.rate(1.0, s, 5)).collect();
        for (got, want) in rates.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01]) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
    }

    #[test]
    fn a_plateau_cuts_after_its_patience_and_not_below_the_last_rate() {
        let config = ScheduleConfig { shape: Shape::Plateau, plateau_patience: 1, ..ScheduleConfig::default() };
        let mut plateau = Plateau::default();
        let factors: Vec<f64> = [1.0, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
            .into_iter()
            .map(|value| {
                plateau.observe(value, Mode::Min, &config);
                plateau.factor(&config)
            })
            .collect();
        assert_eq!(factors[..6], [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]);
        assert!((factors[6] - 0.01).abs() < 1e-12 && (factors[10] - 0.01).abs() < 1e-12, "{factors:?}");
    }

    proptest! {
        #[test]
        fn a_rate_is_between_nothing_and_the_peak_and_never_rises_behind_it(
            shape in 0..SHAPES.len(), warmup in 0_u64..50, total in 1_u64..500, final_ratio in 0.001_f64..1.0,
        ) {
            let shape = SHAPES[shape];
            let config = ScheduleConfig { shape, warmup_steps: warmup, final_ratio, decay_every_steps: 7, ..Default::default() };
            let rates: Vec<f64> = (0..total + 20).map(|step| config.rate(3.0, step, total)).collect();
            prop_assert!(rates.iter().all(|rate| (0.0..=3.0 + 1e-12).contains(rate)));
            let top = if shape == Shape::OneCycle && warmup == 0 { total * 3 / 10 } else { warmup };
            let top = (top as usize).min(rates.len() - 1);
            prop_assert!(rates[..=top].is_sorted());
            prop_assert!(rates[top..].is_sorted_by(|a, b| a >= b));
        }
    }
}
