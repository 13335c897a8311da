//! Train, evaluate, secure and serve models of market data.
//!
//! This crate is the front door: each part is a crate of its own, re-exported here under its short name and switched by a
//! feature of that name. The default trains on the CPU with encrypted checkpoints; `data`, `track`, `tune` and `comply` come
//! when asked for.
//!
//! ```text
//! bars --Pipeline--> features --Split (purge, embargo)--> windows --Forecaster--> loss
//!                                                                       |
//!                                                                 Trainer::fit
//!                                                                       |
//!                     Predict <--load-- checkpoint set (weights, optimizer, counters, config, fingerprints)
//! beside every arrow:  Event  -> Observer (telemetry: may drop, never blocks, never fails)
//!                      Record -> Ledger   (evidence: may not drop; its failure stops the run)
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use tapeloom::core::{MatrixWindows, MemoryLedger, MemoryStore, Segment, Timestamp, WindowSource, WindowSpec};
//! use tapeloom::model::{Forecaster, LinearConfig, ModelConfig, Predict, burn::tensor::Device};
//! use tapeloom::seal::{Key, SealedStore};
//! use tapeloom::train::{TrainConfig, Trainer};
//!
//! let x: Vec<f32> = (0..100).map(|t| (0.3 * t as f32).sin()).collect();
//! let times: Vec<Timestamp> = (0..100).map(Timestamp::from_micros).collect();
//! let segment = Segment {
//!     symbol: 0,
//!     targets: x.iter().map(|x| 0.01 * x).collect(),
//!     features: x,
//!     target_ends: times.clone(),
//!     times,
//! };
//! let spec = WindowSpec { steps: 8, features: vec!["x".into()], targets: vec!["y".into()], scaler: None };
//! let windows = MatrixWindows::all(spec, vec!["TOY".into()], vec![segment].into())?;
//!
//! let config = TrainConfig {
//!     model: ModelConfig::Linear(LinearConfig::default()),
//!     min_epochs: 1,
//!     max_epochs: 5,
//!     ..TrainConfig::default()
//! };
//! let device = Device::flex();
//! let network = Forecaster::new(&config.spec(windows.spec()), config.seed, &device)?;
//! let trainer = Trainer::builder(config, device.clone())
//!     .store(Arc::new(SealedStore::new(MemoryStore::default(), Key::generate()?)))
//!     .ledger(Arc::new(MemoryLedger::default()))
//!     .build()?;
//! let fitted = trainer.fit(network, &windows, &windows)?;
//! let best = fitted.best.expect("checkpoints are on by default");
//! let predictor = trainer.checkpointer().predictor(&best, &device)?;
//! assert_eq!(predictor.predict(&[0.5; 8])?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "comply")]
pub use tapeloom_comply as comply;
pub use tapeloom_core as core;
#[cfg(feature = "data")]
pub use tapeloom_data as data;
#[cfg(feature = "dist")]
pub use tapeloom_dist as dist;
#[cfg(feature = "model")]
pub use tapeloom_model as model;
#[cfg(feature = "nccl")]
pub use tapeloom_nccl as nccl;
#[cfg(feature = "seal")]
pub use tapeloom_seal as seal;
#[cfg(feature = "track")]
pub use tapeloom_track as track;
#[cfg(feature = "train")]
pub use tapeloom_train as train;
#[cfg(feature = "tune")]
pub use tapeloom_tune as tune;
