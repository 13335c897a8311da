use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use crate::init::Init;
use crate::pass::Pass;

/// Stacked LSTM layers (Hochreiter and Schmidhuber 1997) over `[batch, steps, inputs]`, with dropout between layers only.
///
/// The four gates of a layer are one matrix in the order input, forget, cell, output, as PyTorch has them.
#[derive(Module, Debug)]
pub(crate) struct Lstm {
    layers: Vec<Layer>,
    dropout: f64,
}

#[derive(Module, Debug)]
struct Layer {
    /// `[inputs, 4 * hidden]`
    input_weight: Param<Tensor<2>>,
    /// `[hidden, 4 * hidden]`
    hidden_weight: Param<Tensor<2>>,
    /// `[4 * hidden]`
    bias: Param<Tensor<1>>,
}

impl Lstm {
    pub(crate) fn new(init: &mut Init<'_>, inputs: usize, hidden: usize, layers: usize, dropout: f64) -> Self {
        let layer = |i| Layer::new(init, if i == 0 { inputs } else { hidden }, hidden);
        Self { layers: (0..layers).map(layer).collect(), dropout }
    }

    /// The last layer's hidden state at every step, `[batch, steps, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let [batch, steps, inputs] = x.dims();
        // Between layers the steps stay apart: slicing one stacked tensor would make its backward pass quadratic in time.
        let mut states: Vec<Tensor<2>> = x.split(1, 1).into_iter().map(|step| step.reshape([batch, inputs])).collect();
        debug_assert_eq!(states.len(), steps);
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                states = states.into_iter().map(|h| pass.dropout(h, self.dropout)).collect();
            }
            states = layer.forward(states);
        }
        Tensor::stack(states, 1)
    }
}

impl Layer {
    fn new(init: &mut Init<'_>, inputs: usize, hidden: usize) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        // A forget gate that starts open carries early errors far back (Jozefowicz et al. 2015).
        let bias = (0..4 * hidden).map(|i| if i / hidden == 1 { 1.0 } else { 0.0 }).collect();
        Self {
            input_weight: init.uniform([inputs, 4 * hidden], bound),
            hidden_weight: init.uniform([hidden, 4 * hidden], bound),
            bias: init.values([4 * hidden], bias),
        }
    }

    fn forward(&self, steps: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let (input_weight, hidden_weight) = (self.input_weight.val(), self.hidden_weight.val());
        let bias: Tensor<2> = self.bias.val().unsqueeze();
        let mut state: Option<(Tensor<2>, Tensor<2>)> = None;
        let mut outputs = Vec::with_capacity(steps.len());
        for x in steps {
            let mut gates = x.matmul(input_weight.clone()) + bias.clone();
            if let Some((hidden, _)) = &state {
                gates = gates + hidden.clone().matmul(hidden_weight.clone());
            }
            let mut parts = gates.chunk(4, 1).into_iter();
            let mut gate = || parts.next().expect("chunk(4) of four gates gives four parts");
            let (input, forget, cell, output) = (sigmoid(gate()), sigmoid(gate()), gate().tanh(), sigmoid(gate()));
            let fresh = input * cell;
            let cell = match state {
                Some((_, old)) => forget * old + fresh,
                None => fresh,
            };
            let hidden = output * cell.clone().tanh();
            outputs.push(hidden.clone());
            state = Some((hidden, cell));
        }
        outputs
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// One layer in plain loops, from the equations.
    fn reference(layer: &Layer, x: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let read = |t: Tensor<2>| t.into_data().try_to_vec::<f32>().expect("f32");
        let (wi, wh) = (read(layer.input_weight.val()), read(layer.hidden_weight.val()));
        let bias = read(layer.bias.val().unsqueeze());
        let hidden = bias.len() / 4;
        let (mut h, mut c) = (vec![0.0_f32; hidden], vec![0.0_f32; hidden]);
        let sigmoid = |z: f32| 1.0 / (1.0 + (-z).exp());
        let step = |row: &Vec<f32>| {
            let gate = |g: usize, j: usize| {
                let at = g * hidden + j;
                let input: f32 = row.iter().enumerate().map(|(k, v)| v * wi[k * 4 * hidden + at]).sum();
                let back: f32 = h.iter().enumerate().map(|(k, v)| v * wh[k * 4 * hidden + at]).sum();
                input + back + bias[at]
            };
            let next: Vec<(f32, f32)> = (0..hidden)
                .map(|j| {
                    let cell = sigmoid(gate(1, j)) * c[j] + sigmoid(gate(0, j)) * gate(2, j).tanh();
                    (sigmoid(gate(3, j)) * cell.tanh(), cell)
                })
                .collect();
            (h, c) = next.into_iter().unzip();
            h.clone()
        };
        x.iter().map(step).collect()
    }

    #[test]
    fn the_layer_follows_the_equations() {
        let device = Device::flex();
        let lstm = Lstm::new(&mut Init::new(3, &device), 2, 4, 2, 0.5);
        let rows: Vec<Vec<f32>> = (0..5).map(|t| vec![(t as f32).sin(), 0.3 * t as f32 - 0.5]).collect();
        let x = Tensor::from_data(TensorData::new(rows.concat(), [1, 5, 2]), &device);
        let got = lstm.forward(x, &Pass::inference()).into_data().try_to_vec::<f32>().expect("f32");
        let want = reference(&lstm.layers[1], &reference(&lstm.layers[0], &rows)).concat();
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 1e-5, "{got} is not {want}");
        }
    }
}
