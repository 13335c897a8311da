use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};

use super::Dense;
use crate::init::Init;
use crate::ops;
use crate::pass::Pass;

/// Scaled dot-product self-attention with several heads (Vaswani et al. 2017).
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Queries, keys and values side by side: `[width, 3 width]`.
    pub qkv: Dense,
    /// `[width, width]`
    pub output: Dense,
    heads: usize,
    dropout: f64,
    causal: bool,
}

impl SelfAttention {
    /// `heads` must divide `width`. With `causal` a step sees itself and what came before; without, the whole window.
    #[must_use]
    pub fn new(init: &mut Init<'_>, width: usize, heads: usize, dropout: f64, causal: bool) -> Self {
        let qkv = Dense::new(init, width, 3 * width);
        Self { qkv, output: Dense::new(init, width, width), heads, dropout, causal }
    }

    /// Maps `[batch, steps, width]` to the same shape.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let [_, steps, width] = x.dims();
        let draw = pass.draw(self.dropout, self.heads * steps * steps);
        let fused = ops::covers_attention(&x.device(), x.dtype(), width / self.heads, draw.as_ref());
        let qkv = self.qkv.forward(x);
        let mixed = if fused {
            ops::attention(ops::Attention { heads: self.heads, causal: self.causal, draw }, qkv)
        } else {
            self.composed(qkv, draw)
        };
        self.output.forward(mixed)
    }

    fn composed(&self, qkv: Tensor<3>, draw: Option<ops::Draw>) -> Tensor<3> {
        let [batch, steps, row] = qkv.dims();
        let (width, depth) = (row / 3, row / 3 / self.heads);
        let part = |i: usize| {
            let x = qkv.clone().narrow(2, i * width, width);
            x.reshape([batch, steps, self.heads, depth]).swap_dims(1, 2)
        };
        let mut scores = part(0).matmul(part(1).swap_dims(2, 3)) / (depth as f64).sqrt();
        if self.causal {
            let mask = Tensor::<2, Bool>::tril_mask([steps, steps], 0, &scores.device());
            scores = scores.mask_fill(mask.unsqueeze(), f32::NEG_INFINITY);
        }
        let mut weights = softmax(scores, 3);
        if let Some(draw) = draw {
            weights = draw.apply(weights);
        }
        weights.matmul(part(2)).swap_dims(1, 2).reshape([batch, steps, width])
    }
}
