use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::recurrent::last_step;
use crate::config::TcnConfig;
use crate::init::Init;
use crate::layers::{CausalConv, Dense, Head};
use crate::pass::Pass;

/// Temporal convolutional network (Bai, Kolter, Koltun 2018): residual blocks of two causal convolutions whose dilation
/// doubles from block to block; the head reads the last step.
#[derive(Module, Debug)]
pub struct Tcn {
    blocks: Vec<Block>,
    head: Head,
}

#[derive(Module, Debug)]
struct Block {
    first: CausalConv,
    second: CausalConv,
    /// Where the width changes.
    shortcut: Option<Dense>,
    dropout: f64,
}

impl Tcn {
    pub(crate) fn new(config: &TcnConfig, init: &mut Init<'_>, features: usize, outputs: usize) -> Self {
        let hidden = config.hidden_size;
        let block = |i: usize| {
            let inputs = if i == 0 { features } else { hidden };
            Block {
                first: CausalConv::new(init, inputs, hidden, config.kernel_size, 1 << i),
                second: CausalConv::new(init, hidden, hidden, config.kernel_size, 1 << i),
                shortcut: (inputs != hidden).then(|| Dense::new(init, inputs, hidden)),
                dropout: config.dropout,
            }
        };
        let blocks = (0..config.num_layers).map(block).collect();
        Self { blocks, head: Head::new(init, hidden, outputs, config.dropout) }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let mut x = windows;
        for block in &self.blocks {
            let inner = pass.dropout(relu(block.first.forward(x.clone())), block.dropout);
            let inner = pass.dropout(relu(block.second.forward(inner)), block.dropout);
            let past = match &block.shortcut {
                Some(shortcut) => shortcut.forward(x),
                None => x,
            };
            x = relu(inner + past);
        }
        self.head.forward(last_step(x), pass)
    }
}
