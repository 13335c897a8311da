//! LSTM and GRU layers: one product for the inputs of all steps, then one launch for the whole recurrence, or, where the width
//! is not one that a cluster of blocks holds, one step at a time.

use burn::backend::Cube;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, dims, empty, is_bf16, plain, source};
use super::product::{self, Shift, Sizes, shaped};
use super::steps::{self, Walk};
use crate::ops::{Gru, Lstm, Operation};

const LSTM_FORWARD: Source = source!("lstm_forward");
const LSTM_BACKWARD: Source = source!("lstm_backward");
const GRU_FORWARD: Source = source!("gru_forward");
const GRU_BACKWARD: Source = source!("gru_backward");

/// Batch rows that a cluster walks.
const ROWS: usize = 8;

/// Whether a cluster of blocks holds the weights of a width of state in registers.
const fn is_held(hidden: usize) -> bool {
    hidden <= 256 && hidden.is_multiple_of(32)
}

/// Blocks of a cluster for a width of state, as the tables in the kernels have it.
const fn cluster(hidden: usize) -> usize {
    match hidden {
        ..=64 => 1,
        192 | 256 => hidden / 64,
        _ => hidden / 32,
    }
}

/// Threads of a block of the backward kernel.
const fn backward_threads(hidden: usize) -> usize {
    match hidden {
        96 => 192,
        192 => 384,
        32 => 128,
        64 => 256,
        _ => hidden,
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SavedLstm {
    /// x, the two weights, h0 and c0.
    inputs: [CubeTensor; 5],
    /// Output, gates and cells.
    kept: [CubeTensor; 3],
}

impl Operation<Cube, 6> for Lstm {
    type Saved = SavedLstm;

    fn forward(&self, inputs: [CubeTensor; 6], save: bool) -> (CubeTensor, Option<SavedLstm>) {
        let [x, input, weight, bias, h0, c0] = inputs.map(plain);
        let ([batch, steps, _], [hidden, _]) = (dims::<3>(&x), dims::<2>(&weight));
        let gates = product::forward(&x, &input, &bias, batch * steps);
        let y = empty(&x, [batch, steps, hidden], x.dtype);
        let held = is_held(hidden);
        // What a flag switches off is not touched: any buffer may stand there, and reservations cost the host as launches do.
        let cells = if save || !held { empty(&x, [batch, steps, hidden], x.dtype) } else { y.clone() };
        let want_last = self.with_cell || !held;
        let last = [0, 1].map(|_| if want_last { empty(&x, [batch, hidden], DType::F32) } else { y.clone() });
        if !held {
            let walk = Walk { batch, steps, hidden, reverse: self.reverse };
            let state = self.has_state.then_some([&h0, &c0]);
            steps::lstm_forward(walk, &gates, &weight, state, [&y, &cells, &last[1]]);
        } else {
            Launch::new(LSTM_FORWARD, 4 * hidden / cluster(hidden))
                .flag("ACT_BF16", is_bf16(&x))
                .define("H", hidden)
                .updates([&gates, &gates])
                .reads([&weight, &h0, &c0])
                .writes([&y, &cells, &last[0], &last[1]])
                .numbers([batch, steps])
                .numbers([self.has_state, self.reverse, save, self.with_cell])
                .run(&x.client, [cluster(hidden) * batch.div_ceil(ROWS), 1, 1]);
        }
        let [_, c_last] = last;
        let output = if self.with_cell {
            let row = shaped(c_last, [batch, 1, hidden]);
            Cube::float_cat(vec![y.clone(), Cube::float_cast(row, x.dtype.into())], 1)
        } else {
            y.clone()
        };
        let saved = save.then(|| SavedLstm { inputs: [x, input, weight, h0, c0], kept: [y, gates, cells] });
        (output, saved)
    }

    fn backward(&self, saved: SavedLstm, dy: CubeTensor, wanted: [bool; 6]) -> [Option<CubeTensor>; 6] {
        let SavedLstm { inputs: [x, input, weight, h0, c0], kept: [y, gates, cells] } = saved;
        let ([batch, steps, inputs], [hidden, _]) = (dims::<3>(&x), dims::<2>(&weight));
        let (dy, dc_last) = if self.with_cell {
            let part = |from: usize, to: usize| {
                plain(Cube::float_slice(dy.clone(), &[(0..batch).into(), (from..to).into(), (0..hidden).into()]))
            };
            let dc = Cube::float_cast(part(steps, steps + 1), burn::tensor::FloatDType::F32);
            (part(0, steps), Some(plain(dc)))
        } else {
            (plain(dy), None)
        };
        let dgates = empty(&x, [batch * steps, 4 * hidden], x.dtype);
        let want_state = self.has_state && (wanted[4] || wanted[5]);
        let start = [0, 1].map(|_| if want_state { empty(&x, [batch, hidden], DType::F32) } else { dgates.clone() });
        if !is_held(hidden) {
            let walk = Walk { batch, steps, hidden, reverse: self.reverse };
            let wanted = want_state.then_some([&start[0], &start[1]]);
            let c0 = self.has_state.then_some(&c0);
            steps::lstm_backward(walk, &weight, c0, [&gates, &cells, &dy], dc_last.as_ref(), &dgates, wanted);
        } else {
            Launch::new(LSTM_BACKWARD, backward_threads(hidden))
                .flag("ACT_BF16", is_bf16(&x))
                .define("H", hidden)
                .reads([&gates, &cells, &weight, &c0, &dy])
                .reads([dc_last.as_ref().unwrap_or(&c0)])
                .writes([&dgates, &start[0], &start[1]])
                .numbers([batch, steps])
                .numbers([self.has_state, self.reverse, dc_last.is_some(), want_state])
                .run(&x.client, [cluster(hidden) * batch.div_ceil(ROWS), 1, 1]);
        }
        let rows = batch * steps;
        let dx = wanted[0].then(|| shaped(product::backward_x(&input, &dgates, rows), [batch, steps, inputs]));
        let sizes = Sizes { m: inputs, n: 4 * hidden, k: rows };
        let (d_input, d_bias) = product::backward_weight(&x, &dgates, sizes, 4 * hidden, None, true);
        let shift = Shift { h0: &h0, steps, has_h0: self.has_state, reverse: self.reverse };
        let (d_weight, _) =
            product::backward_weight(&y, &dgates, Sizes { m: hidden, ..sizes }, 4 * hidden, Some(shift), false);
        let [dh0, dc0] = start;
        [dx, Some(d_input), Some(d_weight), d_bias, want_state.then_some(dh0), want_state.then_some(dc0)]
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SavedGru {
    /// x, the two weights and h0.
    inputs: [CubeTensor; 4],
    /// Output, gates, and the hidden product of the new gate.
    kept: [CubeTensor; 3],
}

impl Operation<Cube, 6> for Gru {
    type Saved = SavedGru;

    fn forward(&self, inputs: [CubeTensor; 6], save: bool) -> (CubeTensor, Option<SavedGru>) {
        let [x, input, weight, bias, new_bias, h0] = inputs.map(plain);
        let ([batch, steps, _], [hidden, _]) = (dims::<3>(&x), dims::<2>(&weight));
        let gates = product::forward(&x, &input, &bias, batch * steps);
        let y = empty(&x, [batch, steps, hidden], x.dtype);
        let held = is_held(hidden);
        let products = if save || !held { empty(&x, [batch, steps, hidden], x.dtype) } else { y.clone() };
        if !held {
            let walk = Walk { batch, steps, hidden, reverse: self.reverse };
            let h0 = self.has_state.then_some(&h0);
            steps::gru_forward(walk, &gates, [&weight, &new_bias], h0, [&y, &products]);
        } else {
            Launch::new(GRU_FORWARD, 4 * hidden / cluster(hidden))
                .flag("ACT_BF16", is_bf16(&x))
                .define("H", hidden)
                .updates([&gates, &gates])
                .reads([&weight, &new_bias, &h0])
                .writes([&y, &products])
                .reads([&h0])
                .numbers([batch, steps])
                .numbers([self.has_state, self.reverse, save, false])
                .run(&x.client, [cluster(hidden) * batch.div_ceil(ROWS), 1, 1]);
        }
        let saved = save.then(|| SavedGru { inputs: [x, input, weight, h0], kept: [y.clone(), gates, products] });
        (y, saved)
    }

    fn backward(&self, saved: SavedGru, dy: CubeTensor, wanted: [bool; 6]) -> [Option<CubeTensor>; 6] {
        let SavedGru { inputs: [x, input, weight, h0], kept: [y, gates, products] } = saved;
        let ([batch, steps, inputs], [hidden, _]) = (dims::<3>(&x), dims::<2>(&weight));
        let rows = batch * steps;
        let dgates = empty(&x, [rows, 3 * hidden], x.dtype);
        let dproducts = empty(&x, [rows, hidden], x.dtype);
        let want_state = self.has_state && wanted[5];
        let dh0 = if want_state { empty(&x, [batch, hidden], DType::F32) } else { dproducts.clone() };
        let dy = plain(dy);
        if !is_held(hidden) {
            let walk = Walk { batch, steps, hidden, reverse: self.reverse };
            let (h0, wanted) = (self.has_state.then_some(&h0), want_state.then_some(&dh0));
            let kept = [&gates, &products, &y, &dy];
            steps::gru_backward(walk, &weight, h0, kept, [&dgates, &dproducts], wanted);
        } else {
            Launch::new(GRU_BACKWARD, backward_threads(hidden))
                .flag("ACT_BF16", is_bf16(&x))
                .define("H", hidden)
                .reads([&gates, &products, &y, &weight, &h0, &dy, &h0])
                .writes([&dgates, &dproducts, &dh0])
                .numbers([batch, steps])
                .numbers([self.has_state, self.reverse, false, want_state])
                .run(&x.client, [cluster(hidden) * batch.div_ceil(ROWS), 1, 1]);
        }
        let dx = wanted[0].then(|| shaped(product::backward_x(&input, &dgates, rows), [batch, steps, inputs]));
        let sizes = Sizes { m: inputs, n: 3 * hidden, k: rows };
        let (d_input, d_bias) = product::backward_weight(&x, &dgates, sizes, 3 * hidden, None, true);
        let shift = Shift { h0: &h0, steps, has_h0: self.has_state, reverse: self.reverse };
        let part = |n: usize| Sizes { m: hidden, n, k: rows };
        let (first, _) = product::backward_weight(&y, &dgates, part(2 * hidden), 3 * hidden, Some(shift), false);
        let (last, d_new_bias) = product::backward_weight(&y, &dproducts, part(hidden), hidden, Some(shift), true);
        let d_weight = Cube::float_cat(vec![first, last], 1);
        [dx, Some(d_input), Some(d_weight), d_bias, d_new_bias, want_state.then_some(dh0)]
    }
}
