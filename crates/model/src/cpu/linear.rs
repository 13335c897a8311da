//! `x W + b`, forward and backward.

use rayon::prelude::*;

use super::memory::Buffer;
use super::product::{Packed, Rows, Start};
use super::sums::{column_sums, outer_products};

/// Rows that one task takes.
const BLOCK: usize = 192;

/// `x` is `[rows, inputs]`, `weight` `[inputs, outputs]`; the result is `[rows, outputs]`.
pub(crate) fn forward(x: &[f32], weight: &[f32], bias: &[f32], inputs: usize) -> Buffer {
    let outputs = bias.len();
    product(x, &Packed::new(weight, inputs, outputs, outputs, 1), inputs, outputs, Start::Bias(bias))
}

/// The gradient of `x`.
pub(crate) fn backward_x(weight: &[f32], dy: &[f32], inputs: usize, outputs: usize) -> Buffer {
    product(dy, &Packed::new(weight, outputs, inputs, 1, outputs), outputs, inputs, Start::Zero)
}

/// The gradients of weight and bias.
pub(crate) fn backward_weights(x: &[f32], dy: &[f32], inputs: usize, outputs: usize) -> (Vec<f32>, Vec<f32>) {
    (outer_products(x, dy, x.len() / inputs, inputs, outputs), column_sums(dy, outputs))
}

fn product(a: &[f32], packed: &Packed, k: usize, n: usize, start: Start<'_>) -> Buffer {
    let mut out = Buffer::stale(a.len() / k * n);
    out.par_chunks_mut(BLOCK * n).zip(a.par_chunks(BLOCK * k)).for_each(|(out, a)| {
        packed.product(Rows { data: a, stride: k }, a.len() / k, out, n, start);
    });
    out
}
