//! Scaled dot-product self-attention, forward and backward, one sample and head at a time in memory that stays in cache.

use rayon::prelude::*;

use super::math::{exp, vectorised};
use super::memory::Buffer;
use super::product::{Packed, Rows, Start};
use crate::ops::Draw;

/// Sizes, and what is masked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    /// A step sees itself and what came before.
    pub(crate) causal: bool,
}

/// Memory for one head of one sample.
struct Scratch {
    keys: Packed,
    other: Packed,
    /// `[steps, steps]`
    weights: Vec<f32>,
    factors: Vec<f32>,
    grads: Vec<f32>,
    turned: Vec<f32>,
}

impl Scratch {
    fn new(steps: usize) -> Self {
        let square = || vec![0.0; steps * steps];
        let packed = || Packed::new(&[], 0, 0, 0, 1);
        Self {
            keys: packed(),
            other: packed(),
            weights: square(),
            factors: square(),
            grads: square(),
            turned: square(),
        }
    }
}

impl Shape {
    const fn depth(&self) -> usize {
        self.width / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.depth() as f32).sqrt()
    }

    /// The weights of one head: softmax of `q k^T`, before dropout.
    fn weights(&self, qkv: &[f32], head: usize, scratch: &mut Scratch) {
        let (steps, depth, row) = (self.steps, self.depth(), 3 * self.width);
        scratch.keys.refill(&qkv[self.width + head * depth..], depth, steps, 1, row);
        let q = Rows { data: &qkv[head * depth..], stride: row };
        scratch.keys.product(q, steps, &mut scratch.weights, steps, Start::Zero);
        let (scale, causal) = (self.scale(), self.causal);
        for (t, row) in scratch.weights.chunks_exact_mut(steps).enumerate() {
            let (seen, hidden) = row.split_at_mut(if causal { t + 1 } else { steps });
            vectorised(
                #[inline(always)]
                || softmax(seen, scale),
            );
            hidden.fill(0.0);
        }
    }

    fn factors(&self, draw: Option<&Draw>, sample: usize, head: usize, factors: &mut [f32]) {
        match draw {
            None => factors.fill(1.0),
            Some(draw) => {
                // Draws come in blocks of four, so a head's first number may stand inside a block.
                let first = head * factors.len();
                let start = first - first % 4;
                draw.factors(sample, start..first + factors.len(), |at, run| {
                    let skip = first.saturating_sub(at).min(run.len());
                    let to = (at + skip).saturating_sub(first);
                    factors[to..to + run.len() - skip].copy_from_slice(&run[skip..]);
                });
            }
        }
    }
}

/// In place: `softmax(scale * x)`.
#[inline(always)]
fn softmax(x: &mut [f32], scale: f32) {
    let mut lanes = [f32::NEG_INFINITY; 8];
    let chunks = x.chunks_exact(8);
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(m, x)| *m = if *x > *m { *x } else { *m });
    }
    let largest = lanes.iter().fold(rest, |m, x| m.max(*x));
    let mut sum = [0.0_f32; 8];
    let mut chunks = x.chunks_exact_mut(8);
    for chunk in &mut chunks {
        for (s, x) in sum.iter_mut().zip(chunk) {
            *x = exp((*x - largest) * scale);
            *s += *x;
        }
    }
    let mut total = sum.iter().sum::<f32>();
    for x in chunks.into_remainder() {
        *x = exp((*x - largest) * scale);
        total += *x;
    }
    let factor = 1.0 / total;
    x.iter_mut().for_each(|x| *x *= factor);
}

