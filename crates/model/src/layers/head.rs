use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::Dense;
use crate::init::Init;
use crate::ops;
use crate::pass::Pass;

/// Two layers with a ReLU between them, down to the outputs.
#[derive(Module, Debug)]
pub struct Head {
    /// `[width, width / 2]`
    pub hidden: Dense,
    /// `[width / 2, outputs]`
    pub output: Dense,
    dropout: f64,
}

impl Head {
    /// From `width` numbers to `outputs`.
    #[must_use]
    pub fn new(init: &mut Init<'_>, width: usize, outputs: usize, dropout: f64) -> Self {
        let inner = (width / 2).max(1);
        Self { hidden: Dense::new(init, width, inner), output: Dense::new(init, inner, outputs), dropout }
    }

    /// Maps `[batch, width]` to `[batch, outputs]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        self.output.forward(pass.dropout(relu(self.hidden.forward(x)), self.dropout))
    }

    /// The mean over time of `[batch, steps, width]`, then as [`Head::forward`].
    #[must_use]
    pub fn forward_mean(&self, x: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let [batch, _, width] = x.dims();
        let mean =
            if ops::covers(&x.device(), x.dtype()) { ops::mean_time(x) } else { x.mean_dim(1).reshape([batch, width]) };
        self.forward(mean, pass)
    }
}
