//! One LSTM layer over whole sequences, forward and backward, on plain slices.
//!
//! Batches are cut into runs of samples, one per thread: a sample's numbers do not depend on its neighbours, so results are
//! equal to the bit for any number of threads.

use super::math::{sigmoid, tanh, vectorised};
use super::memory::Buffer;
use super::product::{Packed, Rows, Start};
use super::sums::{column_sums, outer_products};
use super::{join_runs, runs};

/// Sizes of a layer and of the sequences that go through it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    /// Walk from the last step to the first.
    pub(crate) reverse: bool,
    /// The output carries one more row per sample: the cell state at the end.
    pub(crate) with_cell: bool,
    /// h0 and c0 are states; otherwise they are not looked at.
    pub(crate) has_state: bool,
}

impl Shape {
    /// Rows of a sample in the output.
    pub(crate) const fn rows(&self) -> usize {
        self.steps + self.with_cell as usize
    }

    /// The states that a sequence without states begins with.
    fn zeros(&self) -> Buffer {
        Buffer::zeros(if self.has_state { 0 } else { self.batch * self.hidden })
    }

    /// Time of the `i`th step that is computed.
    const fn time(&self, i: usize) -> usize {
        if self.reverse { self.steps - 1 - i } else { i }
    }
}

/// Weights as the layer holds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    /// `[inputs, 4 hidden]`
    pub(crate) input: &'a [f32],
    /// `[hidden, 4 hidden]`
    pub(crate) hidden: &'a [f32],
    /// `[4 hidden]`
    pub(crate) bias: &'a [f32],
}

/// What the forward pass hands to the backward pass.
#[derive(Debug)]
pub(crate) struct Forward {
    /// `[batch, steps (+ 1), hidden]`
    pub(crate) output: Buffer,
    /// `[batch, steps, 4 hidden]`: input, forget, cell and output gates after their functions.
    pub(crate) gates: Buffer,
    /// `[batch, steps, hidden]`
    pub(crate) cells: Buffer,
}

/// Gradients, in the shapes of what they belong to.
#[derive(Debug)]
pub(crate) struct Backward {
    pub(crate) x: Option<Buffer>,
    pub(crate) input: Vec<f32>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) h0: Buffer,
    pub(crate) c0: Buffer,
}

pub(crate) fn forward(shape: &Shape, x: &[f32], weights: &Weights<'_>, h0: &[f32], c0: &[f32]) -> Forward {
    let Shape { batch, steps, inputs, hidden, .. } = *shape;
    let wide = 4 * hidden;
    let zeros = shape.zeros();
    let (h0, c0) = if shape.has_state { (h0, c0) } else { (&*zeros, &*zeros) };
    let packed_input = Packed::new(weights.input, inputs, wide, wide, 1);
    let packed_hidden = Packed::new(weights.hidden, hidden, wide, wide, 1);
    let mut output = Buffer::stale(batch * shape.rows() * hidden);
    let mut gates = Buffer::stale(batch * steps * wide);
    let mut cells = Buffer::stale(batch * steps * hidden);
    let run = |samples: std::ops::Range<usize>, output: &mut [f32], gates: &mut [f32], cells: &mut [f32]| {
        let count = samples.len();
        let x = Rows { data: &x[samples.start * steps * inputs..], stride: inputs };
        packed_input.product(x, count * steps, gates, wide, Start::Bias(weights.bias));
        let (h0, c0) = (&h0[samples.start * hidden..], &c0[samples.start * hidden..]);
        for i in 0..steps {
            let t = shape.time(i);
            if i > 0 || shape.has_state {
                let before = if i == 0 {
                    Rows { data: h0, stride: hidden }
                } else {
                    Rows { data: &output[shape.time(i - 1) * hidden..], stride: shape.rows() * hidden }
                };
                packed_hidden.product(before, count, &mut gates[t * wide..], steps * wide, Start::Add);
            }
            for b in 0..count {
                let at = (b * steps + t) * hidden;
                let gates = &mut gates[(b * steps + t) * wide..][..wide];
                let output = &mut output[(b * shape.rows() + t) * hidden..][..hidden];
                let (old, new) = if i == 0 {
                    (&c0[b * hidden..][..hidden], &mut cells[at..at + hidden])
                } else {
                    neighbours(cells, (b * steps + shape.time(i - 1)) * hidden, at, hidden)
                };
                cell_forward(gates, old, new, output);
            }
        }
        if shape.with_cell {
            let last = shape.time(steps - 1);
            for b in 0..count {
                let from = (b * steps + last) * hidden;
                output[(b * shape.rows() + steps) * hidden..][..hidden].copy_from_slice(&cells[from..from + hidden]);
            }
        }
    };
    let parts = runs(batch);
    join_runs(
        &parts,
        [(&mut output, shape.rows() * hidden), (&mut gates, steps * wide), (&mut cells, steps * hidden)],
        |samples, [output, gates, cells]| run(samples, output, gates, cells),
    );
    Forward { output, gates, cells }
}

/// The rows of `width` numbers at `old` and, to be written, at `new`.
pub(super) fn neighbours(data: &mut [f32], old: usize, new: usize, width: usize) -> (&[f32], &mut [f32]) {
    if old < new {
        let (head, tail) = data.split_at_mut(new);
        (&head[old..old + width], &mut tail[..width])
    } else {
        let (head, tail) = data.split_at_mut(old);
        (&tail[..width], &mut head[new..new + width])
    }
}

