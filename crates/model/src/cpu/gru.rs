//! One GRU layer over whole sequences, forward and backward, on plain slices; PyTorch's form, in which the reset gate
//! applies after the hidden product.

use super::lstm::neighbours;
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
    /// h0 is a state; otherwise it is not looked at.
    pub(crate) has_state: bool,
}

impl Shape {
    /// The states that a sequence without states begins with.
    fn zeros(&self) -> Buffer {
        Buffer::zeros(if self.has_state { 0 } else { self.batch * self.hidden })
    }

    const fn time(&self, i: usize) -> usize {
        if self.reverse { self.steps - 1 - i } else { i }
    }
}

/// Weights as the layer holds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    /// `[inputs, 3 hidden]`: reset, update, new.
    pub(crate) input: &'a [f32],
    /// `[hidden, 3 hidden]`
    pub(crate) hidden: &'a [f32],
    /// `[3 hidden]`
    pub(crate) bias: &'a [f32],
    /// `[hidden]`: the bias of the hidden product inside the reset gate.
    pub(crate) new_bias: &'a [f32],
}

/// What the forward pass hands to the backward pass.
#[derive(Debug)]
pub(crate) struct Forward {
    /// `[batch, steps, hidden]`
    pub(crate) output: Buffer,
    /// `[batch, steps, 4 hidden]`: reset, update and new gates after their functions, and the hidden product of the last.
    pub(crate) gates: Buffer,
}

/// Gradients, in the shapes of what they belong to.
#[derive(Debug)]
pub(crate) struct Backward {
    pub(crate) x: Option<Buffer>,
    pub(crate) input: Vec<f32>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) new_bias: Vec<f32>,
    pub(crate) h0: Buffer,
}

pub(crate) fn forward(shape: &Shape, x: &[f32], weights: &Weights<'_>, h0: &[f32]) -> Forward {
    let Shape { batch, steps, inputs, hidden, .. } = *shape;
    let (three, wide) = (3 * hidden, 4 * hidden);
    let zeros = shape.zeros();
    let h0 = if shape.has_state { h0 } else { &zeros };
    let packed_input = Packed::new(weights.input, inputs, three, three, 1);
    let packed_hidden = Packed::new(weights.hidden, hidden, three, three, 1);
    let mut output = Buffer::stale(batch * steps * hidden);
    let mut gates = Buffer::stale(batch * steps * wide);
    let run = |samples: std::ops::Range<usize>, [output, gates]: [&mut [f32]; 2]| {
        let count = samples.len();
        let x = Rows { data: &x[samples.start * steps * inputs..], stride: inputs };
        packed_input.product(x, count * steps, gates, wide, Start::Bias(weights.bias));
        let h0 = &h0[samples.start * hidden..];
        let mut products = vec![0.0; count * three];
        let mut bias = vec![0.0; three];
        bias[2 * hidden..].copy_from_slice(weights.new_bias);
        for i in 0..steps {
            let t = shape.time(i);
            let before = if i == 0 {
                Rows { data: h0, stride: hidden }
            } else {
                Rows { data: &output[shape.time(i - 1) * hidden..], stride: steps * hidden }
            };
            packed_hidden.product(before, count, &mut products, three, Start::Bias(&bias));
            for b in 0..count {
                let at = (b * steps + t) * hidden;
                let (old, new) = if i == 0 {
                    (&h0[b * hidden..][..hidden], &mut output[at..at + hidden])
                } else {
                    neighbours(output, (b * steps + shape.time(i - 1)) * hidden, at, hidden)
                };
                cell_forward(&mut gates[(b * steps + t) * wide..][..wide], &products[b * three..][..three], old, new);
            }
        }
    };
    join_runs(&runs(batch), [(&mut output, steps * hidden), (&mut gates, steps * wide)], run);
    Forward { output, gates }
}

/// Gates from their sums, in place; then the hidden state.
pub(crate) fn cell_forward(gates: &mut [f32], products: &[f32], old: &[f32], new: &mut [f32]) {
    let hidden = new.len();
    let (r, rest) = gates.split_at_mut(hidden);
    let (z, rest) = rest.split_at_mut(hidden);
    let (n, kept) = rest.split_at_mut(hidden);
    let (kept, old) = (&mut kept[..hidden], &old[..hidden]);
    let (p_r, rest) = products.split_at(hidden);
    let (p_z, p_n) = rest.split_at(hidden);
    let p_n = &p_n[..hidden];
    vectorised(
        #[inline(always)]
        || {
            for j in 0..hidden {
                (r[j], z[j]) = (sigmoid(r[j] + p_r[j]), sigmoid(z[j] + p_z[j]));
                kept[j] = p_n[j];
                n[j] = tanh(r[j].mul_add(p_n[j], n[j]));
                new[j] = z[j].mul_add(old[j] - n[j], n[j]);
            }
        },
    );
}

