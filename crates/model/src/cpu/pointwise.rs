//! GELU, and the update of AdamW.

use rayon::prelude::*;

use super::math::{normal_cdf, vectorised};
use super::memory::Buffer;
use crate::ops::Loss;
use crate::update::AdamW;

const BLOCK: usize = 8192;

/// `x * cdf(x)` of the standard normal distribution (Hendrycks and Gimpel 2016).
pub(crate) fn gelu(x: &[f32]) -> Buffer {
    let mut out = Buffer::stale(x.len());
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
        vectorised(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(y, x)| *y = x * normal_cdf(*x).0),
        );
    });
    out
}

/// The gradient of `x`.
pub(crate) fn gelu_backward(x: &[f32], dy: &[f32]) -> Buffer {
    let mut out = Buffer::copy_of(dy);
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
        vectorised(
            #[inline(always)]
            || {
                for (grad, x) in out.iter_mut().zip(x) {
                    let (cdf, density) = normal_cdf(*x);
                    *grad *= x.mul_add(density, cdf);
                }
            },
        );
    });
    out
}

/// The mean over all outputs, summed in double precision.
pub(crate) fn loss(kind: Loss, outputs: &[f32], targets: &[f32]) -> f32 {
    let one = |error: f64| match kind {
        Loss::Squared => error * error,
        Loss::Absolute => error.abs(),
        Loss::Huber { delta } => {
            let small = error.abs().min(delta);
            0.5 * small * small + delta * (error.abs() - small)
        }
    };
    let sum: f64 = outputs.iter().zip(targets).map(|(y, t)| one(f64::from(y - t))).sum();
    (sum / outputs.len() as f64) as f32
}

/// The gradient of the outputs.
pub(crate) fn loss_backward(kind: Loss, outputs: &[f32], targets: &[f32], dloss: f32) -> Vec<f32> {
    let slope = |error: f32| match kind {
        Loss::Squared => 2.0 * error,
        Loss::Absolute if error == 0.0 => 0.0,
        Loss::Absolute => error.signum(),
        Loss::Huber { delta } => error.clamp(-delta as f32, delta as f32),
    };
    let scale = dloss / outputs.len() as f32;
    outputs.iter().zip(targets).map(|(y, t)| slope(y - t) * scale).collect()
}

/// The mean of each column of `[steps, width]`, sample by sample.
pub(crate) fn mean_time(x: &[f32], steps: usize, width: usize) -> Buffer {
    let mut out = Buffer::zeros(x.len() / steps);
    out.par_chunks_mut(width).zip(x.par_chunks(steps * width)).for_each(|(out, x)| {
        for row in x.chunks_exact(width) {
            out.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        out.iter_mut().for_each(|sum| *sum /= steps as f32);
    });
    out
}

/// The gradient of `x`.
pub(crate) fn mean_time_backward(dy: &[f32], steps: usize, width: usize) -> Buffer {
    let mut out = Buffer::stale(dy.len() * steps);
    out.par_chunks_mut(steps * width).zip(dy.par_chunks(width)).for_each(|(out, dy)| {
        for row in out.chunks_exact_mut(width) {
            row.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy / steps as f32);
        }
    });
    out
}

/// One pass over parameter, moments and gradient, which is multiplied by `scale` first.
pub(crate) fn adamw(rule: &AdamW, parameter: &mut [f32], moments: [&mut [f32]; 2], gradient: &[f32], scale: f32) {
    let [first, second] = moments;
    let blocks = parameter.par_chunks_mut(BLOCK).zip(first.par_chunks_mut(BLOCK)).zip(second.par_chunks_mut(BLOCK));
    let (decay, rate) = ((1.0 - rule.learning_rate * rule.weight_decay) as f32, rule.learning_rate as f32);
    let [(b1, b2), (a1, a2)] =
        [(rule.betas[0] as f32, rule.betas[1] as f32), ((1.0 - rule.betas[0]) as f32, (1.0 - rule.betas[1]) as f32)];
    let correct = rule.corrections().map(|c| c as f32);
    let epsilon = rule.epsilon as f32;
    blocks.zip(gradient.par_chunks(BLOCK)).for_each(|(((p, m), v), g)| {
        vectorised(
            #[inline(always)]
            || {
                for j in 0..p.len() {
                    let g = g[j] * scale;
                    m[j] = b1.mul_add(m[j], a1 * g);
                    v[j] = b2.mul_add(v[j], a2 * g * g);
                    let step = m[j] * correct[0] / ((v[j] * correct[1]).sqrt() + epsilon);
                    p[j] = p[j].mul_add(decay, -rate * step);
                }
            },
        );
    });
}

/// Sum of squares in double precision, in an order that does not depend on the number of threads.
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    let blocks: Vec<f64> = x
        .par_chunks(BLOCK)
        .map(|x| {
            vectorised(
                #[inline(always)]
                || {
                    let mut lanes = [0.0_f64; 8];
                    for chunk in x.chunks(8) {
                        lanes.iter_mut().zip(chunk).for_each(|(s, x)| *s += f64::from(*x) * f64::from(*x));
                    }
                    lanes.iter().sum()
                },
            )
        })
        .collect();
    blocks.into_iter().sum()
}
