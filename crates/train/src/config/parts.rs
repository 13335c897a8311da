use serde::{Deserialize, Serialize};

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

/// When a checkpoint set is written; the newest is always kept. A set is also written when the stop flag ends a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// A set each this many epochs; 0 writes none but the best ones. Default 5.
    pub every_n_epochs: u64,
    /// A set each this many optimizer steps, inside epochs too; 0 for none. Default 0.
    pub every_n_steps: u64,
    /// A set each this many minutes, inside epochs too; 0 for none. Default 0.
    pub every_n_minutes: f64,
    /// How many of the best sets by `monitor` are kept. Default 3.
    pub save_top_k: usize,
    /// The store must encrypt. Default true.
    pub encrypt: bool,
}

/// Devices of a run. A process trains on one device; ranks meet in the collective that a host passes in.
///
/// `nodes * devices` is the planned world size. It decides the global batch and so the steps of the run; a run with fewer
/// or more ranks takes the same steps on the same samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Hosts. Default 1.
    pub nodes: usize,
    /// Devices of each host. Default 1.
    pub devices: usize,
    /// How gradients meet. Default `auto`.
    pub strategy: Strategy,
    /// Number format of activations. Default `f32`.
    pub precision: Precision,
    /// On CUDA a training step is recorded after a few runs and replayed as one launch; the numbers are the same. Steps run
    /// launch by launch with ranks that meet on the host, sample weights, `f16-mixed`, `bits` reduction, rates that differ
    /// between parameter groups, or an optimizer other than AdamW. Default true.
    pub cuda_graphs: bool,
    /// How far results are independent of the number of ranks. Default `order`.
    pub reduction: Reduction,
    /// Parts of a global batch whose gradients are made apart in `bits`. Default 8.
    pub virtual_shards: usize,
}

/// Limits of a run; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// Memory of the process, in GB of 10^9 bytes. Checked against a plan before the run and against use after each step.
    pub max_memory_gb: Option<f64>,
    /// Share of the machine's processors, in percent. The run pauses between steps to stay below it.
    pub max_cpu_percent: Option<f64>,
}

/// An average of the weights over steps or epochs. Validation, the monitored metric and the predictor of a checkpoint set
/// take it once it has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AveragingConfig {
    /// Which average. Default `none`.
    pub kind: AverageKind,
    /// Weight of the past in `ema`. Default 0.999.
    pub decay: f64,
    /// The epoch with which it begins. Default 1.
    pub start_epoch: u64,
}

/// Which average of the weights is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AverageKind {
    /// None.
    #[default]
    None,
    /// Exponential moving average over steps.
    Ema,
    /// Mean over the ends of epochs (stochastic weight averaging, Izmailov et al. 2018).
    Swa,
}

/// What a run does instead of failing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecoveryConfig {
    /// How often the run may go back to its last checkpoint set, or to its start, when loss or gradient is not finite. The
    /// step that broke is skipped on the second way. Default 3; 0 fails at once.
    pub max_rollbacks: u64,
    /// Factor on the learning rate at each rollback, in (0, 1]. Default 0.5.
    pub learning_rate_cut: f64,
    /// Where a pass does not fit into memory it is halved, on all ranks, and the global batch stays. Default true.
    pub halve_on_oom: bool,
}

/// Worker threads that gather samples ahead of the device. The order of samples does not depend on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Threads; 0 gathers on the training thread. Default 1.
    pub num_workers: usize,
    /// Batches that wait ready for each worker. Default 2.
    pub prefetch_batches: usize,
}

/// Shorter runs and closer looks. All off by default, but for the sanity check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// Trains on the first this many global batches of the first epoch's order alone, over and over; 0 is off.
    pub overfit_batches: u64,
    /// One epoch of this many steps, without checkpoints and without the learning-rate finder; 0 is off.
    pub fast_dev_run: u64,
    /// Validation batches that run before the first step, so that a fault there shows at once. Default 2.
    pub num_sanity_val_steps: u64,
    /// Names the sample, layer output or parameter that is not finite when a step breaks. It costs nothing before.
    pub detect_anomaly: bool,
    /// Times the phases of each step; see [`Fitted::profile`](crate::Fitted::profile).
    pub profiler: bool,
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
    /// As `Ddp`, so far.
    #[default]
    Auto,
    /// Each rank holds the whole model.
    Ddp,
    /// Optimizer state is sharded over ranks.
    Zero1,
    /// Optimizer state and gradients are sharded over ranks. Refused so far.
    Zero2,
}

/// Number format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats throughout; CUDA multiplies them as TF32.
    #[default]
    #[serde(rename = "f32", alias = "32-true", alias = "32")]
    F32,
    /// 32-bit floats whose products are made with 10 bits of mantissa, on CUDA.
    #[serde(rename = "tf32")]
    Tf32,
    /// bfloat16 activations over f32 weights, on devices that multiply them natively.
    #[serde(rename = "bf16-mixed")]
    Bf16Mixed,
    /// f16 activations over f32 weights with a loss scale that follows the gradient (Micikevicius et al. 2018).
    #[serde(rename = "f16-mixed", alias = "16-mixed")]
    F16Mixed,
}

impl Precision {
    /// As it is written in a config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16Mixed => "bf16-mixed",
            Self::F16Mixed => "f16-mixed",
        }
    }
}

/// How far results are independent of the number of ranks. Samples and global batches always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reduction {
    /// The same samples in each step; sums differ by rounding.
    #[default]
    Order,
    /// The same weights to the bit: each virtual shard's gradient is made alone, and shards are added in one fixed tree.
    Bits,
}

impl Default for EarlyStoppingConfig {
    fn default() -> Self {
        Self { patience: 15, min_delta: 0.001 }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every_n_epochs: 5, every_n_steps: 0, every_n_minutes: 0.0, save_top_k: 3, encrypt: true }
    }
}

impl CheckpointConfig {
    /// Whether the run writes any set.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.every_n_epochs == 0 && self.every_n_steps == 0 && self.every_n_minutes == 0.0 && self.save_top_k == 0
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            nodes: 1,
            devices: 1,
            strategy: Strategy::Auto,
            precision: Precision::F32,
            cuda_graphs: true,
            reduction: Reduction::Order,
            virtual_shards: 8,
        }
    }
}

impl Default for AveragingConfig {
    fn default() -> Self {
        Self { kind: AverageKind::None, decay: 0.999, start_epoch: 1 }
    }
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self { max_rollbacks: 3, learning_rate_cut: 0.5, halve_on_oom: true }
    }
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { num_workers: 1, prefetch_batches: 2 }
    }
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self { overfit_batches: 0, fast_dev_run: 0, num_sanity_val_steps: 2, detect_anomaly: false, profiler: false }
    }
}
