use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use crate::cpu::tick::Columns;
use crate::cpu::{gru_cell, lstm_cell};
use crate::forecaster::{Forecaster, ForecasterSpec};
use crate::layers::{Dense, Head};
use crate::objective::Objective;
use crate::{Error, Result};

/// A recurrent forecaster that follows a feed: one row in, one prediction out, the state carried from row to row.
///
/// A window is never run again. After `n` rows a prediction is what the network says of the one window of those `n` rows,
/// within rounding. Runs on the CPU, in the thread that calls.
///
/// ```
/// # use tapeloom_core::WindowSpec;
/// # use tapeloom_model::{Forecaster, ForecasterSpec, ModelConfig, Objective, Stream, burn::tensor::Device};
/// # let window = WindowSpec { steps: 5, features: vec!["return".into()], targets: vec!["next".into()], scaler: None };
/// # let spec = ForecasterSpec { model: ModelConfig::named("gru")?, objective: Objective::Mse, window, target_scale: vec![] };
/// # let forecaster = Forecaster::new(&spec, 7, &Device::flex())?;
/// let mut stream = Stream::new(spec, &forecaster)?;
/// for tick in [0.1, -0.2, 0.05] {
///     let prediction = stream.push(&[tick])?;
///     assert_eq!(prediction.len(), 1);
/// }
/// # Ok::<(), tapeloom_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    spec: ForecasterSpec,
    layers: Vec<Layer>,
    head: [Affine; 2],
    /// Row and state side by side, as the products of a layer take them.
    joined: Vec<f32>,
    sums: Vec<f32>,
    /// What a cell held before the step.
    spare: Vec<f32>,
    rows: u64,
}

#[derive(Clone, Debug)]
struct Layer {
    weights: Weights,
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Weights {
    /// Input and hidden weights, one below the other.
    Lstm(Affine),
    /// The input's product and the state's: the reset gate stands between them.
    Gru { input: Affine, hidden: Affine },
}

/// `x W + b`.
#[derive(Clone, Debug)]
struct Affine {
    weight: Columns,
    bias: Vec<f32>,
}

fn numbers<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    param.val().into_data().convert::<f32>().try_to_vec().expect("the data was just made f32")
}

impl From<&Dense> for Affine {
    fn from(dense: &Dense) -> Self {
        let bias = numbers(&dense.bias);
        Self { weight: Columns::new(&[&numbers(&dense.weight)], bias.len()), bias }
    }
}

impl Affine {
    fn run(&self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(self.bias.len(), 0.0);
        self.weight.product(x, &self.bias, out);
    }
}

impl Layer {
    fn new(weights: Weights, hidden: usize) -> Self {
        Self { weights, hidden: vec![0.0; hidden], cell: vec![0.0; hidden] }
    }
}

impl Stream {
    /// Takes the weights of a forecaster; the state begins at zero.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the network carries no state from step to step: only `lstm` and `gru` do.
    pub fn new(spec: ForecasterSpec, network: &Forecaster) -> Result<Self> {
        let (layers, head): (Vec<Layer>, &Head) = match network {
            Forecaster::Lstm(network) => {
                let layer = |layer: &crate::layers::LstmLayer| {
                    let bias = numbers(&layer.bias);
                    let (input, hidden) = (numbers(&layer.input_weight), numbers(&layer.hidden_weight));
                    let width = bias.len() / 4;
                    let weight = Columns::new(&[&input, &hidden], bias.len());
                    Layer::new(Weights::Lstm(Affine { weight, bias }), width)
                };
                (network.lstm.layers().iter().map(layer).collect(), &network.head)
            }
            Forecaster::Gru(network) => {
                let layer = |layer: &crate::layers::GruLayer| {
                    let (bias, new_bias) = (numbers(&layer.bias), numbers(&layer.new_bias));
                    let width = new_bias.len();
                    let weight = Columns::new(&[&numbers(&layer.input_weight)], bias.len());
                    let input = Affine { weight, bias };
                    let mut bias = vec![0.0; 2 * width];
                    bias.extend(new_bias);
                    let weight = Columns::new(&[&numbers(&layer.hidden_weight)], bias.len());
                    Layer::new(Weights::Gru { input, hidden: Affine { weight, bias } }, width)
                };
                (network.gru.layers().iter().map(layer).collect(), &network.head)
            }
            _ => {
                let remedy = "it carries no state from row to row; give lstm or gru, or predict whole windows";
                return Err(Error::invalid("model.type", spec.model.name(), remedy));
            }
        };
        let head = [Affine::from(&head.hidden), Affine::from(&head.output)];
        Ok(Self { spec, layers, head, joined: Vec::new(), sums: Vec::new(), spare: Vec::new(), rows: 0 })
    }

    /// Takes the next row of scaled features and predicts: values in the targets' own unit for regression, class
    /// probabilities for classification.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the row has another length or a number that is not finite; the state has not moved then.
    pub fn push(&mut self, row: &[f32]) -> Result<Vec<f32>> {
        let features = &self.spec.window.features;
        if row.len() != features.len() {
            return Err(Error::invalid("row length", row.len(), format!("give {} features", features.len())));
        }
        if let Some(at) = row.iter().position(|x| !x.is_finite()) {
            let remedy = "fill it, or leave the row out";
            return Err(Error::invalid(format!("row feature {}", features[at]), row[at], remedy));
        }
        let (joined, sums, spare) = (&mut self.joined, &mut self.sums, &mut self.spare);
        joined.clear();
        joined.extend(row);
        for layer in &mut self.layers {
            match &layer.weights {
                Weights::Lstm(affine) => {
                    joined.extend(&layer.hidden);
                    affine.run(joined, sums);
                    lstm_cell(sums, &mut layer.cell, &mut layer.hidden, spare);
                }
                Weights::Gru { input, hidden } => {
                    input.run(joined, sums);
                    sums.resize(4 * layer.hidden.len(), 0.0);
                    hidden.run(&layer.hidden, joined);
                    gru_cell(sums, joined, &mut layer.hidden, spare);
                }
            }
            joined.clear();
            joined.extend(&layer.hidden);
        }
        self.head[0].run(joined, sums);
        sums.iter_mut().for_each(|x| *x = x.max(0.0));
        self.head[1].run(sums, joined);
        self.rows += 1;
        Ok(self.prediction())
    }

    fn prediction(&self) -> Vec<f32> {
        let outputs = &self.joined;
        match self.spec.objective {
            Objective::CrossEntropy { .. } => {
                let data = TensorData::new(outputs.clone(), [1, outputs.len()]);
                let outputs = self.spec.objective.prediction(Tensor::from_data(data, &Device::flex()));
                outputs.into_data().try_to_vec().expect("f32")
            }
            _ if self.spec.target_scale.is_empty() => outputs.clone(),
            _ => outputs.iter().zip(self.spec.target_scale.iter().cycle()).map(|(y, unit)| y * unit).collect(),
        }
    }

    /// Rows taken since the start or the last reset.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Back to a state of zero, as before the first row: for the next symbol or after a gap.
    pub fn reset(&mut self) {
        self.rows = 0;
        for layer in &mut self.layers {
            layer.hidden.fill(0.0);
            layer.cell.fill(0.0);
        }
    }
}
