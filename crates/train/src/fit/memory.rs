use serde::Serialize;
use tapeloom_core::WindowSpec;
use tapeloom_model::ModelConfig;

use crate::config::{AverageKind, BudgetConfig, OptimizerKind, TrainConfig};
use crate::{Error, Result};

/// What a run will hold in memory at its peak, in bytes, as far as sizes tell before it starts.
///
/// Activations are an estimate by the shape of the model, good to about a factor of two; the rest is exact. What libraries
/// and the samples themselves take comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// The weights.
    pub parameters: u64,
    /// One number for each weight; two while passes are added up.
    pub gradients: u64,
    /// Moments of the optimizer.
    pub optimizer: u64,
    /// The average of the weights.
    pub averages: u64,
    /// The state that the run could go back to, and a set that is being written.
    pub snapshots: u64,
    /// What the backward pass needs of one pass.
    pub activations: u64,
}

impl MemoryPlan {
    /// For a network of `parameters` numbers on windows like these.
    #[must_use]
    pub fn of(config: &TrainConfig, window: &WindowSpec, parameters: u64) -> Self {
        let weights = 4 * parameters;
        let moments = match config.optimizer.kind {
            OptimizerKind::Sgd if config.optimizer.momentum == 0.0 => 0,
            OptimizerKind::Sgd | OptimizerKind::Lion | OptimizerKind::AdaGrad => 1,
            OptimizerKind::RmsProp if config.optimizer.momentum == 0.0 => 1,
            _ => 2,
        };
        let averages = if config.averaging.kind == AverageKind::None { 0 } else { weights };
        let state = weights * (1 + moments) + averages;
        let passes = config.optimizer.accumulate_grad_batches > 1;
        let held = u64::from(config.recovery.max_rollbacks > 0) + 2 * u64::from(!config.checkpoint.is_off());
        Self {
            parameters: weights,
            gradients: weights * if passes { 2 } else { 1 },
            optimizer: weights * moments,
            averages,
            snapshots: state * held,
            activations: 4 * config.batch_size as u64 * floats_of_a_sample(&config.model, window),
        }
    }

    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.parameters + self.gradients + self.optimizer + self.averages + self.snapshots + self.activations
    }

    /// Refuses a plan that does not fit.
    pub(super) fn check(&self, budget: &BudgetConfig) -> Result<()> {
        let Some(limit) = budget.max_memory_gb else { return Ok(()) };
        let planned = self.total() as f64 / 1e9;
        if planned <= limit {
            return Ok(());
        }
        let remedy = format!(
            "the run needs about {planned:.2} GB (activations {:.2}, optimizer {:.2}): \
             lower batch_size and raise accumulate_grad_batches, take a smaller model, or allow more",
            self.activations as f64 / 1e9,
            self.optimizer as f64 / 1e9
        );
        Err(Error::invalid("budget.max_memory_gb", limit, remedy))
    }
}

/// Numbers that forward keeps for backward, and their gradients, for one sample.
fn floats_of_a_sample(model: &ModelConfig, window: &WindowSpec) -> u64 {
    let (steps, features) = (window.steps as u64, window.features.len() as u64);
    // Gates, cell, output of a recurrent layer and the gradients of them.
    let recurrent = |layers: usize, hidden: usize, gates: u64| layers as u64 * steps * hidden as u64 * 2 * (gates + 3);
    let attention = |hidden: usize, heads: usize| steps * hidden as u64 * 10 + heads as u64 * steps * steps * 2;
    let inside = match model {
        ModelConfig::LstmAttention(c) => {
            recurrent(c.num_layers, c.hidden_size, 4) + attention(c.hidden_size, c.attention_heads)
        }
        ModelConfig::Lstm(c) | ModelConfig::Gru(c) => recurrent(c.num_layers, c.hidden_size, 4),
        ModelConfig::Transformer(c) => {
            let wide = steps * (c.hidden_size * c.feedforward_factor) as u64 * 4;
            c.num_layers as u64
                * (attention(c.hidden_size, c.attention_heads) + wide + steps * c.hidden_size as u64 * 8)
        }
        ModelConfig::Tcn(c) => c.num_layers as u64 * steps * c.hidden_size as u64 * 10,
        _ => steps * features,
    };
    inside + 2 * steps * features
}

/// Follows what the process really uses, where there is a limit.
#[derive(Debug)]
pub(super) struct Watch {
    budget: BudgetConfig,
    cores: f64,
    /// Processor seconds and the moment, both at the last look.
    last: Option<(f64, f64)>,
}

impl Watch {
    /// The longest pause at once, in seconds.
    const PAUSE: f64 = 10.0;

