use burn::module::Module;
use burn::tensor::Tensor;

use crate::config::LstmAttentionConfig;
use crate::init::Init;
use crate::layers::{Head, LayerNorm, Lstm, RecurrentConfig, SelfAttention};
use crate::pass::Pass;

/// Stacked LSTM, residual self-attention, layer norm, mean over time, head.
#[derive(Module, Debug)]
pub struct LstmAttention {
    /// The recurrent layers.
    pub lstm: Lstm,
    /// Over the whole window: what the window holds is past.
    pub attention: SelfAttention,
    /// Of the sum of both.
    pub norm: LayerNorm,
    /// Down to the outputs.
    pub head: Head,
    dropout: f64,
}

impl LstmAttention {
    pub(crate) fn new(config: &LstmAttentionConfig, init: &mut Init<'_>, features: usize, outputs: usize) -> Self {
        let (hidden, dropout) = (config.hidden_size, config.dropout);
        let stack =
            RecurrentConfig { inputs: features, hidden, layers: config.num_layers, bidirectional: false, dropout };
        Self {
            lstm: Lstm::new(init, &stack),
            attention: SelfAttention::new(init, hidden, config.attention_heads, dropout, false),
            norm: LayerNorm::new(init, hidden),
            head: Head::new(init, hidden, outputs, dropout),
            dropout,
        }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let x = self.lstm.forward(windows, pass);
        let attended = self.attention.forward(x.clone(), pass);
        let x = pass.dropout_add(attended, x, self.dropout);
        self.head.forward_mean(self.norm.forward(x), pass)
    }
}
