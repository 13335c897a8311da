//! One time step of one sequence: matrix by vector, bound by the speed at which weights come from the cache.

use super::math::vectorised;

/// Columns of one panel: eight vectors, so that as many sums grow side by side.
const WIDTH: usize = 64;

/// One row of a panel, on whole cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([f32; WIDTH]);

/// A `[k, n]` matrix as panels of 64 columns, each `[k, 64]`, read from end to end by every product.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    panels: Vec<Line>,
    k: usize,
    n: usize,
}

impl Columns {
    /// `parts` are row-major `[k_i, n]`, one below the other.
    pub(crate) fn new(parts: &[&[f32]], n: usize) -> Self {
        let k = parts.iter().map(|part| part.len() / n).sum::<usize>();
        let mut panels = vec![Line([0.0; WIDTH]); n.div_ceil(WIDTH) * k];
        for (i, row) in parts.iter().flat_map(|part| part.chunks_exact(n)).enumerate() {
            for (p, piece) in row.chunks(WIDTH).enumerate() {
                panels[p * k + i].0[..piece.len()].copy_from_slice(piece);
            }
        }
        Self { panels, k, n }
    }

    /// `out = start + x self`.
    pub(crate) fn product(&self, x: &[f32], start: &[f32], out: &mut [f32]) {
        let (x, out) = (&x[..self.k], &mut out[..self.n]);
        vectorised(
            #[inline(always)]
            || {
                let panels = self.panels.chunks_exact(self.k);
                for ((out, start), panel) in out.chunks_mut(WIDTH).zip(start.chunks(WIDTH)).zip(panels) {
                    let mut sums = [0.0_f32; WIDTH];
                    sums[..start.len()].copy_from_slice(start);
                    for (x, Line(weights)) in x.iter().zip(panel) {
                        for j in 0..WIDTH {
                            sums[j] = x.mul_add(weights[j], sums[j]);
                        }
                    }
                    out.copy_from_slice(&sums[..out.len()]);
                }
            },
        );
    }
}
