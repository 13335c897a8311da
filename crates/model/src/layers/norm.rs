use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::init::Init;
use crate::ops;

/// Normalises the last axis to mean 0 and variance 1, then scales and shifts it (Ba, Kiros, Hinton 2016).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]`
    pub scale: Param<Tensor<1>>,
    /// `[width]`
    pub shift: Param<Tensor<1>>,
}

impl LayerNorm {
    const EPSILON: f64 = 1e-5;

    /// Scale 1, shift 0.
    #[must_use]
    pub fn new(init: &Init<'_>, width: usize) -> Self {
        Self { scale: init.constant([width], 1.0), shift: init.constant([width], 0.0) }
    }

    /// Keeps the shape of `x`.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (scale, shift) = (self.scale.val(), self.shift.val());
        if ops::covers(&x.device(), x.dtype()) {
            return ops::layer_norm(x, scale, shift, Self::EPSILON);
        }
        let centred = x.clone() - x.mean_dim(D - 1);
        let variance = centred.clone().square().mean_dim(D - 1);
        centred / (variance + Self::EPSILON).sqrt() * scale.unsqueeze() + shift.unsqueeze()
    }
}
