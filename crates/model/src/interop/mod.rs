//! Weights of PyTorch modules, in and out.
//!
//! | PyTorch | here | how |
//! |---|---|---|
//! | `nn.Linear` | [`Dense`](crate::layers::Dense) | `weight` transposed |
//! | `nn.LSTM` | [`Lstm`](crate::layers::Lstm) | `weight_ih_l{k}`, `weight_hh_l{k}` transposed, gates in the same order; the two biases summed, written back as one and zeros |
//! | `nn.GRU` | [`Gru`](crate::layers::Gru) | the same; the new gate keeps both biases, as the reset gate stands between them |
//! | `nn.MultiheadAttention` | [`SelfAttention`](crate::layers::SelfAttention) | `in_proj_weight`, `in_proj_bias`, `out_proj` |
//! | `nn.LayerNorm` | [`LayerNorm`](crate::layers::LayerNorm) | `weight`, `bias` |
//! | `nn.TransformerEncoderLayer` | [`EncoderBlock`](crate::layers::EncoderBlock) | `self_attn`, `linear1`, `linear2`, `norm1`, `norm2`; of those made with `norm_first=True`, `activation="gelu"` |
//!
//! `_reverse` marks the second direction. Files are safetensors in and out, and `.pt` in; numbers of any float type come in
//! as `f32`.
//!
//! ```
//! use tapeloom_model::burn::tensor::Device;
//! use tapeloom_model::interop::{TorchModule, TorchWeights};
//! use tapeloom_model::layers::{Lstm, RecurrentConfig};
//! use tapeloom_model::Init;
//!
//! let sizes = RecurrentConfig { inputs: 3, hidden: 8, layers: 2, bidirectional: false, dropout: 0.0 };
//! let lstm = Lstm::new(&mut Init::new(1, &Device::flex()), &sizes);
//! let mut weights = TorchWeights::default();
//! lstm.export("encoder.", &mut weights);
//! assert_eq!(weights.shape("encoder.weight_hh_l1"), Some(&[32, 8][..]));
//!
//! let mut other = Lstm::new(&mut Init::new(2, &Device::flex()), &sizes);
//! other.import("encoder.", &weights)?;
//! # Ok::<(), tapeloom_model::Error>(())
//! ```

mod modules;
mod weights;

pub use modules::TorchModule;
pub use weights::TorchWeights;