/// `dy` has the shape of the output. `dx` is computed when `want_x`.
pub(crate) fn backward(
    shape: &Shape,
    x: &[f32],
    weights: &Weights<'_>,
    h0: &[f32],
    [output, gates]: [&[f32]; 2],
    dy: &[f32],
    want_x: bool,
) -> Backward {
    let Shape { batch, steps, inputs, hidden, .. } = *shape;
    let (three, wide) = (3 * hidden, 4 * hidden);
    let zeros = shape.zeros();
    let h0 = if shape.has_state { h0 } else { &zeros };
    let back_hidden = Packed::new(weights.hidden, three, hidden, 1, three);
    let back_input = want_x.then(|| Packed::new(weights.input, three, inputs, 1, three));
    // Gradients of the sums that the input makes, and of those that the hidden state makes: they differ in the last gate.
    let (mut dinput, mut dhidden) = (Buffer::stale(batch * steps * three), Buffer::stale(batch * steps * three));
    let mut dx = Buffer::stale(if want_x { batch * steps * inputs } else { 0 });
    let mut dh0 = Buffer::zeros(batch * hidden);
    let mut before = Buffer::stale(batch * steps * hidden);
    let run = |samples: std::ops::Range<usize>, parts: [&mut [f32]; 5]| {
        let [dinput, dhidden, dx, dh, before] = parts;
        let (count, from) = (samples.len(), samples.start);
        let mut direct = vec![0.0; count * hidden];
        for i in (0..steps).rev() {
            let t = shape.time(i);
            for b in 0..count {
                let at = (from + b) * steps + t;
                let old = if i == 0 {
                    &h0[(from + b) * hidden..][..hidden]
                } else {
                    &output[((from + b) * steps + shape.time(i - 1)) * hidden..][..hidden]
                };
                before[(b * steps + t) * hidden..][..hidden].copy_from_slice(old);
                cell_backward(
                    &gates[at * wide..][..wide],
                    old,
                    &dy[at * hidden..][..hidden],
                    &dh[b * hidden..][..hidden],
                    &mut direct[b * hidden..][..hidden],
                    &mut dinput[(b * steps + t) * three..][..three],
                    &mut dhidden[(b * steps + t) * three..][..three],
                );
            }
            dh.copy_from_slice(&direct);
            back_hidden.product(
                Rows { data: &dhidden[t * three..], stride: steps * three },
                count,
                dh,
                hidden,
                Start::Add,
            );
        }
        if let Some(packed) = &back_input {
            packed.product(Rows { data: dinput, stride: three }, count * steps, dx, inputs, Start::Zero);
        }
    };
    join_runs(
        &runs(batch),
        [
            (&mut dinput, steps * three),
            (&mut dhidden, steps * three),
            (&mut dx, if want_x { steps * inputs } else { 0 }),
            (&mut dh0, hidden),
            (&mut before, steps * hidden),
        ],
        run,
    );
    let rows = batch * steps;
    Backward {
        x: want_x.then_some(dx),
        input: outer_products(x, &dinput, rows, inputs, three),
        hidden: outer_products(&before, &dhidden, rows, hidden, three),
        bias: column_sums(&dinput, three),
        new_bias: column_sums(&dhidden, three).split_off(2 * hidden),
        h0: dh0,
    }
}

/// `direct` becomes the gradient that goes to the earlier state past the gates.
fn cell_backward(
    gates: &[f32],
    old: &[f32],
    dy: &[f32],
    dh: &[f32],
    direct: &mut [f32],
    dinput: &mut [f32],
    dhidden: &mut [f32],
) {
    let hidden = old.len();
    let (r, rest) = gates.split_at(hidden);
    let (z, rest) = rest.split_at(hidden);
    let (n, kept) = rest.split_at(hidden);
    let kept = &kept[..hidden];
    let (i_r, rest) = dinput.split_at_mut(hidden);
    let (i_z, i_n) = rest.split_at_mut(hidden);
    let (h_r, rest) = dhidden.split_at_mut(hidden);
    let (h_z, h_n) = rest.split_at_mut(hidden);
    let (i_n, h_n) = (&mut i_n[..hidden], &mut h_n[..hidden]);
    let (dy, dh, direct) = (&dy[..hidden], &dh[..hidden], &mut direct[..hidden]);
    vectorised(
        #[inline(always)]
        || {
            for j in 0..hidden {
                let grad = dy[j] + dh[j];
                let new = grad * (1.0 - z[j]) * (1.0 - n[j] * n[j]);
                i_n[j] = new;
                h_n[j] = new * r[j];
                let reset = new * kept[j] * r[j] * (1.0 - r[j]);
                (i_r[j], h_r[j]) = (reset, reset);
                let update = grad * (old[j] - n[j]) * z[j] * (1.0 - z[j]);
                (i_z[j], h_z[j]) = (update, update);
                direct[j] = grad * z[j];
            }
        },
    );
}
