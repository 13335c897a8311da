//! The training engine: a loop that is deterministic under a seed, checkpoint sets that survive a crash, resume, early
//! stopping, a learning-rate finder, and an honest evaluation.
//!
//! Three depths, each made of the next one's parts:
//!
//! 1. [`Trainer::fit`] with a [`TrainConfig`];
//! 2. the same with parts swapped in the builder: store, ledger, observers, collective, stop flag, clock;
//! 3. a loop of your own around [`Step`], [`EpochOrder`] and [`Checkpointer`].
//!
//! ```
//! use tapeloom_core::{MatrixWindows, Segment, Timestamp, WindowSpec};
//! use tapeloom_model::{Forecaster, LinearConfig, ModelConfig, burn::tensor::Device};
//! use tapeloom_train::{CheckpointConfig, TrainConfig, Trainer};
//!
//! // A series in which the next value is half of this one.
//! let times: Vec<Timestamp> = (0..64).map(Timestamp::from_micros).collect();
//! let x: Vec<f32> = (0..64).map(|t| (t as f32).sin()).collect();
//! let segment = Segment {
//!     symbol: 0,
//!     targets: x.iter().map(|x| 0.5 * x).collect(),
//!     features: x,
//!     target_ends: times.clone(),
//!     times,
//! };
//! let spec = WindowSpec { steps: 4, features: vec!["x".into()], targets: vec!["y".into()], scaler: None };
//! let windows = MatrixWindows::all(spec, vec!["TOY".into()], vec![segment].into())?;
//!
//! let config = TrainConfig {
//!     model: ModelConfig::Linear(LinearConfig::default()),
//!     min_epochs: 1,
//!     max_epochs: 30,
//!     audit_trail: false,
//!     auto_lr_find: false,
//!     checkpoint: CheckpointConfig { every_n_epochs: 0, save_top_k: 0, encrypt: false, ..CheckpointConfig::default() },
//!     ..TrainConfig::default()
//! };
//! let device = Device::flex();
//! let network = Forecaster::new(&config.spec(tapeloom_core::WindowSource::spec(&windows)), config.seed, &device)?;
//! let fitted = Trainer::builder(config, device).build()?.fit(network, &windows, &windows)?;
//! assert!(fitted.history[29].valid_loss < fitted.history[0].valid_loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does not read prices (`tapeloom-data`), it does not encrypt (`tapeloom-seal` wraps the store), and it does not know
//! how ranks talk (`tapeloom-dist`).
#![forbid(unsafe_code)]

mod batches;
mod checkpoint;
mod config;
mod error;
mod evaluation;
mod fit;
mod optimizer;
mod step;
mod trainer;

pub use batches::{Batch, EpochOrder, target_scale};
pub use checkpoint::{
    Checkpointer, Comparison, EpochSummary, Inspection, Latest, Manifest, Part, PartReport, Progress, RunRow,
    TensorReport,
};
pub use config::{
    AverageKind, AveragingConfig, BudgetConfig, CheckpointConfig, ClusterConfig, DebugConfig, EarlyStoppingConfig,
    LoaderConfig, Mode, OptimizerConfig, OptimizerKind, ParameterGroup, Precision, RecoveryConfig, Reduction, Strategy,
    TrainConfig,
};
pub use error::{Error, Result};
pub use evaluation::{
    Backtest, BacktestConfig, BootstrapConfig, Classification, CrossFold, CrossValidation, Evaluation, Forecast,
    Forecasts, Interval, Overfitting, Period, Regression, ScoreIntervals, Scorecard, Subset, Verdict, baseline,
    deflated_sharpe, drawdowns, pearson, ranks,
};
pub use fit::{Fitted, MemoryPlan, PhaseTime, Profile, RateTest, validate};
pub use optimizer::{ScheduleConfig, Shape};
pub use step::{Step, StepReport};
pub use trainer::{Trainer, TrainerBuilder};
