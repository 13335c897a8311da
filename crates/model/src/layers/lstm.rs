use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::RecurrentConfig;
use super::stack::through;
use crate::init::Init;
use crate::ops;
use crate::pass::Pass;

/// Stacked LSTM layers (Hochreiter and Schmidhuber 1997) over `[batch, steps, inputs]`, with dropout between layers only.
///
/// The four gates of a layer are one matrix in the order input, forget, cell, output, as PyTorch has them.
#[derive(Module, Debug)]
pub struct Lstm {
    layers: Vec<LstmLayer>,
    directions: usize,
    dropout: f64,
}

/// One direction of one layer.
#[derive(Module, Debug)]
pub(crate) struct LstmLayer {
    /// `[inputs, 4 hidden]`
    pub(crate) input_weight: Param<Tensor<2>>,
    /// `[hidden, 4 hidden]`
    pub(crate) hidden_weight: Param<Tensor<2>>,
    /// `[4 hidden]`
    pub(crate) bias: Param<Tensor<1>>,
}

/// States of all layers and directions, `[layers * directions, batch, hidden]` each.
#[derive(Clone, Debug)]
pub struct LstmState {
    /// Hidden states.
    pub hidden: Tensor<3>,
    /// Cell states.
    pub cell: Tensor<3>,
}

impl Lstm {
    /// Weights uniform in ±1/√hidden; the forget gate begins open.
    #[must_use]
    pub fn new(init: &mut Init<'_>, config: &RecurrentConfig) -> Self {
        let layers = config.build(init, |init, inputs| LstmLayer::new(init, inputs, config.hidden));
        Self { layers, directions: config.directions(), dropout: config.dropout }
    }

    /// The last layer's hidden state at every step, `[batch, steps, directions * hidden]`, from states of zero.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        through(&self.layers, self.directions, self.dropout, x, pass, |_, layer, x, reverse| {
            layer.forward(x, None, reverse, false).0
        })
    }

    /// As [`Lstm::forward`] from a state, and the state at the end; gradients flow through both.
    #[must_use]
    pub fn forward_from(&self, x: Tensor<3>, state: Option<LstmState>, pass: &Pass) -> (Tensor<3>, LstmState) {
        let (mut hidden, mut cell) = (Vec::new(), Vec::new());
        let y = through(&self.layers, self.directions, self.dropout, x, pass, |i, layer, x, reverse| {
            let before = state.as_ref().map(|state| [pick(&state.hidden, i), pick(&state.cell, i)]);
            let (y, last) = layer.forward(x, before, reverse, true);
            let [h, c] = last.expect("the layer was asked for its last state");
            hidden.push(h);
            cell.push(c);
            y
        });
        (y, LstmState { hidden: Tensor::stack(hidden, 0), cell: Tensor::stack(cell, 0) })
    }

    #[cfg(any(feature = "flex", feature = "interop"))]
    pub(crate) fn layers(&self) -> &[LstmLayer] {
        &self.layers
    }

    #[cfg(feature = "interop")]
    pub(crate) fn layers_mut(&mut self) -> &mut [LstmLayer] {
        &mut self.layers
    }

    #[cfg(feature = "interop")]
    pub(crate) const fn directions(&self) -> usize {
        self.directions
    }
}

/// Plane `i` of `[n, batch, hidden]`.
pub(super) fn pick(states: &Tensor<3>, i: usize) -> Tensor<2> {
    states.clone().narrow(0, i, 1).squeeze_dim(0)
}

/// The row of `[batch, steps, hidden]` that a chain reaches last.
pub(super) fn last_row(y: &Tensor<3>, steps: usize, reverse: bool) -> Tensor<2> {
    y.clone().narrow(1, if reverse { 0 } else { steps - 1 }, 1).squeeze_dim(1)
}

impl LstmLayer {
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

    /// Outputs at every step, and the last hidden and cell state when `with_last`.
    fn forward(
        &self,
        x: Tensor<3>,
        before: Option<[Tensor<2>; 2]>,
        reverse: bool,
        with_last: bool,
    ) -> (Tensor<3>, Option<[Tensor<2>; 2]>) {
        let [_, steps, _] = x.dims();
        if !ops::covers(&x.device(), x.dtype()) {
            return self.composed(x, before, reverse);
        }
        let weights = (self.input_weight.val(), self.hidden_weight.val(), self.bias.val());
        let call = ops::Lstm { reverse, with_cell: with_last, has_state: before.is_some() };
        let y = ops::lstm(call, x, weights, before);
        if !with_last {
            return (y, None);
        }
        let cell = y.clone().narrow(1, steps, 1).squeeze_dim(1);
        let y = y.narrow(1, 0, steps);
        let last = last_row(&y, steps, reverse);
        (y, Some([last, cell]))
    }

    fn composed(
        &self,
        x: Tensor<3>,
        before: Option<[Tensor<2>; 2]>,
        reverse: bool,
    ) -> (Tensor<3>, Option<[Tensor<2>; 2]>) {
        let [batch, _, inputs] = x.dims();
        let (input_weight, hidden_weight) = (self.input_weight.val(), self.hidden_weight.val());
        let bias: Tensor<2> = self.bias.val().unsqueeze();
        // Steps stay apart: slicing one stacked tensor would make its backward pass quadratic in time.
        let mut steps = x.split(1, 1);
        if reverse {
            steps.reverse();
        }
        let mut state = before;
        let mut outputs = Vec::with_capacity(steps.len());
        for x in steps {
            let mut gates = x.reshape([batch, inputs]).matmul(input_weight.clone()) + bias.clone();
            if let Some([hidden, _]) = &state {
                gates = gates + hidden.clone().matmul(hidden_weight.clone());
            }
            let mut parts = gates.chunk(4, 1).into_iter();
            let mut gate = || parts.next().expect("chunk(4) of four gates gives four parts");
            let (input, forget, cell, output) = (sigmoid(gate()), sigmoid(gate()), gate().tanh(), sigmoid(gate()));
            let fresh = input * cell;
            let cell = match state {
                Some([_, old]) => forget * old + fresh,
                None => fresh,
            };
            let hidden = output * cell.clone().tanh();
            outputs.push(hidden.clone());
            state = Some([hidden, cell]);
        }
        if reverse {
            outputs.reverse();
        }
        (Tensor::stack(outputs, 1), state)
    }
}
