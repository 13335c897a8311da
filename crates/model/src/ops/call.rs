//! The operations as functions of tensors.

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{DType, Device, Tensor};

use super::{Attention, Draw, Dropout, DropoutAdd, Fused, Gru, LayerNorm, Loss, Lstm};

/// Whose kernels run on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    #[cfg(feature = "flex")]
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda,
    None,
}

/// Whose kernels run on the device for this type.
pub(crate) fn provider(device: &Device, dtype: DType) -> Provider {
    match device.clone().without_autodiff().as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) if dtype == DType::F32 => Provider::Cpu,
        #[cfg(feature = "cuda")]
        DispatchDevice::Cube(device) if crate::cuda::covers(device, dtype) => Provider::Cuda,
        _ => Provider::None,
    }
}

/// Whether the kernels of this crate run on the device for this type.
pub(crate) fn covers(device: &Device, dtype: DType) -> bool {
    provider(device, dtype) != Provider::None
}

/// Whether `bf16` activations over `f32` weights run on the device.
#[must_use]
pub fn supports_bf16(device: &Device) -> bool {
    covers(device, DType::BF16)
}

/// Whether attention with heads of this depth runs on them; on CUDA a block's registers and shared memory set bounds.
pub(crate) fn covers_attention(device: &Device, dtype: DType, depth: usize, draw: Option<&Draw>) -> bool {
    match provider(device, dtype) {
        #[cfg(feature = "flex")]
        Provider::Cpu => true,
        // The mask of a batch is one run of the stream there.
        provider => {
            provider != Provider::None
                && depth <= 64
                && depth.is_multiple_of(8)
                && draw.is_none_or(Draw::has_whole_blocks)
        }
    }
}

pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()))
}

/// `weights` are input, hidden and bias; without a state it begins at zero.
pub(crate) fn lstm(
    call: Lstm,
    x: Tensor<3>,
    (input, hidden, bias): (Tensor<2>, Tensor<2>, Tensor<1>),
    state: Option<[Tensor<2>; 2]>,
) -> Tensor<3> {
    let call = Lstm { has_state: state.is_some(), ..call };
    // States are numbers of f32 in every mode, as the weights are.
    let [h0, c0] = state.map_or_else(|| [0, 1].map(|_| hidden.clone()), |state| state.map(|x| x.cast(DType::F32)));
    Tensor::from_dispatch(Dispatch::lstm(
        call,
        x.into_dispatch(),
        input.into_dispatch(),
        hidden.into_dispatch(),
        bias.into_dispatch(),
        h0.into_dispatch(),
        c0.into_dispatch(),
    ))
}

/// `weights` are input, hidden, bias and the bias of the new gate's hidden product.
pub(crate) fn gru(
    call: Gru,
    x: Tensor<3>,
    (input, hidden, bias, new_bias): (Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>),
    state: Option<Tensor<2>>,
) -> Tensor<3> {
    let call = Gru { has_state: state.is_some(), ..call };
    let h0 = state.map_or_else(|| hidden.clone(), |state| state.cast(DType::F32));
    Tensor::from_dispatch(Dispatch::gru(
        call,
        x.into_dispatch(),
        input.into_dispatch(),
        hidden.into_dispatch(),
        bias.into_dispatch(),
        new_bias.into_dispatch(),
        h0.into_dispatch(),
    ))
}

pub(crate) fn attention(call: Attention, qkv: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::attention(call, qkv.into_dispatch()))
}

pub(crate) fn layer_norm<const D: usize>(x: Tensor<D>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let call = LayerNorm { epsilon };
    Tensor::from_dispatch(Dispatch::layer_norm(call, x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch()))
}

pub(crate) fn dropout<const D: usize>(x: Tensor<D>, draw: Draw) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::dropout(Dropout { draw }, x.into_dispatch()))
}

pub(crate) fn dropout_add<const D: usize>(x: Tensor<D>, residual: Tensor<D>, draw: Draw) -> Tensor<D> {
    let call = DropoutAdd { draw };
    Tensor::from_dispatch(Dispatch::dropout_add(call, x.into_dispatch(), residual.into_dispatch()))
}

pub(crate) fn loss(call: Loss, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::loss(call, outputs.into_dispatch(), targets.into_dispatch()))
}

pub(crate) fn mean_time(x: Tensor<3>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::mean_time(x.into_dispatch()))
}

pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::gelu(x.into_dispatch()))
}
