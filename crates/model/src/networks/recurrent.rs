use burn::module::Module;
use burn::tensor::Tensor;

use crate::config::RecurrentNetworkConfig;
use crate::init::Init;
use crate::layers::{Gru, Head, Lstm, RecurrentConfig};
use crate::pass::Pass;

/// Stacked LSTM; the head reads the last step.
#[derive(Module, Debug)]
pub struct LstmForecaster {
    /// The recurrent layers.
    pub lstm: Lstm,
    /// Down to the outputs.
    pub head: Head,
}

/// Stacked GRU; the head reads the last step.
#[derive(Module, Debug)]
pub struct GruForecaster {
    /// The recurrent layers.
    pub gru: Gru,
    /// Down to the outputs.
    pub head: Head,
}

impl RecurrentNetworkConfig {
    fn stack(&self, features: usize) -> RecurrentConfig {
        RecurrentConfig {
            inputs: features,
            hidden: self.hidden_size,
            layers: self.num_layers,
            bidirectional: false,
            dropout: self.dropout,
        }
    }

    fn head(&self, init: &mut Init<'_>, outputs: usize) -> Head {
        Head::new(init, self.hidden_size, outputs, self.dropout)
    }
}

impl LstmForecaster {
    pub(crate) fn new(config: &RecurrentNetworkConfig, init: &mut Init<'_>, features: usize, outputs: usize) -> Self {
        Self { lstm: Lstm::new(init, &config.stack(features)), head: config.head(init, outputs) }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        self.head.forward(last_step(self.lstm.forward(windows, pass)), pass)
    }
}

impl GruForecaster {
    pub(crate) fn new(config: &RecurrentNetworkConfig, init: &mut Init<'_>, features: usize, outputs: usize) -> Self {
        Self { gru: Gru::new(init, &config.stack(features)), head: config.head(init, outputs) }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        self.head.forward(last_step(self.gru.forward(windows, pass)), pass)
    }
}

pub(super) fn last_step(x: Tensor<3>) -> Tensor<2> {
    let [batch, steps, width] = x.dims();
    x.narrow(1, steps - 1, 1).reshape([batch, width])
}
