use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tapeloom_core::WindowSpec;

use crate::config::ModelConfig;
use crate::init::Init;
use crate::networks::{GruForecaster, Linear, LstmAttention, LstmForecaster, Tcn, Transformer};
use crate::objective::Objective;
use crate::pass::Pass;
use crate::{Error, Result};

/// A network that the trainer can train. Implement it for a Burn module of your own to bring your own model.
pub trait Network: Module {
    /// Maps `[batch, steps, features]` to `[batch, outputs]`.
    ///
    /// Random draws come from `pass` alone; a network keeps no state between calls.
    fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2>;

    /// Whether a recorded training step stands for all: `forward` does the same operations whatever the numbers are, reads
    /// none of them, and uploads none. Where CUDA can, steps are then replayed as one launch.
    fn is_recordable(&self) -> bool {
        false
    }
}

/// Everything needed to build a forecaster and to read its outputs; saved with each checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecasterSpec {
    /// The network.
    pub model: ModelConfig,
    /// The loss and the meaning of the outputs.
    pub objective: Objective,
    /// The windows that go in.
    pub window: WindowSpec,
    /// Unit of each regression target: the network learns target / unit, and predictions are in the target's own unit.
    /// Empty means 1.
    #[serde(default)]
    pub target_scale: Vec<f32>,
}

impl ForecasterSpec {
    /// Numbers that come out for one window.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.objective.outputs(self.window.targets.len())
    }

    /// Checks sizes, and that the objective fits the targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.objective.validate()?;
        let window = &self.window;
        if window.steps == 0 || window.features.is_empty() || window.targets.is_empty() {
            let shape =
                format!("{} steps, {} features, {} targets", window.steps, window.features.len(), window.targets.len());
            return Err(Error::invalid("window", shape, "each must be at least 1"));
        }
        let scale = &self.target_scale;
        let positive = scale.iter().all(|s| *s > 0.0 && s.is_finite());
        if !(scale.is_empty() || scale.len() == window.targets.len() && positive) {
            return Err(Error::invalid(
                "target_scale",
                format!("{scale:?}"),
                "give a positive number for each target, or none",
            ));
        }
        if matches!(self.objective, Objective::CrossEntropy { .. }) && window.targets.len() != 1 {
            let remedy = "classification takes one target, the class number";
            return Err(Error::invalid("window.targets", window.targets.len(), remedy));
        }
        Ok(())
    }
}

/// One of the networks of this crate.
#[derive(Module, Debug)]
pub enum Forecaster {
    /// Stacked LSTM with attention.
    LstmAttention(LstmAttention),
    /// Stacked LSTM.
    Lstm(LstmForecaster),
    /// Stacked GRU.
    Gru(GruForecaster),
    /// Transformer encoder.
    Transformer(Transformer),
    /// Temporal convolutional network.
    Tcn(Tcn),
    /// Affine map of the last row.
    Linear(Linear),
}

impl Forecaster {
    /// A fresh network whose first weights are a function of `seed` alone.
    ///
    /// Give an autodiff device to train it: `&device.autodiff()`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the spec does not [validate](ForecasterSpec::validate).
    pub fn new(spec: &ForecasterSpec, seed: u64, device: &Device) -> Result<Self> {
        spec.validate()?;
        let (features, outputs) = (spec.window.features.len(), spec.outputs());
        let mut init = Init::new(seed, device);
        Ok(match &spec.model {
            ModelConfig::LstmAttention(config) => {
                Self::LstmAttention(LstmAttention::new(config, &mut init, features, outputs))
            }
            ModelConfig::Transformer(config) => {
                Self::Transformer(Transformer::new(config, &mut init, spec.window.steps, features, outputs))
            }
            ModelConfig::Lstm(config) => Self::Lstm(LstmForecaster::new(config, &mut init, features, outputs)),
            ModelConfig::Gru(config) => Self::Gru(GruForecaster::new(config, &mut init, features, outputs)),
            ModelConfig::Tcn(config) => Self::Tcn(Tcn::new(config, &mut init, features, outputs)),
            ModelConfig::Linear(_) => Self::Linear(Linear::new(&mut init, features, outputs)),
        })
    }
}

impl Network for Forecaster {
    fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        match self {
            Self::LstmAttention(network) => network.forward(windows, pass),
            Self::Lstm(network) => network.forward(windows, pass),
            Self::Gru(network) => network.forward(windows, pass),
            Self::Transformer(network) => network.forward(windows, pass),
            Self::Tcn(network) => network.forward(windows, pass),
            Self::Linear(network) => network.forward(windows),
        }
    }

    fn is_recordable(&self) -> bool {
        true
    }
}
