//! The operations in which networks spend their time, each as one node of the graph with a hand-written backward pass.
//!
//! An [`Operation`] says what a backend must bring: the forward pass with what it keeps, and the backward pass. The CPU
//! (`flex`) and CUDA bring them all; on any other device [`crate::layers`] composes the same functions from Burn's own
//! operations. [`Fused`] is the door: Burn's dispatch leads each call to the backend of its tensors.

mod autodiff;
mod call;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

#[cfg(feature = "cuda")]
use burn::backend::Cube;
#[cfg(feature = "flex")]
use burn::backend::Flex;

use crate::dials::Dials;

pub use call::supports_bf16;
pub(crate) use call::{Provider, provider};
pub(crate) use call::{
    attention, covers, covers_attention, dropout, dropout_add, gelu, gru, layer_norm, linear, loss, lstm, mean_time,
};

/// A function of `N` tensors with a gradient.
pub(crate) trait Operation<B: Backend, const N: usize>: Clone + std::fmt::Debug + Send + 'static {
    /// What the backward pass needs.
    type Saved: Clone + Send + std::fmt::Debug + 'static;

    /// The result, and what to keep when `save`.
    fn forward(&self, inputs: [FloatTensor<B>; N], save: bool) -> (FloatTensor<B>, Option<Self::Saved>);

    /// Gradients of the inputs that are `wanted`; others may be left out.
    fn backward(&self, saved: Self::Saved, dy: FloatTensor<B>, wanted: [bool; N]) -> [Option<FloatTensor<B>>; N];
}

/// `x W + b`: x `[.., inputs]`, weight `[inputs, outputs]`, bias `[outputs]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear;

/// One LSTM layer: x `[batch, steps, inputs]`, weights `[inputs, 4 hidden]` and `[hidden, 4 hidden]`, bias `[4 hidden]`
/// in the order input, forget, cell, output, then h0 and c0 `[batch, hidden]`. Gives `[batch, steps, hidden]`, and one
/// more row, the last cell state, with `with_cell`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lstm {
    pub(crate) reverse: bool,
    pub(crate) with_cell: bool,
    /// h0 and c0 are states; otherwise the states begin at zero, and what stands in their place is not looked at.
    pub(crate) has_state: bool,
}

/// One GRU layer: x `[batch, steps, inputs]`, weights `[inputs, 3 hidden]` and `[hidden, 3 hidden]`, bias `[3 hidden]` in
/// the order reset, update, new, the bias of the hidden product of the last `[hidden]`, then h0 `[batch, hidden]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gru {
    pub(crate) reverse: bool,
    /// As that of [`Lstm`].
    pub(crate) has_state: bool,
}

/// Self-attention over packed queries, keys and values `[batch, steps, 3 width]`: `[batch, steps, width]`.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) causal: bool,
    pub(crate) draw: Option<Draw>,
}

/// Normalises the last axis of x, then scales and shifts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) epsilon: f64,
}

/// The mean over time of `[batch, steps, width]`: `[batch, width]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeanTime;

/// The mean loss of outputs against targets of the same shape, a tensor of one; targets get no gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Squared error.
    Squared,
    /// Absolute error.
    Absolute,
    /// Half the square up to `delta`, a line beyond.
    Huber { delta: f64 },
}

/// `x * mask`.
#[derive(Clone, Debug)]
pub(crate) struct Dropout {
    pub(crate) draw: Draw,
}

/// `x * mask + residual`.
#[derive(Clone, Debug)]
pub(crate) struct DropoutAdd {
    pub(crate) draw: Draw,
}

/// `x * cdf(x)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gelu;

/// What is dropped: element `i` of sample `s` falls out by word `i` of the Philox stream that begins at the sample's place
/// in the global batch. So draws depend neither on micro-batches nor on the number of ranks.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    /// Names the stream.
    pub(crate) key: u64,
    /// Where a recorded step finds the key instead.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "CUDA alone records"))]
    pub(crate) dial: Option<Dial>,
    /// Place of the first sample in the global batch.
    pub(crate) first_sample: u64,
    /// Numbers in a sample.
    pub(crate) width: usize,
    /// Share that is dropped, in [0, 1).
    pub(crate) p: f64,
}

