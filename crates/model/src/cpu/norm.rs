//! Layer normalisation over the last axis, forward and backward.

use rayon::prelude::*;

use super::math::vectorised;
use super::memory::Buffer;
use super::sums::column_sums;

const BLOCK: usize = 256;

/// `x` is `[rows, width]`. Also returns each row's mean and reciprocal deviation, `[rows, 2]`.
pub(crate) fn forward(x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32) -> (Buffer, Vec<f32>) {
    let width = scale.len();
    let rows = x.len() / width;
    let (mut out, mut stats) = (Buffer::stale(x.len()), vec![0.0; 2 * rows]);
    let blocks =
        out.par_chunks_mut(BLOCK * width).zip(stats.par_chunks_mut(2 * BLOCK)).zip(x.par_chunks(BLOCK * width));
    blocks.for_each(|((out, stats), x)| {
        vectorised(
            #[inline(always)]
            || {
                let rows = out.chunks_exact_mut(width).zip(stats.chunks_exact_mut(2)).zip(x.chunks_exact(width));
                for ((out, stats), x) in rows {
                    let mean = total(x, |x| x) / width as f32;
                    let variance = total(x, |x| (x - mean) * (x - mean)) / width as f32;
                    let factor = 1.0 / (variance + epsilon).sqrt();
                    stats.copy_from_slice(&[mean, factor]);
                    for j in 0..width {
                        out[j] = ((x[j] - mean) * factor).mul_add(scale[j], shift[j]);
                    }
                }
            },
        );
    });
    (out, stats)
}

/// The gradients of `x`, scale and shift.
pub(crate) fn backward(x: &[f32], scale: &[f32], stats: &[f32], dy: &[f32]) -> (Buffer, Vec<f32>, Vec<f32>) {
    let width = scale.len();
    let (mut dx, mut scaled) = (Buffer::stale(x.len()), Buffer::stale(x.len()));
    let size = BLOCK * width;
    let out = dx.par_chunks_mut(size).zip(scaled.par_chunks_mut(size));
    let given = x.par_chunks(size).zip(dy.par_chunks(size)).zip(stats.par_chunks(2 * BLOCK));
    out.zip(given).for_each(|((dx, scaled), ((x, dy), stats))| {
        vectorised(
            #[inline(always)]
            || {
                for (r, stats) in stats.chunks_exact(2).enumerate() {
                    let at = r * width..(r + 1) * width;
                    let (x, dy) = (&x[at.clone()], &dy[at.clone()]);
                    let (dx, scaled) = (&mut dx[at.clone()], &mut scaled[at]);
                    let (mean, factor) = (stats[0], stats[1]);
                    for j in 0..width {
                        let normal = (x[j] - mean) * factor;
                        // `scaled` is first the gradient of the normalised row's product; `dx` that of the row.
                        scaled[j] = dy[j] * normal;
                        dx[j] = dy[j] * scale[j];
                    }
                    let first = total(dx, |g| g) / width as f32;
                    let mut second = 0.0;
                    let mut lanes = [0.0_f32; 8];
                    for (s, k) in scaled.chunks_exact(8).zip(scale.chunks_exact(8)) {
                        for lane in 0..8 {
                            lanes[lane] = s[lane].mul_add(k[lane], lanes[lane]);
                        }
                    }
                    let tail = width - width % 8;
                    second += lanes.iter().sum::<f32>();
                    second += scaled[tail..].iter().zip(&scale[tail..]).map(|(s, k)| s * k).sum::<f32>();
                    second /= width as f32;
                    for j in 0..width {
                        let normal = (x[j] - mean) * factor;
                        dx[j] = factor * (dx[j] - first - normal * second);
                    }
                }
            },
        );
    });
    (dx, column_sums(&scaled, width), column_sums(dy, width))
}

/// Sum of `f(x)` in eight lanes, an order that vectors can keep.
#[inline(always)]
fn total(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let chunks = x.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().map(|x| f(*x)).sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += f(*x));
    }
    lanes.iter().sum::<f32>() + rest
}
