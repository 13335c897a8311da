//! Dropout whose draws are a function of key and place alone.

use rayon::prelude::*;
use tapeloom_core::Philox;

use super::math::vectorised;
use super::memory::Buffer;
use super::words;
use crate::ops::Draw;

/// Numbers whose draws are made in one go; a multiple of the run of [`words`].
const BLOCK: usize = 1024;

impl Draw {
    /// Calls `f(first, factors)` for runs of at most [`BLOCK`] numbers of a sample of `width` numbers: 0 for those that
    /// are dropped, `1 / (1 - p)` for the others.
    #[inline(always)]
    pub(crate) fn factors(&self, sample: usize, range: std::ops::Range<usize>, mut f: impl FnMut(usize, &[f32])) {
        debug_assert_eq!(range.start % 4, 0, "draws come in blocks of four");
        let philox = Philox::new(self.key);
        let base = (self.first_sample + sample as u64) * (self.width.next_multiple_of(4) as u64);
        let (threshold, keep) = (self.threshold(), self.scale());
        let mut buffer = [0.0_f32; BLOCK];
        let mut at = range.start;
        while at < range.end {
            let count = BLOCK.min(range.end - at);
            let first = (base + at as u64) / 4;
            let run = &mut buffer[..count.next_multiple_of(words::RUN)];
            vectorised(
                #[inline(always)]
                || words::fill(&philox, first, run, |word| if word >= threshold { keep } else { 0.0 }),
            );
            f(at, &buffer[..count]);
            at += count;
        }
    }
}

/// `residual + x * mask`, or without a residual. Its own backward pass for `x`.
pub(crate) fn forward(x: &[f32], residual: Option<&[f32]>, draw: &Draw) -> Buffer {
    let mut out = match residual {
        Some(residual) => Buffer::copy_of(residual),
        None => Buffer::zeros(x.len()),
    };
    let width = draw.width;
    out.par_chunks_mut(width).zip(x.par_chunks(width)).enumerate().for_each(|(sample, (out, x))| {
        draw.factors(sample, 0..width, |at, factors| {
            let (out, x) = (&mut out[at..][..factors.len()], &x[at..][..factors.len()]);
            vectorised(
                #[inline(always)]
                || {
                    for ((y, x), factor) in out.iter_mut().zip(x).zip(factors) {
                        *y = x.mul_add(*factor, *y);
                    }
                },
            );
        });
    });
    out
}
