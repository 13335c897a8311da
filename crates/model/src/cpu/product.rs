//! Matrix products with a right-hand side packed once and used many times, as the recurrence does at every step.
//!
//! Each element of a result is one chain of fused multiply-adds over `k` in ascending order, whatever the number of rows
//! or threads: results are equal to the bit for any split of the rows. Where the processor has no AVX2 the same loops run
//! in portable code.

/// Columns of one panel: two AVX registers.
const WIDTH: usize = 16;
/// Rows that the inner kernel holds in registers: 6 x 2 accumulators of the 16 registers AVX has.
const ROWS: usize = 6;

/// One row of a panel, on a cache line of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([f32; WIDTH]);

/// A `[k, n]` matrix as panels of 16 columns, each `[k, 16]`, padded with zeros.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Vec<Line>,
    k: usize,
    n: usize,
}

/// A matrix in place: row `r` begins at `r * stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

/// What a result begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    /// Nothing.
    Zero,
    /// What stands there.
    Add,
    /// A row of `n` numbers, the same for each row.
    Bias(&'a [f32]),
}

impl Packed {
    /// Packs `[k, n]` where element `(i, j)` is `source[i * row + j * column]`.
    pub(crate) fn new(source: &[f32], k: usize, n: usize, row: usize, column: usize) -> Self {
        let mut packed = Self { panels: Vec::new(), k: 0, n: 0 };
        packed.refill(source, k, n, row, column);
        packed
    }

    /// Packs anew into the same memory.
    pub(crate) fn refill(&mut self, source: &[f32], k: usize, n: usize, row: usize, column: usize) {
        (self.k, self.n) = (k, n);
        self.panels.clear();
        self.panels.resize(n.div_ceil(WIDTH) * k, Line([0.0; WIDTH]));
        for (p, panel) in self.panels.chunks_exact_mut(k.max(1)).enumerate() {
            let first = p * WIDTH;
            let width = WIDTH.min(n - first);
            if column == 1 {
                for (i, Line(line)) in panel.iter_mut().enumerate() {
                    line[..width].copy_from_slice(&source[i * row + first..][..width]);
                }
            } else {
                for j in 0..width {
                    let from = &source[(first + j) * column..];
                    for (i, Line(line)) in panel.iter_mut().enumerate() {
                        line[j] = from[i * row];
                    }
                }
            }
        }
    }

