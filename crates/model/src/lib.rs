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
#![deny(unsafe_code)]

mod config;
#[cfg(feature = "flex")]
#[expect(
    unsafe_code,
    reason = "vector instructions and the GEMM library's raw pointers; each block says why it is sound"
)]
mod cpu;
#[cfg(feature = "cuda")]
#[expect(
    unsafe_code,
    reason = "the replay of a recorded step, and memory named for a collective; each block says why it is sound"
)]
mod cuda;
mod dials;
mod error;
mod exchange;
mod forecaster;
mod init;
#[cfg(feature = "interop")]
pub mod interop;
pub mod layers;
pub mod networks;
mod objective;
#[cfg_attr(
    not(any(feature = "flex", feature = "cuda")),
    allow(dead_code, unused, reason = "without a provider every layer is composed of Burn's operations")
)]
mod ops;
mod pass;
mod predict;
mod rows;
#[cfg(feature = "flex")]
mod stream;
#[cfg_attr(
    not(any(feature = "flex", feature = "cuda")),
    allow(dead_code, unused, reason = "without a provider updates are composed of Burn's operations")
)]
mod update;

pub use burn;
pub use config::{
    LinearConfig, LstmAttentionConfig, ModelConfig, RecurrentNetworkConfig, TcnConfig, TransformerConfig,
};
pub use dials::{Dials, Recording};
pub use error::{Error, Result};
pub use exchange::Exchange;
pub use forecaster::{Forecaster, ForecasterSpec, Network};
pub use init::Init;
pub use objective::Objective;
pub use ops::supports_bf16;
pub use pass::Pass;
pub use predict::{Predict, Predictor, encode_weights, load_weights};
pub use rows::Rows;
#[cfg(feature = "flex")]
pub use stream::Stream;
pub use update::{AdamW, Clip, Slot, updates_in_place};