    pub(super) fn new(budget: &BudgetConfig) -> Result<Self> {
        let unknown = |field: &str, value: f64| {
            Err(Error::invalid(format!("budget.{field}"), value, "use can't be measured on this system; leave it out"))
        };
        if let Some(limit) = budget.max_memory_gb
            && resident_bytes().is_none()
        {
            return unknown("max_memory_gb", limit);
        }
        if let Some(limit) = budget.max_cpu_percent
            && processor_seconds().is_none()
        {
            return unknown("max_cpu_percent", limit);
        }
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        Ok(Self { budget: budget.clone(), cores, last: None })
    }

    /// Fails when more memory is in use than allowed.
    pub(super) fn memory(&self) -> Result<()> {
        let Some(limit) = self.budget.max_memory_gb else { return Ok(()) };
        let used = resident_bytes().unwrap_or_default() as f64 / 1e9;
        if used <= limit { Ok(()) } else { Err(Error::OverBudget { what: "memory in GB", used, limit }) }
    }

    /// How long to pause so that the share of processors since the last call is the one allowed. `now` is in seconds.
    pub(super) fn pause(&mut self, now: f64) -> Option<std::time::Duration> {
        let share = self.budget.max_cpu_percent? / 100.0 * self.cores;
        let used = processor_seconds()?;
        let (used_before, before) = self.last.replace((used, now))?;
        let pause = pause_seconds(used - used_before, now - before, share);
        (pause > 0.0).then(|| std::time::Duration::from_secs_f64(pause.min(Self::PAUSE)))
    }

    /// Marks the end of a pause, which counts as time in which processors were spared.
    pub(super) fn resumed(&mut self, now: f64) {
        if let Some((_, moment)) = &mut self.last {
            *moment = now;
        }
    }
}

/// Seconds to wait until `used` processor seconds are at most `share` processors over the whole time; 0 for a clock that
/// jumped.
fn pause_seconds(used: f64, elapsed: f64, share: f64) -> f64 {
    if elapsed < 0.0 { 0.0 } else { (used / share - elapsed).max(0.0) }
}

/// Memory of this process that is in RAM; known on Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time of this process in all its threads; known on Linux.
fn processor_seconds() -> Option<f64> {
    // proc(5): fields 14 and 15, in ticks, of which Linux shows 100 a second to programs on every architecture.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    let ticks: Vec<f64> =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 2).then(|| (ticks[0] + ticks[1]) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapeloom_model::LinearConfig;

    fn window() -> WindowSpec {
        WindowSpec { steps: 60, features: vec!["f".into(); 16], targets: vec!["y".into()], scaler: None }
    }

    #[test]
    fn a_plan_that_does_not_fit_is_refused_with_its_numbers() {
        let config = TrainConfig::default();
        let plan = MemoryPlan::of(&config, &window(), 2_160_000);
        // 128 samples of a 4 x 256 LSTM over 60 steps: PyTorch was seen to take 0.39 GB in all.
        assert!((0.2e9..0.9e9).contains(&(plan.activations as f64)), "{plan:?}");
        assert_eq!((plan.parameters, plan.optimizer), (8_640_000, 17_280_000));
        let budget = |gb| BudgetConfig { max_memory_gb: Some(gb), max_cpu_percent: None };
        assert!(plan.check(&budget(32.0)).is_ok());
        let error = plan.check(&budget(0.1)).expect_err("too small").to_string();
        assert!(error.contains("budget.max_memory_gb = 0.1: the run needs about"), "{error}");
        let linear = TrainConfig { model: ModelConfig::Linear(LinearConfig::default()), ..config };
        assert!(MemoryPlan::of(&linear, &window(), 17).total() < 3_000_000);
    }

    #[test]
    fn a_pause_brings_the_share_down_to_what_is_allowed() {
        assert_eq!(pause_seconds(1.0, 1.0, 0.5), 1.0);
        assert_eq!(pause_seconds(0.4, 1.0, 0.5), 0.0);
        assert_eq!(pause_seconds(1.0, -5.0, 0.5), 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn use_is_measured() {
        assert!(resident_bytes().expect("Linux") > 1_000_000);
        let before = processor_seconds().expect("Linux");
        let sum = (0..80_000_000_u64).fold(0_u64, |a, b| a.wrapping_mul(31).wrapping_add(b));
        assert!(sum != 1 && processor_seconds().expect("Linux") > before);
        let watch = Watch::new(&BudgetConfig { max_memory_gb: Some(1e-3), max_cpu_percent: None }).expect("Linux");
        assert!(watch.memory().is_err_and(|e| e.to_string().contains("memory in GB")));
    }
}