    /// `out[r] = start + a[r] * self` for `rows` rows; `out` has rows of `n` numbers at `out_stride`.
    pub(crate) fn product(&self, a: Rows<'_>, rows: usize, out: &mut [f32], out_stride: usize, start: Start<'_>) {
        if rows == 0 || self.n == 0 {
            return;
        }
        assert!(a.data.len() >= (rows - 1) * a.stride + self.k, "the left-hand side is too short");
        assert!(out.len() >= (rows - 1) * out_stride + self.n, "the result is too short");
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has AVX2 and FMA, and the lengths were checked above.
            return unsafe { avx2::product(self, a, rows, out, out_stride, start) };
        }
        self.portable(a, rows, out, out_stride, start);
    }

    fn portable(&self, a: Rows<'_>, rows: usize, out: &mut [f32], out_stride: usize, start: Start<'_>) {
        for (p, panel) in self.panels.chunks_exact(self.k.max(1)).enumerate() {
            let first = p * WIDTH;
            let width = WIDTH.min(self.n - first);
            for r in 0..rows {
                let line = &mut out[r * out_stride + first..][..width];
                let mut sum = [0.0_f32; WIDTH];
                match start {
                    Start::Zero => {}
                    Start::Add => sum[..width].copy_from_slice(line),
                    Start::Bias(bias) => sum[..width].copy_from_slice(&bias[first..first + width]),
                }
                let row = &a.data[r * a.stride..][..self.k];
                for (x, Line(weights)) in row.iter().zip(panel) {
                    sum.iter_mut().zip(weights).for_each(|(s, w)| *s = x.mul_add(*w, *s));
                }
                line.copy_from_slice(&sum[..width]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };

    use super::{Packed, ROWS, Rows, Start, WIDTH};

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn product(
        packed: &Packed,
        a: Rows<'_>,
        rows: usize,
        out: &mut [f32],
        stride: usize,
        start: Start<'_>,
    ) {
        for (p, panel) in packed.panels.chunks_exact(packed.k.max(1)).enumerate() {
            let first = p * WIDTH;
            let width = WIDTH.min(packed.n - first);
            let mut r = 0;
            while r < rows {
                let many = (rows - r).min(ROWS);
                // SAFETY: rows and columns lie inside the slices, as `Packed::product` has checked.
                unsafe {
                    let tile = Tile {
                        a: a.data.as_ptr().add(r * a.stride),
                        a_stride: a.stride,
                        panel: panel.as_ptr().cast(),
                        k: packed.k,
                        out: out.as_mut_ptr().add(r * stride + first),
                        stride,
                        width,
                        add: matches!(start, Start::Add),
                        bias: if let Start::Bias(bias) = start { bias[first..].as_ptr() } else { std::ptr::null() },
                    };
                    match many {
                        6 => tile.run::<6>(),
                        5 => tile.run::<5>(),
                        4 => tile.run::<4>(),
                        3 => tile.run::<3>(),
                        2 => tile.run::<2>(),
                        _ => tile.run::<1>(),
                    }
                }
                r += many;
            }
        }
    }

    struct Tile {
        a: *const f32,
        a_stride: usize,
        panel: *const f32,
        k: usize,
        out: *mut f32,
        stride: usize,
        width: usize,
        add: bool,
        bias: *const f32,
    }

    impl Tile {
        /// `R` rows by 16 columns.
        #[target_feature(enable = "avx2,fma")]
        #[inline]
        unsafe fn run<const R: usize>(&self) {
            // SAFETY: the caller made the tile of valid pointers for `R` rows, `k` steps and `width` columns.
            unsafe {
                let mut edge = [0.0_f32; WIDTH];
                let mut sum = [[_mm256_setzero_ps(); 2]; R];
                if !self.bias.is_null() {
                    let line = self.line(self.bias, &mut edge);
                    sum = [line; R];
                } else if self.add {
                    for (r, line) in sum.iter_mut().enumerate() {
                        *line = self.line(self.out.add(r * self.stride), &mut edge);
                    }
                }
                for i in 0..self.k {
                    let b = self.panel.add(i * WIDTH);
                    let b = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))];
                    for (r, line) in sum.iter_mut().enumerate() {
                        let x = _mm256_broadcast_ss(&*self.a.add(r * self.a_stride + i));
                        line[0] = _mm256_fmadd_ps(x, b[0], line[0]);
                        line[1] = _mm256_fmadd_ps(x, b[1], line[1]);
                    }
                }
                for (r, line) in sum.iter().enumerate() {
                    let to = self.out.add(r * self.stride);
                    if self.width == WIDTH {
                        _mm256_storeu_ps(to, line[0]);
                        _mm256_storeu_ps(to.add(8), line[1]);
                    } else {
                        _mm256_storeu_ps(edge.as_mut_ptr(), line[0]);
                        _mm256_storeu_ps(edge.as_mut_ptr().add(8), line[1]);
                        std::ptr::copy_nonoverlapping(edge.as_ptr(), to, self.width);
                    }
                }
            }
        }

        /// 16 numbers at `from`, of which only `width` may be read.
        #[target_feature(enable = "avx2,fma")]
        #[inline]
        unsafe fn line(&self, from: *const f32, edge: &mut [f32; WIDTH]) -> [__m256; 2] {
            // SAFETY: `from` has `width` numbers, `edge` has 16.
            unsafe {
                let from = if self.width == WIDTH {
                    from
                } else {
                    std::ptr::copy_nonoverlapping(from, edge.as_mut_ptr(), self.width);
                    edge.as_ptr()
                };
                [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))]
            }
        }
    }
}
