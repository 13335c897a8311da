//! The kernels of CUDA: hand-written text in `kernels/`, compiled for the card by NVRTC at first use and launched through
//! CubeCL on Burn's own stream, memory and graph capture. Nothing waits for the card.

mod attention;
mod dials;
mod exchange;
mod gather;
mod launch;
mod loss;
mod pointwise;
mod product;
mod recurrent;
mod steps;
mod update;

use burn::backend::CubeDevice;
use burn::tensor::DType;

pub(crate) use dials::{Graph, Words};
pub(crate) use exchange::Flat;
pub(crate) use gather::{FirstRows, gather};
pub(crate) use update::{adamw, clip};

/// Whether the kernels run there: on NVIDIA cards, in `f32` (products in TF32 or, where ranges allow it, half precision
/// with `f32` sums) and in `bf16` over `f32` weights.
pub(crate) fn covers(device: &CubeDevice, dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::BF16) && device.client().name() == "cuda"
}
