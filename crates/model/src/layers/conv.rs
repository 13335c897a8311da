use burn::module::Module;
use burn::tensor::Tensor;

use super::Dense;
use crate::init::Init;

/// A convolution over time that sees the present and the past only: tap `k` looks `k * dilation` steps back, and what
/// lies before the window counts as zero.
#[derive(Module, Debug)]
pub struct CausalConv {
    /// `[taps * inputs, outputs]`, the present first.
    pub taps: Dense,
    count: usize,
    dilation: usize,
}

impl CausalConv {
    /// `taps` and `dilation` are at least 1.
    #[must_use]
    pub fn new(init: &mut Init<'_>, inputs: usize, outputs: usize, taps: usize, dilation: usize) -> Self {
        Self { taps: Dense::new(init, taps * inputs, outputs), count: taps, dilation }
    }

    /// Maps `[batch, steps, inputs]` to `[batch, steps, outputs]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, steps, inputs] = x.dims();
        let shifted = |back: usize| match back {
            0 => x.clone(),
            back if back >= steps => x.zeros_like(),
            back => {
                let past = Tensor::zeros([batch, back, inputs], (&x.device(), x.dtype()));
                Tensor::cat(vec![past, x.clone().narrow(1, 0, steps - back)], 1)
            }
        };
        // The taps side by side make of the convolution one product.
        self.taps.forward(Tensor::cat((0..self.count).map(|k| shifted(k * self.dilation)).collect(), 2))
    }
}
