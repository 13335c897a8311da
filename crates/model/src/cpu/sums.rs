//! Reductions over the samples, in an order that does not depend on the number of threads.

use rayon::prelude::*;

/// Rows that are summed one after another; block sums are then added in order.
const BLOCK: usize = 512;

/// The sum of each column of `[rows, columns]`.
pub(crate) fn column_sums(data: &[f32], columns: usize) -> Vec<f32> {
    let blocks: Vec<Vec<f32>> = data
        .par_chunks(BLOCK * columns.max(1))
        .map(|block| {
            super::math::vectorised(
                #[inline(always)]
                || {
                    let mut sum = vec![0.0; columns];
                    for row in block.chunks_exact(columns.max(1)) {
                        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
                    }
                    sum
                },
            )
        })
        .collect();
    let mut total = vec![0.0; columns];
    for block in blocks {
        total.iter_mut().zip(block).for_each(|(s, x)| *s += x);
    }
    total
}

/// `a^T b` of `[rows, m]` and `[rows, n]`: `[m, n]`.
pub(crate) fn outer_products(a: &[f32], b: &[f32], rows: usize, m: usize, n: usize) -> Vec<f32> {
    let mut out = vec![0.0; m * n];
    assert!(a.len() >= rows * m && b.len() >= rows * n, "the factors are too short");
    if rows > 0 && m * n > 0 {
        let parallelism = if rows * m * n < 1 << 20 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(0) };
        // SAFETY: the three slices hold the matrices that the sizes and strides describe, as was checked above.
        unsafe {
            gemm::gemm(
                m,
                n,
                rows,
                out.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                m as isize,
                1,
                b.as_ptr(),
                1,
                n as isize,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
    out
}
