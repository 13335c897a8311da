use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::config::TransformerConfig;
use crate::init::Init;
use crate::layers::{Dense, Head, LayerNorm, SelfAttention, gelu};
use crate::pass::Pass;

/// Encoder blocks with the norm in front (Xiong et al. 2020), learned positions, mean over time, head.
#[derive(Module, Debug)]
pub struct Transformer {
    input: Dense,
    /// `[1, steps, hidden]`
    positions: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Head,
}

#[derive(Module, Debug)]
struct Block {
    attention_norm: LayerNorm,
    attention: SelfAttention,
    feedforward_norm: LayerNorm,
    expand: Dense,
    contract: Dense,
    dropout: f64,
}

impl Transformer {
    pub(crate) fn new(
        config: &TransformerConfig,
        init: &mut Init<'_>,
        steps: usize,
        features: usize,
        outputs: usize,
    ) -> Self {
        let hidden = config.hidden_size;
        Self {
            input: Dense::new(init, features, hidden),
            positions: init.uniform([1, steps, hidden], 0.02),
            blocks: (0..config.num_layers).map(|_| Block::new(config, init)).collect(),
            norm: LayerNorm::new(init, hidden),
            head: Head::new(init, hidden, outputs, config.dropout),
        }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let mut x = self.input.forward(windows) + self.positions.val();
        for block in &self.blocks {
            x = block.forward(x, pass);
        }
        self.head.forward_mean(self.norm.forward(x), pass)
    }
}

impl Block {
    fn new(config: &TransformerConfig, init: &mut Init<'_>) -> Self {
        let (hidden, dropout) = (config.hidden_size, config.dropout);
        let inner = config.feedforward_factor * hidden;
        Self {
            attention_norm: LayerNorm::new(init, hidden),
            attention: SelfAttention::new(init, hidden, config.attention_heads, dropout, false),
            feedforward_norm: LayerNorm::new(init, hidden),
            expand: Dense::new(init, hidden, inner),
            contract: Dense::new(init, inner, hidden),
            dropout,
        }
    }

    fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let attended = self.attention.forward(self.attention_norm.forward(x.clone()), pass);
        let x = pass.dropout_add(attended, x, self.dropout);
        let inner = gelu(self.expand.forward(self.feedforward_norm.forward(x.clone())));
        let fed = self.contract.forward(pass.dropout(inner, self.dropout));
        pass.dropout_add(fed, x, self.dropout)
    }
}
