use burn::module::Module;
use burn::tensor::Tensor;

use super::{Dense, LayerNorm, SelfAttention, gelu};
use crate::init::Init;
use crate::pass::Pass;

/// A Transformer encoder block with the norms in front (Xiong et al. 2020): self-attention, then a feed-forward part with
/// GELU, each with a residual.
#[derive(Module, Debug)]
pub struct EncoderBlock {
    /// In front of the attention.
    pub attention_norm: LayerNorm,
    /// Over the whole window.
    pub attention: SelfAttention,
    /// In front of the feed-forward part.
    pub feedforward_norm: LayerNorm,
    /// `[width, inner]`
    pub expand: Dense,
    /// `[inner, width]`
    pub contract: Dense,
    dropout: f64,
}

impl EncoderBlock {
    /// `heads` must divide `width`.
    #[must_use]
    pub fn new(init: &mut Init<'_>, width: usize, heads: usize, inner: usize, dropout: f64) -> Self {
        Self {
            attention_norm: LayerNorm::new(init, width),
            attention: SelfAttention::new(init, width, heads, dropout, false),
            feedforward_norm: LayerNorm::new(init, width),
            expand: Dense::new(init, width, inner),
            contract: Dense::new(init, inner, width),
            dropout,
        }
    }

    /// Maps `[batch, steps, width]` to the same shape.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let attended = self.attention.forward(self.attention_norm.forward(x.clone()), pass);
        let x = pass.dropout_add(attended, x, self.dropout);
        let inner = gelu(self.expand.forward(self.feedforward_norm.forward(x.clone())));
        let fed = self.contract.forward(pass.dropout(inner, self.dropout));
        pass.dropout_add(fed, x, self.dropout)
    }
}
