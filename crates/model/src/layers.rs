//! The small parts that every network is made of.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};

use crate::init::Init;
use crate::pass::Pass;

/// `x W + b` over the last axis.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    /// `[inputs, outputs]`
    weight: Param<Tensor<2>>,
    /// `[outputs]`
    bias: Param<Tensor<1>>,
}

impl Dense {
    pub(crate) fn new(init: &mut Init<'_>, inputs: usize, outputs: usize) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        Self { weight: init.uniform([inputs, outputs], bound), bias: init.uniform([outputs], bound) }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }

    /// Over `[batch, steps, inputs]`, as one product.
    pub(crate) fn forward_steps(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, steps, inputs] = x.dims();
        let y = self.forward(x.reshape([batch * steps, inputs]));
        let outputs = y.dims()[1];
        y.reshape([batch, steps, outputs])
    }
}

/// Normalises the last axis to mean 0 and variance 1, then scales and shifts it (Ba, Kiros, Hinton 2016).
#[derive(Module, Debug)]
pub(crate) struct LayerNorm {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
}

impl LayerNorm {
    const EPSILON: f64 = 1e-5;

    pub(crate) fn new(init: &Init<'_>, width: usize) -> Self {
        Self { scale: init.constant([width], 1.0), shift: init.constant([width], 0.0) }
    }

    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let centred = x.clone() - x.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        centred / (variance + Self::EPSILON).sqrt() * self.scale.val().unsqueeze() + self.shift.val().unsqueeze()
    }
}

/// Scaled dot-product self-attention with several heads (Vaswani et al. 2017), without a mask: the whole window is past.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    heads: usize,
    dropout: f64,
}

impl SelfAttention {
    pub(crate) fn new(init: &mut Init<'_>, width: usize, heads: usize, dropout: f64) -> Self {
        let [query, key, value, output] = std::array::from_fn(|_| Dense::new(init, width, width));
        Self { query, key, value, output, heads, dropout }
    }

    pub(crate) fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let [batch, steps, width] = x.dims();
        let depth = width / self.heads;
        let split = |x: Tensor<3>| x.reshape([batch, steps, self.heads, depth]).swap_dims(1, 2);
        let query = split(self.query.forward_steps(x.clone()));
        let key = split(self.key.forward_steps(x.clone()));
        let value = split(self.value.forward_steps(x));
        let scores = query.matmul(key.swap_dims(2, 3)) / (depth as f64).sqrt();
        let weights = pass.dropout(softmax(scores, 3), self.dropout);
        let mixed = weights.matmul(value).swap_dims(1, 2).reshape([batch, steps, width]);
        self.output.forward_steps(mixed)
    }
}

/// Mean over time, then two layers down to the outputs.
#[derive(Module, Debug)]
pub(crate) struct Head {
    hidden: Dense,
    output: Dense,
    dropout: f64,
}

impl Head {
    pub(crate) fn new(init: &mut Init<'_>, width: usize, outputs: usize, dropout: f64) -> Self {
        let inner = (width / 2).max(1);
        Self { hidden: Dense::new(init, width, inner), output: Dense::new(init, inner, outputs), dropout }
    }

    pub(crate) fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let [batch, _, width] = x.dims();
        let pooled = x.mean_dim(1).reshape([batch, width]);
        self.output.forward(pass.dropout(relu(self.hidden.forward(pooled)), self.dropout))
    }
}
