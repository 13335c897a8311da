mod check;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, WindowSpec};
use tapeloom_model::{ForecasterSpec, ModelConfig, Objective};

use crate::optimizer::ScheduleConfig;
use crate::{Error, Result};

/// Everything that decides how a run trains. One value, one home; [`TrainConfig::validate`] checks all of it.
///
/// Reads from TOML or JSON; unknown keys are refused. What an engine to come will need is refused by name, never ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Decides first weights, data order and dropout. Default 42.
    pub seed: u64,
    /// Which network, and how large.
    pub model: ModelConfig,
    /// The loss, and the meaning of the outputs. Default mean squared error.
    pub objective: Objective,
    /// Samples of one forward and backward pass on one device. Default 128.
    pub batch_size: usize,
    /// Epochs at least, whatever early stopping says. Default 20.
    pub min_epochs: u64,
    /// Epochs at most. Default 200.
    pub max_epochs: u64,
    /// What checkpoints and early stopping look at: a validation metric by name. Default `val_loss`.
    pub monitor: String,
    /// Whether less or more of `monitor` is better. Default `min`.
    pub mode: Mode,
    /// Validation runs per this share of an epoch, in (0, 1]; 1 is once at the end. Default 1.
    pub val_check_interval: f64,
    /// A step event goes to observers each this many optimizer steps. Default 50.
    pub log_every_n_steps: u64,
    /// Finds the learning rate by a range test before the first step (Smith 2017). Default true.
    pub auto_lr_find: bool,
    /// The run needs a ledger, and each key event goes into it. Default true.
    pub audit_trail: bool,
    /// How weights move.
    pub optimizer: OptimizerConfig,
    /// How the learning rate moves.
    pub schedule: ScheduleConfig,
    /// When to give up.
    pub early_stopping: EarlyStoppingConfig,
    /// What is kept, and when.
    pub checkpoint: CheckpointConfig,
    /// How many devices take part, and how.
    pub cluster: ClusterConfig,
    /// What the run may use.
    pub budget: BudgetConfig,
}

/// AdamW (Loshchilov and Hutter 2019) on the gradient of the global batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Peak learning rate, before the schedule. Default 1e-3.
    pub learning_rate: f64,
    /// Decoupled weight decay. Default 1e-5.
    pub weight_decay: f64,
    /// Decay of the first and second moment. Default 0.9 and 0.999.
    pub betas: [f64; 2],
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// Largest global L2 norm of the gradient; 0 turns clipping off. Default 1.
    pub gradient_clip_norm: f64,
    /// Batches whose gradients make one step. Default 2.
    pub accumulate_grad_batches: usize,
}

/// Ends the run when the monitored metric stops improving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Epochs without improvement; 0 turns early stopping off. Default 15.
    pub patience: u64,
    /// Change of the metric that counts as improvement, in its own unit. Default 0.001: losses of regression are in units
    /// of the training targets' variance, so this is a tenth of a percent of it.
    pub min_delta: f64,
}

/// Checkpoint sets are written after an epoch; the newest is always kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// A set each this many epochs; 0 writes none but the best ones. Default 5.
    pub every_n_epochs: u64,
    /// How many of the best sets by `monitor` are kept. Default 3.
    pub save_top_k: usize,
    /// The store must encrypt. Default true.
    pub encrypt: bool,
}

/// Devices of a run. World size is `nodes * devices`; this version trains on one device per process, and takes more
/// ranks through the collective that a host passes in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Hosts. Default 1.
    pub nodes: usize,
    /// Devices of each host. Default 1.
    pub devices: usize,
    /// How gradients meet. Default `auto`.
    pub strategy: Strategy,
    /// Number format of weights and activations. Default `f32`.
    pub precision: Precision,
}

/// Limits of a run; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// Memory of the process, in GB of 10^9 bytes.
    pub max_memory_gb: Option<f64>,
    /// Share of the machine's processors, in percent.
    pub max_cpu_percent: Option<f64>,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Less is better.
    #[default]
    Min,
    /// More is better.
    Max,
}

/// How ranks share the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// Picks what fits.
    #[default]
    Auto,
    /// Each rank holds the whole model.
    Ddp,
    /// Optimizer state is sharded over ranks.
    Zero1,
    /// Optimizer state and gradients are sharded over ranks.
    Zero2,
}

/// Number format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// bfloat16 activations over f32 weights, on devices that multiply them natively.
    #[serde(rename = "bf16-mixed")]
    Bf16Mixed,
    /// f16 compute over f32 weights with loss scaling.
    #[serde(rename = "f16-mixed")]
    F16Mixed,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 42,
            model: ModelConfig::default(),
            objective: Objective::default(),
            batch_size: 128,
            min_epochs: 20,
            max_epochs: 200,
            monitor: "val_loss".into(),
            mode: Mode::Min,
            val_check_interval: 1.0,
            log_every_n_steps: 50,
            auto_lr_find: true,
            audit_trail: true,
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            early_stopping: EarlyStoppingConfig::default(),
            checkpoint: CheckpointConfig::default(),
            cluster: ClusterConfig::default(),
            budget: BudgetConfig::default(),
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            weight_decay: 1e-5,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            gradient_clip_norm: 1.0,
            accumulate_grad_batches: 2,
        }
    }
}

impl Default for EarlyStoppingConfig {
    fn default() -> Self {
        Self { patience: 15, min_delta: 0.001 }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every_n_epochs: 5, save_top_k: 3, encrypt: true }
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { nodes: 1, devices: 1, strategy: Strategy::Auto, precision: Precision::F32 }
    }
}

impl TrainConfig {
    /// Reads TOML and validates it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the line for a syntax error or an unknown key, and for any value that breaks a rule.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)
            .map_err(|e| Error::invalid("train config", e.to_string().trim_end(), "fix the TOML"))?;
        config.validate()?;
        Ok(config)
    }

    /// Reads JSON and validates it.
    ///
    /// # Errors
    /// As [`TrainConfig::from_toml`].
    pub fn from_json(text: &str) -> Result<Self> {
        let config: Self = serde_json::from_str(text).map_err(|e| Error::invalid("train config", e, "fix the JSON"))?;
        config.validate()?;
        Ok(config)
    }

    /// Writes TOML that [`TrainConfig::from_toml`] reads back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that TOML can't hold, such as a seed above 2^63.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| Error::invalid("train config", e, "use values that TOML can hold"))
    }

    /// Identifies the config: equal fingerprints mean equal runs on equal data.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The forecaster that this config trains on such windows.
    #[must_use]
    pub fn spec(&self, window: &WindowSpec) -> ForecasterSpec {
        ForecasterSpec {
            model: self.model.clone(),
            objective: self.objective.clone(),
            window: window.clone(),
            target_scale: Vec::new(),
        }
    }
}
