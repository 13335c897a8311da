use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::RecurrentConfig;
use super::lstm::{last_row, pick};
use super::stack::through;
use crate::init::Init;
use crate::ops;
use crate::pass::Pass;

/// Stacked GRU layers (Cho et al. 2014) over `[batch, steps, inputs]`, in PyTorch's form: the reset gate applies after the
/// hidden product. Dropout between layers only.
#[derive(Module, Debug)]
pub struct Gru {
    layers: Vec<GruLayer>,
    directions: usize,
    dropout: f64,
}

/// One direction of one layer; gates in the order reset, update, new.
#[derive(Module, Debug)]
pub(crate) struct GruLayer {
    /// `[inputs, 3 hidden]`
    pub(crate) input_weight: Param<Tensor<2>>,
    /// `[hidden, 3 hidden]`
    pub(crate) hidden_weight: Param<Tensor<2>>,
    /// `[3 hidden]`
    pub(crate) bias: Param<Tensor<1>>,
    /// `[hidden]`: the bias of the new gate's hidden product, which the reset gate scales.
    pub(crate) new_bias: Param<Tensor<1>>,
}

impl Gru {
    /// Weights and biases uniform in ±1/√hidden.
    #[must_use]
    pub fn new(init: &mut Init<'_>, config: &RecurrentConfig) -> Self {
        let layers = config.build(init, |init, inputs| GruLayer::new(init, inputs, config.hidden));
        Self { layers, directions: config.directions(), dropout: config.dropout }
    }

    /// The last layer's state at every step, `[batch, steps, directions * hidden]`, from states of zero.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        through(&self.layers, self.directions, self.dropout, x, pass, |_, layer, x, reverse| {
            layer.forward(x, None, reverse)
        })
    }

    /// As [`Gru::forward`] from states `[layers * directions, batch, hidden]`, and the states at the end.
    #[must_use]
    pub fn forward_from(&self, x: Tensor<3>, state: Option<Tensor<3>>, pass: &Pass) -> (Tensor<3>, Tensor<3>) {
        let [_, steps, _] = x.dims();
        let mut last = Vec::new();
        let y = through(&self.layers, self.directions, self.dropout, x, pass, |i, layer, x, reverse| {
            let y = layer.forward(x, state.as_ref().map(|state| pick(state, i)), reverse);
            last.push(last_row(&y, steps, reverse));
            y
        });
        (y, Tensor::stack(last, 0))
    }

    #[cfg(any(feature = "flex", feature = "interop"))]
    pub(crate) fn layers(&self) -> &[GruLayer] {
        &self.layers
    }

    #[cfg(feature = "interop")]
    pub(crate) fn layers_mut(&mut self) -> &mut [GruLayer] {
        &mut self.layers
    }

    #[cfg(feature = "interop")]
    pub(crate) const fn directions(&self) -> usize {
        self.directions
    }
}

impl GruLayer {
    fn new(init: &mut Init<'_>, inputs: usize, hidden: usize) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        Self {
            input_weight: init.uniform([inputs, 3 * hidden], bound),
            hidden_weight: init.uniform([hidden, 3 * hidden], bound),
            bias: init.uniform([3 * hidden], bound),
            new_bias: init.uniform([hidden], bound),
        }
    }

    fn forward(&self, x: Tensor<3>, before: Option<Tensor<2>>, reverse: bool) -> Tensor<3> {
        let [batch, _, inputs] = x.dims();
        let [hidden, _] = self.hidden_weight.dims();
        let device = x.device();
        let (input_weight, hidden_weight) = (self.input_weight.val(), self.hidden_weight.val());
        let (bias, new_bias) = (self.bias.val(), self.new_bias.val());
        if ops::covers(&device, x.dtype()) {
            let call = ops::Gru { reverse, has_state: before.is_some() };
            return ops::gru(call, x, (input_weight, hidden_weight, bias, new_bias), before);
        }
        let (bias, new_bias): (Tensor<2>, Tensor<2>) = (bias.unsqueeze(), new_bias.unsqueeze());
        let dtype = x.dtype();
        let mut steps = x.split(1, 1);
        if reverse {
            steps.reverse();
        }
        let mut state = before.unwrap_or_else(|| Tensor::zeros([batch, hidden], (&device, dtype)));
        let mut outputs = Vec::with_capacity(steps.len());
        for x in steps {
            let from_input = x.reshape([batch, inputs]).matmul(input_weight.clone()) + bias.clone();
            let from_state = state.clone().matmul(hidden_weight.clone());
            let part = |x: &Tensor<2>, i: usize| x.clone().narrow(1, i * hidden, hidden);
            let reset = sigmoid(part(&from_input, 0) + part(&from_state, 0));
            let update = sigmoid(part(&from_input, 1) + part(&from_state, 1));
            let new = (part(&from_input, 2) + reset * (part(&from_state, 2) + new_bias.clone())).tanh();
            state = new.clone() + update * (state - new);
            outputs.push(state.clone());
        }
        if reverse {
            outputs.reverse();
        }
        Tensor::stack(outputs, 1)
    }
}
