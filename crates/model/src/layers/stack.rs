use burn::tensor::Tensor;

use crate::init::Init;
use crate::pass::Pass;

/// Sizes of a stack of recurrent layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentConfig {
    /// Numbers that go in at each step.
    pub inputs: usize,
    /// Width of the state.
    pub hidden: usize,
    /// Layers, at least 1.
    pub layers: usize,
    /// A second chain that walks from the end to the start; outputs are `2 hidden` wide, forward first.
    pub bidirectional: bool,
    /// Share dropped between layers in training, not behind the last.
    pub dropout: f64,
}

impl RecurrentConfig {
    pub(super) const fn directions(&self) -> usize {
        1 + self.bidirectional as usize
    }

    /// The layers, each with its directions.
    pub(super) fn build<L>(&self, init: &mut Init<'_>, mut layer: impl FnMut(&mut Init<'_>, usize) -> L) -> Vec<L> {
        let count = self.layers * self.directions();
        let inputs = |i: usize| if i < self.directions() { self.inputs } else { self.hidden * self.directions() };
        (0..count).map(|i| layer(init, inputs(i))).collect()
    }
}

/// Sends `x` through the layers, `directions` of them side by side, with dropout between.
///
/// `run` gets a layer's place, its input and whether it walks backwards.
pub(super) fn through<L>(
    layers: &[L],
    directions: usize,
    dropout: f64,
    mut x: Tensor<3>,
    pass: &Pass,
    mut run: impl FnMut(usize, &L, Tensor<3>, bool) -> Tensor<3>,
) -> Tensor<3> {
    for (i, pair) in layers.chunks(directions).enumerate() {
        if i > 0 {
            x = pass.dropout(x, dropout);
        }
        let mut outputs: Vec<_> =
            pair.iter().enumerate().map(|(d, layer)| run(i * directions + d, layer, x.clone(), d == 1)).collect();
        x = if directions == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 2) };
    }
    x
}