/// A place among the numbers that change from step to step.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "CUDA alone records"))]
pub(crate) struct Dial {
    pub(crate) dials: Dials,
    pub(crate) place: usize,
}

impl Draw {
    /// Words below are dropped.
    pub(crate) fn threshold(&self) -> u32 {
        (self.p * 4_294_967_296.0) as u32
    }

    /// Whether samples have whole blocks of four words, so that a batch's draws are one run of the stream.
    pub(crate) const fn has_whole_blocks(&self) -> bool {
        self.width.is_multiple_of(4)
    }

    /// What the others are multiplied by.
    pub(crate) fn scale(&self) -> f32 {
        (1.0 / (1.0 - self.p)) as f32
    }
}

#[backend_extension(Flex: cfg(feature = "flex"), Cube: cfg(feature = "cuda"), Autodiff)]
pub(crate) trait Fused: Backend {
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    fn lstm(
        call: Lstm,
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        h0: FloatTensor<Self>,
        c0: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn gru(
        call: Gru,
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        new_bias: FloatTensor<Self>,
        h0: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn attention(call: Attention, qkv: FloatTensor<Self>) -> FloatTensor<Self>;
    fn layer_norm(
        call: LayerNorm,
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn dropout(call: Dropout, x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn dropout_add(call: DropoutAdd, x: FloatTensor<Self>, residual: FloatTensor<Self>) -> FloatTensor<Self>;
    fn gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn mean_time(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn loss(call: Loss, outputs: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The methods of [`Fused`], each by `$run` of its operation and inputs.
macro_rules! fused_methods {
    ($run:path) => {
        fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            $run($crate::ops::Linear, [x, weight, bias])
        }
        fn lstm(
            call: $crate::ops::Lstm,
            x: FloatTensor<Self>,
            input: FloatTensor<Self>,
            hidden: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            h0: FloatTensor<Self>,
            c0: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            $run(call, [x, input, hidden, bias, h0, c0])
        }
        fn gru(
            call: $crate::ops::Gru,
            x: FloatTensor<Self>,
            input: FloatTensor<Self>,
            hidden: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            new_bias: FloatTensor<Self>,
            h0: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            $run(call, [x, input, hidden, bias, new_bias, h0])
        }
        fn attention(call: $crate::ops::Attention, qkv: FloatTensor<Self>) -> FloatTensor<Self> {
            $run(call, [qkv])
        }
        fn layer_norm(
            call: $crate::ops::LayerNorm,
            x: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            shift: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            $run(call, [x, scale, shift])
        }
        fn dropout(call: $crate::ops::Dropout, x: FloatTensor<Self>) -> FloatTensor<Self> {
            $run(call, [x])
        }
        fn dropout_add(
            call: $crate::ops::DropoutAdd,
            x: FloatTensor<Self>,
            residual: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            $run(call, [x, residual])
        }
        fn gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
            $run($crate::ops::Gelu, [x])
        }
        fn mean_time(x: FloatTensor<Self>) -> FloatTensor<Self> {
            $run($crate::ops::MeanTime, [x])
        }
        fn loss(call: $crate::ops::Loss, outputs: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
            $run(call, [outputs, targets])
        }
    };
}
use fused_methods;

#[cfg(any(feature = "flex", feature = "cuda"))]
fn plain<B: Backend, O: Operation<B, N>, const N: usize>(call: O, inputs: [FloatTensor<B>; N]) -> FloatTensor<B> {
    call.forward(inputs, false).0
}

#[cfg(feature = "flex")]
impl Fused for Flex {
    fused_methods!(plain::<Self, _, _>);
}

#[cfg(feature = "cuda")]
impl Fused for Cube {
    fused_methods!(plain::<Self, _, _>);
}
