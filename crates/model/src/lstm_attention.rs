use burn::module::Module;
use burn::tensor::Tensor;

use crate::config::LstmAttentionConfig;
use crate::init::Init;
use crate::layers::{Head, LayerNorm, SelfAttention};
use crate::lstm::Lstm;
use crate::pass::Pass;

/// Stacked LSTM, residual self-attention, layer norm, mean over time, head.
#[derive(Module, Debug)]
pub struct LstmAttention {
    lstm: Lstm,
    attention: SelfAttention,
    norm: LayerNorm,
    head: Head,
    dropout: f64,
}

impl LstmAttention {
    pub(crate) fn new(config: &LstmAttentionConfig, init: &mut Init<'_>, features: usize, outputs: usize) -> Self {
        let (hidden, dropout) = (config.hidden_size, config.dropout);
        Self {
            lstm: Lstm::new(init, features, hidden, config.num_layers, dropout),
            attention: SelfAttention::new(init, hidden, config.attention_heads, dropout),
            norm: LayerNorm::new(init, hidden),
            head: Head::new(init, hidden, outputs, dropout),
            dropout,
        }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let x = self.lstm.forward(windows, pass);
        let attended = pass.dropout(self.attention.forward(x.clone(), pass), self.dropout);
        self.head.forward(self.norm.forward(x + attended), pass)
    }
}
