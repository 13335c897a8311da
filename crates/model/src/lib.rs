//! Forecasters of market data on [Burn](burn): an LSTM with attention, a Transformer encoder and a linear model.
//!
//! A [`ForecasterSpec`] says what goes in, which network, and what comes out; [`Forecaster`] is that network with
//! weights; [`Predictor`] puts it behind plain numbers. The device is a value: `Device::flex()` is the CPU, and the
//! cargo features `flex`, `cuda` and `wgpu` decide which devices a build knows.
//!
//! ```
//! use burn::tensor::Device;
//! use tapeloom_core::WindowSpec;
//! use tapeloom_model::{Forecaster, ForecasterSpec, LstmAttentionConfig, ModelConfig, Objective, Predict, Predictor};
//!
//! let spec = ForecasterSpec {
//!     model: ModelConfig::LstmAttention(LstmAttentionConfig {
//!         hidden_size: 8,
//!         num_layers: 2,
//!         dropout: 0.1,
//!         attention_heads: 2,
//!     }),
//!     objective: Objective::Mse,
//!     window: WindowSpec {
//!         steps: 5,
//!         features: vec!["return".into(), "volatility".into()],
//!         targets: vec!["next_return".into()],
//!         scaler: None,
//!     },
//!     target_scale: vec![],
//! };
//! let device = Device::flex();
//! let forecaster = Forecaster::new(&spec, 7, &device)?;
//! let predictor = Predictor::new(spec, &forecaster, &device);
//! let three_windows = vec![0.1; 3 * 5 * 2];
//! assert_eq!(predictor.predict(&three_windows)?.len(), 3);
//! # Ok::<(), tapeloom_model::Error>(())
//! ```
//!
//! It does not know where windows come from, and it does not train: see `tapeloom-data` and `tapeloom-train`.
#![forbid(unsafe_code)]

mod config;
mod error;
mod forecaster;
mod init;
mod layers;
mod linear;
mod lstm;
mod lstm_attention;
mod objective;
mod pass;
mod predict;
mod transformer;

pub use burn;
pub use config::{LinearConfig, LstmAttentionConfig, ModelConfig, TransformerConfig};
pub use error::{Error, Result};
pub use forecaster::{Forecaster, ForecasterSpec, Network};
pub use linear::Linear;
pub use lstm_attention::LstmAttention;
pub use objective::Objective;
pub use pass::Pass;
pub use predict::{Predict, Predictor, encode_weights, load_weights};
pub use transformer::Transformer;
