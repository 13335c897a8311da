use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::config::TransformerConfig;
use crate::init::Init;
use crate::layers::{Dense, EncoderBlock, Head, LayerNorm};
use crate::pass::Pass;

/// Encoder blocks with the norm in front (Xiong et al. 2020), learned positions, mean over time, head.
#[derive(Module, Debug)]
pub struct Transformer {
    input: Dense,
    /// `[1, steps, hidden]`
    positions: Param<Tensor<3>>,
    blocks: Vec<EncoderBlock>,
    norm: LayerNorm,
    head: Head,
}

impl Transformer {
    pub(crate) fn new(
        config: &TransformerConfig,
        init: &mut Init<'_>,
        steps: usize,
        features: usize,
        outputs: usize,
    ) -> Self {
        let (hidden, heads) = (config.hidden_size, config.attention_heads);
        let inner = config.feedforward_factor * hidden;
        Self {
            input: Dense::new(init, features, hidden),
            positions: init.uniform([1, steps, hidden], 0.02),
            blocks: (0..config.num_layers)
                .map(|_| EncoderBlock::new(init, hidden, heads, inner, config.dropout))
                .collect(),
            norm: LayerNorm::new(init, hidden),
            head: Head::new(init, hidden, outputs, config.dropout),
        }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let x = self.input.forward(windows);
        let mut x = x.clone() + self.positions.val().cast(x.dtype());
        for block in &self.blocks {
            x = block.forward(x, pass);
        }
        self.head.forward_mean(self.norm.forward(x), pass)
    }
}
