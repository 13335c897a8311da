//! From bars to leak-free windows, on DataFusion and Arrow.
//!
//! A [`Pipeline`] reads bars, refuses or sets aside bad rows, and computes causal features and labels; a [`Split`] cuts the
//! resulting [`FeatureFrame`] by time, purges and embargoes, and fits the scaler on training rows alone. The samples are
//! [`MatrixWindows`](tapeloom_core::MatrixWindows): views into one matrix for each symbol.
//!
//! ```
//! use tapeloom_core::WindowSource;
//! use tapeloom_data::{CsvSource, Feature, Label, Pipeline, PipelineConfig, Split, ValidationConfig};
//!
//! let folder = std::env::temp_dir().join(format!("tapeloom-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("prices.csv");
//! let rows = (0..90).map(|day| format!("2020-{:02}-{:02},{}\n", 1 + day / 28, 1 + day % 28, 100 + day * 7 % 11));
//! std::fs::write(&path, format!("Date,Close\n{}", rows.collect::<String>()))?;
//!
//! let config = PipelineConfig {
//!     validation: ValidationConfig::default(),
//!     features: vec![Feature::LogReturn { bars: 1 }, Feature::Rsi { bars: 14 }],
//!     label: Label::ForwardReturn { horizon: 1, delay: 1 },
//!     window_steps: 10,
//!     memory_limit_mb: None,
//! };
//! let pipeline = Pipeline::new(config)?.csv(CsvSource::bars(&path, "TOY"));
//! assert!(pipeline.check_causal_blocking(2)?.is_clean());
//! let frame = pipeline.run_blocking()?;
//! let folds = Split::walk_forward(2, 10, 10)?.embargo(2).folds(&frame)?;
//! assert_eq!(folds.len(), 2);
//! assert!(folds[1].train.len() > folds[0].train.len());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does not know models or training.
#![forbid(unsafe_code)]

mod bars;
mod cells;
mod csv;
mod engine;
mod error;
mod feature;
mod frame;
mod indicator;
mod labels;
mod leakage;
mod pipeline;
mod split;
mod validation;

pub use bars::schema as bar_schema;
pub use csv::{Column, CsvSource};
pub use datafusion;
pub use datafusion::arrow;
pub use error::{Error, Result};
pub use feature::{Feature, Label};
pub use frame::FeatureFrame;
pub use labels::{Barrier, BarrierLabel, TripleBarrier, meta_labels, uniqueness};
pub use leakage::{CausalReport, FeatureCorrelation, Leak, scan_correlations};
pub use pipeline::{Pipeline, PipelineConfig};
pub use split::{Fold, Split, check_no_overlap};
pub use validation::{Action, Offence, ValidationConfig, ValidationReport};
