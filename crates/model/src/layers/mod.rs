//! The parts that networks are made of. Each runs on the kernels of this crate where the device has them (the CPU and CUDA),
//! and on Burn's own operations elsewhere, with the same numbers within rounding.

use burn::tensor::Tensor;

mod attention;
mod conv;
mod dense;
mod encoder;
mod gru;
mod head;
mod lstm;
mod norm;
mod stack;

pub use attention::SelfAttention;
pub use conv::CausalConv;
pub use dense::Dense;
pub use encoder::EncoderBlock;
pub use gru::Gru;
#[cfg(feature = "flex")]
pub(crate) use gru::GruLayer;
pub use head::Head;
#[cfg(feature = "flex")]
pub(crate) use lstm::LstmLayer;
pub use lstm::{Lstm, LstmState};
pub use norm::LayerNorm;
pub use stack::RecurrentConfig;

/// `x * cdf(x)` of the standard normal distribution (Hendrycks and Gimpel 2016).
#[must_use]
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if crate::ops::covers(&x.device(), x.dtype()) {
        return crate::ops::gelu(x);
    }
    burn::tensor::activation::gelu(x)
}
