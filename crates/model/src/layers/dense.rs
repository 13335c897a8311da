use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::init::Init;
use crate::ops;

/// `x W + b` over the last axis.
#[derive(Module, Debug)]
pub struct Dense {
    /// `[inputs, outputs]`
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`
    pub bias: Param<Tensor<1>>,
}

impl Dense {
    /// Weights and bias uniform in ±1/√inputs.
    #[must_use]
    pub fn new(init: &mut Init<'_>, inputs: usize, outputs: usize) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        Self { weight: init.uniform([inputs, outputs], bound), bias: init.uniform([outputs], bound) }
    }

    /// Maps `[.., inputs]` to `[.., outputs]`.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if ops::covers(&x.device(), x.dtype()) {
            return ops::linear(x, weight, bias);
        }
        let mut shape = x.dims();
        let [inputs, outputs] = weight.dims();
        let rows = x.reshape([shape.iter().product::<usize>() / inputs, inputs]);
        shape[D - 1] = outputs;
        (rows.matmul(weight) + bias.unsqueeze()).reshape(shape)
    }
}