/// `qkv` is `[batch, steps, 3 width]`: queries, keys, values. The result is `[batch, steps, width]`.
pub(crate) fn forward(shape: &Shape, qkv: &[f32], draw: Option<&Draw>) -> Buffer {
    let Shape { batch, steps, width, heads, .. } = *shape;
    let depth = shape.depth();
    let mut out = Buffer::stale(batch * steps * width);
    let samples = out.par_chunks_mut(steps * width).zip(qkv.par_chunks(steps * 3 * width)).enumerate();
    samples.for_each_init(
        || Scratch::new(steps),
        |scratch, (sample, (out, qkv))| {
            for head in 0..heads {
                shape.weights(qkv, head, scratch);
                if draw.is_some() {
                    shape.factors(draw, sample, head, &mut scratch.factors);
                    scratch.weights.iter_mut().zip(&scratch.factors).for_each(|(w, f)| *w *= f);
                }
                scratch.other.refill(&qkv[2 * width + head * depth..], steps, depth, 3 * width, 1);
                let weights = Rows { data: &scratch.weights, stride: steps };
                scratch.other.product(weights, steps, &mut out[head * depth..], width, Start::Zero);
            }
        },
    );
    out
}

/// The gradient of `qkv`; the weights are computed anew.
pub(crate) fn backward(shape: &Shape, qkv: &[f32], draw: Option<&Draw>, dy: &[f32]) -> Buffer {
    let Shape { batch, steps, width, heads, .. } = *shape;
    let (depth, row) = (shape.depth(), 3 * width);
    let mut grads = Buffer::stale(batch * steps * row);
    let given = qkv.par_chunks(steps * row).zip(dy.par_chunks(steps * width));
    grads.par_chunks_mut(steps * row).zip(given).enumerate().for_each_init(
        || Scratch::new(steps),
        |scratch, (sample, (grads, (qkv, dy)))| {
            for head in 0..heads {
                let (q, k, v) = (head * depth, width + head * depth, 2 * width + head * depth);
                shape.weights(qkv, head, scratch);
                shape.factors(draw, sample, head, &mut scratch.factors);
                // dv = (weights * factors)^T dy
                for t in 0..steps {
                    for s in 0..steps {
                        scratch.turned[s * steps + t] = scratch.weights[t * steps + s] * scratch.factors[t * steps + s];
                    }
                }
                scratch.other.refill(&dy[head * depth..], steps, depth, width, 1);
                let turned = Rows { data: &scratch.turned, stride: steps };
                scratch.other.product(turned, steps, &mut grads[v..], row, Start::Zero);
                // The gradient of the weights, then that of the scores.
                scratch.other.refill(&qkv[v..], depth, steps, 1, row);
                let dy = Rows { data: &dy[head * depth..], stride: width };
                scratch.other.product(dy, steps, &mut scratch.grads, steps, Start::Zero);
                score_gradients(&scratch.weights, &scratch.factors, &mut scratch.grads, steps, shape.scale());
                scratch.other.refill(&qkv[k..], steps, depth, row, 1);
                let scores = Rows { data: &scratch.grads, stride: steps };
                scratch.other.product(scores, steps, &mut grads[q..], row, Start::Zero);
                for t in 0..steps {
                    for s in 0..steps {
                        scratch.turned[s * steps + t] = scratch.grads[t * steps + s];
                    }
                }
                scratch.other.refill(&qkv[q..], steps, depth, row, 1);
                let turned = Rows { data: &scratch.turned, stride: steps };
                scratch.other.product(turned, steps, &mut grads[k..], row, Start::Zero);
            }
        },
    );
    grads
}

/// In `grads`: from the gradient of the dropped weights to that of the scores.
fn score_gradients(weights: &[f32], factors: &[f32], grads: &mut [f32], steps: usize, scale: f32) {
    let given = weights.chunks_exact(steps).zip(factors.chunks_exact(steps));
    for (grads, (weights, factors)) in grads.chunks_exact_mut(steps).zip(given) {
        vectorised(
            #[inline(always)]
            || {
                let mut sum = 0.0;
                for j in 0..steps {
                    grads[j] *= factors[j];
                    sum += grads[j] * weights[j];
                }
                for j in 0..steps {
                    grads[j] = weights[j] * (grads[j] - sum) * scale;
                }
            },
        );
    }
}
