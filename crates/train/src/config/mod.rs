mod check;
mod optimizer;
mod parts;
mod path;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, WindowSpec};
use tapeloom_model::{ForecasterSpec, ModelConfig, Objective};

use crate::optimizer::ScheduleConfig;
use crate::{Error, Result};

pub use optimizer::{OptimizerConfig, OptimizerKind, ParameterGroup};
pub use parts::{
    AverageKind, AveragingConfig, BudgetConfig, CheckpointConfig, ClusterConfig, DebugConfig, EarlyStoppingConfig,
    LoaderConfig, Mode, Precision, RecoveryConfig, Reduction, Strategy,
};

/// Everything that decides how a run trains. One value, one home; [`TrainConfig::validate`] checks all of it.
///
/// Reads from TOML or JSON; unknown keys are refused. What this version can't do is refused by name, never ignored.
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
    ///
    /// The global batch of an optimizer step is `batch_size * optimizer.accumulate_grad_batches * cluster.nodes *
    /// cluster.devices`, however many ranks there are in the end.
    pub batch_size: usize,
    /// Epochs at least, whatever early stopping says. Default 20.
    pub min_epochs: u64,
    /// Epochs at most. Default 200.
    pub max_epochs: u64,
    /// Optimizer steps at most; absent means no limit.
    pub max_steps: Option<u64>,
    /// Minutes of training at most, over all parts of a resumed run; absent means no limit.
    pub max_minutes: Option<f64>,
    /// What checkpoints and early stopping look at: a validation metric by name. Default `val_loss`.
    pub monitor: String,
    /// Whether less or more of `monitor` is better. Default `min`.
    pub mode: Mode,
    /// How often validation runs: up to 1 a share of an epoch, above 1 a number of optimizer steps. Default 1, once at the
    /// end; it runs at the end in any case.
    pub val_check_interval: f64,
    /// A step event goes to observers each this many optimizer steps. Default 50.
    pub log_every_n_steps: u64,
    /// Finds the learning rate by a range test before the first step (Smith 2017). Default true.
    pub auto_lr_find: bool,
    /// The run needs a ledger, and each key event goes into it. Default true.
    pub audit_trail: bool,
    /// Weight of each class in the training loss, for `cross_entropy`; empty means all alike. The mean is over weights, as
    /// PyTorch's is. Validation losses are not weighted.
    pub class_weights: Vec<f32>,
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
    /// Whether an average of the weights is kept beside them.
    pub averaging: AveragingConfig,
    /// What the run does about a loss that is no number, and about too little memory.
    pub recovery: RecoveryConfig,
    /// How samples reach the device.
    pub loader: LoaderConfig,
    /// Shorter runs and closer looks, for finding faults.
    pub debug: DebugConfig,
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
            max_steps: None,
            max_minutes: None,
            monitor: "val_loss".into(),
            mode: Mode::Min,
            val_check_interval: 1.0,
            log_every_n_steps: 50,
            auto_lr_find: true,
            audit_trail: true,
            class_weights: Vec::new(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            early_stopping: EarlyStoppingConfig::default(),
            checkpoint: CheckpointConfig::default(),
            cluster: ClusterConfig::default(),
            budget: BudgetConfig::default(),
            averaging: AveragingConfig::default(),
            recovery: RecoveryConfig::default(),
            loader: LoaderConfig::default(),
            debug: DebugConfig::default(),
        }
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

    /// What `debug.fast_dev_run` makes of a config: one epoch that leaves nothing behind.
    pub(crate) fn shortened(self) -> Self {
        let none = CheckpointConfig {
            every_n_epochs: 0,
            every_n_steps: 0,
            every_n_minutes: 0.0,
            save_top_k: 0,
            encrypt: false,
        };
        Self { min_epochs: 1, max_epochs: 1, auto_lr_find: false, checkpoint: none, ..self }
    }

    /// Samples of one optimizer step over all ranks.
    #[must_use]
    pub const fn global_batch(&self) -> usize {
        self.batch_size * self.optimizer.accumulate_grad_batches * self.cluster.nodes * self.cluster.devices
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