/// Gates from their sums, in place; then the cell and the hidden state.
pub(crate) fn cell_forward(gates: &mut [f32], old: &[f32], cell: &mut [f32], output: &mut [f32]) {
    let hidden = output.len();
    let (i, rest) = gates.split_at_mut(hidden);
    let (f, rest) = rest.split_at_mut(hidden);
    let (g, o) = rest.split_at_mut(hidden);
    let (old, cell) = (&old[..hidden], &mut cell[..hidden]);
    vectorised(
        #[inline(always)]
        || {
            for j in 0..hidden {
                (i[j], f[j], g[j], o[j]) = (sigmoid(i[j]), sigmoid(f[j]), tanh(g[j]), sigmoid(o[j]));
                cell[j] = f[j].mul_add(old[j], i[j] * g[j]);
                output[j] = o[j] * tanh(cell[j]);
            }
        },
    );
}

/// `dy` has the shape of the output. `dx` is computed when `want_x`.
pub(crate) fn backward(
    shape: &Shape,
    x: &[f32],
    weights: &Weights<'_>,
    [h0, c0]: [&[f32]; 2],
    saved: [&[f32]; 3],
    dy: &[f32],
    want_x: bool,
) -> Backward {
    let Shape { batch, steps, inputs, hidden, .. } = *shape;
    let [output, gates, cells] = saved;
    let zeros = shape.zeros();
    let (h0, c0) = if shape.has_state { (h0, c0) } else { (&*zeros, &*zeros) };
    let (wide, rows) = (4 * hidden, shape.rows());
    let back_hidden = Packed::new(weights.hidden, wide, hidden, 1, wide);
    let back_input = want_x.then(|| Packed::new(weights.input, wide, inputs, 1, wide));
    let mut dgates = Buffer::stale(batch * steps * wide);
    let mut dx = Buffer::stale(if want_x { batch * steps * inputs } else { 0 });
    let (mut dh0, mut dc0) = (Buffer::zeros(batch * hidden), Buffer::zeros(batch * hidden));
    // The hidden state before each step, in one block with the steps' own order.
    let mut before = Buffer::stale(batch * steps * hidden);
    let run = |samples: std::ops::Range<usize>, parts: [&mut [f32]; 5]| {
        let [dgates, dx, dh, dc, before] = parts;
        let count = samples.len();
        let from = samples.start;
        for b in 0..count {
            if shape.with_cell {
                dc[b * hidden..][..hidden].copy_from_slice(&dy[((from + b) * rows + steps) * hidden..][..hidden]);
            }
        }
        for i in (0..steps).rev() {
            let t = shape.time(i);
            for b in 0..count {
                let at = (from + b) * steps + t;
                let (old_cell, old_hidden) = if i == 0 {
                    (&c0[(from + b) * hidden..], &h0[(from + b) * hidden..])
                } else {
                    let earlier = shape.time(i - 1);
                    (
                        &cells[((from + b) * steps + earlier) * hidden..],
                        &output[((from + b) * rows + earlier) * hidden..],
                    )
                };
                before[(b * steps + t) * hidden..][..hidden].copy_from_slice(&old_hidden[..hidden]);
                cell_backward(
                    &gates[at * wide..][..wide],
                    &cells[at * hidden..][..hidden],
                    &old_cell[..hidden],
                    &dy[((from + b) * rows + t) * hidden..][..hidden],
                    &dh[b * hidden..][..hidden],
                    &mut dc[b * hidden..][..hidden],
                    &mut dgates[(b * steps + t) * wide..][..wide],
                );
            }
            let a = Rows { data: &dgates[t * wide..], stride: steps * wide };
            back_hidden.product(a, count, dh, hidden, Start::Zero);
        }
        if let Some(packed) = &back_input {
            packed.product(Rows { data: dgates, stride: wide }, count * steps, dx, inputs, Start::Zero);
        }
    };
    join_runs(
        &runs(batch),
        [
            (&mut dgates, steps * wide),
            (&mut dx, if want_x { steps * inputs } else { 0 }),
            (&mut dh0, hidden),
            (&mut dc0, hidden),
            (&mut before, steps * hidden),
        ],
        run,
    );
    let rows = batch * steps;
    Backward {
        x: want_x.then_some(dx),
        input: outer_products(x, &dgates, rows, inputs, wide),
        hidden: outer_products(&before, &dgates, rows, hidden, wide),
        bias: column_sums(&dgates, wide),
        h0: dh0,
        c0: dc0,
    }
}

fn cell_backward(gates: &[f32], cell: &[f32], old: &[f32], dy: &[f32], dh: &[f32], dc: &mut [f32], dgates: &mut [f32]) {
    let hidden = cell.len();
    let (i, rest) = gates.split_at(hidden);
    let (f, rest) = rest.split_at(hidden);
    let (g, o) = rest.split_at(hidden);
    let (di, rest) = dgates.split_at_mut(hidden);
    let (df, rest) = rest.split_at_mut(hidden);
    let (dg, d_o) = rest.split_at_mut(hidden);
    let (old, dy, dh, dc) = (&old[..hidden], &dy[..hidden], &dh[..hidden], &mut dc[..hidden]);
    vectorised(
        #[inline(always)]
        || {
            for j in 0..hidden {
                let squashed = tanh(cell[j]);
                let grad = dy[j] + dh[j];
                let through = (grad * o[j]).mul_add(1.0 - squashed * squashed, dc[j]);
                d_o[j] = grad * squashed * o[j] * (1.0 - o[j]);
                di[j] = through * g[j] * i[j] * (1.0 - i[j]);
                df[j] = through * old[j] * f[j] * (1.0 - f[j]);
                dg[j] = through * i[j] * (1.0 - g[j] * g[j]);
                dc[j] = through * f[j];
            }
        },
    );
}
