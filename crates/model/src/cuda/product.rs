//! Matrix products: `x W + b`, and the two of its backward pass.

use burn::backend::Cube;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, dims, empty, is_bf16, plain, source};
use crate::ops::{Linear, Operation};

const GEMM: Source = source!("gemm");
const REDUCE: Source = source!("gemm_reduce");
const COLUMN_SUM: Source = source!("column_sum");

const THREADS: usize = 256;
/// Blocks that fill the largest cards; products with fewer tiles are cut along their inner dimension.
const FULL: usize = 132;

/// Sizes of a product `[m, k] [k, n]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

/// A row of `y` stands for the state before that row's step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift<'a> {
    pub(super) h0: &'a CubeTensor,
    pub(super) steps: usize,
    pub(super) reverse: bool,
}

impl Sizes {
    fn tiles(&self) -> (usize, usize) {
        (if self.m <= 64 { 64 } else { 128 }, if self.n <= 64 { 64 } else { 128 })
    }

    fn gemm(&self, bf16: bool) -> Launch {
        let (tile_m, tile_n) = self.tiles();
        Launch::new(GEMM, THREADS).flag("ACT_BF16", bf16).define("TILE_M", tile_m).define("TILE_N", tile_n)
    }

    /// Sizes and pitches, no offsets.
    fn numbers(&self, launch: Launch, pitches: [usize; 3]) -> Launch {
        launch.numbers([self.m, self.n, self.k]).numbers(pitches).numbers([0_usize; 3])
    }

    fn grid(&self, splits: usize) -> [usize; 3] {
        let (tile_m, tile_n) = self.tiles();
        [self.n.div_ceil(tile_n), self.m.div_ceil(tile_m), splits]
    }

    fn splits(&self) -> usize {
        let [x, y, _] = self.grid(1);
        // At least 128 terms each, or there is more to reduce than to multiply.
        (2 * FULL / (x * y)).clamp(1, 32).min(self.k.div_ceil(128))
    }
}

/// `x [rows, inputs] weight [inputs, outputs] + bias`, in the type of `x`.
pub(super) fn forward(x: &CubeTensor, weight: &CubeTensor, bias: &CubeTensor, rows: usize) -> CubeTensor {
    let [inputs, outputs] = dims(weight);
    let sizes = Sizes { m: rows, n: outputs, k: inputs };
    let y = empty(x, [rows, outputs], x.dtype);
    let launch = sizes.gemm(is_bf16(x)).define("BIAS", 1).buffers([x, weight, &y, bias]);
    let launch = sizes.numbers(launch, [inputs, outputs, outputs]);
    launch.numbers([1_usize, 0, 0, 0]).run(&x.client, sizes.grid(1));
    y
}

/// The gradient of `x`: `dy weight^T`.
pub(super) fn backward_x(weight: &CubeTensor, dy: &CubeTensor, rows: usize) -> CubeTensor {
    let [inputs, outputs] = dims(weight);
    let sizes = Sizes { m: rows, n: inputs, k: outputs };
    let dx = empty(dy, [rows, inputs], dy.dtype);
    let launch = sizes.gemm(is_bf16(dy)).define("TRANS_B", 1).buffers([dy, weight, &dx]);
    sizes.numbers(launch, [outputs, outputs, inputs]).numbers([1_usize, 0, 0, 0]).run(&dy.client, sizes.grid(1));
    dx
}

/// `x^T dy`, in `f32`, and the sums of the columns of `dy` when `sums`.
pub(super) fn backward_weight(
    x: &CubeTensor,
    dy: &CubeTensor,
    sizes: Sizes,
    shift: Option<Shift<'_>>,
    sums: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let Sizes { m, n, .. } = sizes;
    let splits = sizes.splits();
    let float = |shape: Vec<usize>| empty(dy, shape, DType::F32);
    let (work, out) = (float(vec![splits, m, n]), float(vec![m, n]));
    let second = sums.then(|| (float(vec![splits, n]), float(vec![n])));
    let bf16 = is_bf16(dy);
    let mut launch = sizes.gemm(bf16).define("TRANS_A", 1).define("SPLIT", 1).define("C_BF16", 0);
    launch = launch.define("B_BF16", bf16.into()).flag("SHIFT_T", shift.is_some()).flag("COLSUM", sums);
    launch = launch.buffers([x, dy, &work]);
    launch = launch.buffers(shift.map(|shift| shift.h0)).buffers(second.as_ref().map(|(work, _)| work));
    launch = sizes.numbers(launch, [m, n, n]).number(splits);
    let tail = shift.map_or([0, 0, 0], |s| [s.steps, 1, usize::from(s.reverse)]);
    launch.numbers(tail).run(&dy.client, sizes.grid(splits));
    let count = if sums { n } else { 0 };
    let (second_work, second_out) = second.as_ref().map_or((&work, &out), |(work, out)| (work, out));
    Launch::new(REDUCE, THREADS)
        .buffers([&work, &out, second_work, second_out])
        .numbers([m * n, count, splits, 0])
        .run(&dy.client, [(m * n + count).div_ceil(THREADS), 1, 1]);
    (out, second.map(|(_, out)| out))
}

/// The sums of the columns of `[rows, columns]`, in `f32`.
pub(super) fn column_sums(x: &CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    let blocks = columns.div_ceil(THREADS);
    let chunks = (2 * FULL / blocks).clamp(1, 64).min(rows.div_ceil(32));
    let (work, out) = (empty(x, [chunks, columns], DType::F32), empty(x, [columns], DType::F32));
    Launch::new(COLUMN_SUM, THREADS)
        .flag("ACT_BF16", is_bf16(x))
        .buffers([x, &work])
        .numbers([rows, columns])
        .run(&x.client, [blocks, chunks, 1]);
    Launch::new(REDUCE, THREADS)
        .buffers([&work, &out, &work, &out])
        .numbers([columns, 0, chunks, 0])
        .run(&x.client, [blocks, 1, 1]);
    out
}

/// Rows of a tensor whose last axis is `width`.
pub(super) fn rows(x: &CubeTensor, width: usize) -> usize {
    x.meta.shape().num_elements() / width
}

/// The same numbers in another shape.
pub(super) fn shaped(x: CubeTensor, shape: impl Into<burn::tensor::Shape>) -> CubeTensor {
    CubeTensor::new_contiguous(x.client, x.device, shape.into(), x.handle, x.dtype)
}

impl Operation<Cube, 3> for Linear {
    type Saved = [CubeTensor; 2];

    fn forward(&self, inputs: [CubeTensor; 3], save: bool) -> (CubeTensor, Option<Self::Saved>) {
        let [x, weight, bias] = inputs.map(plain);
        let [inner, outputs] = dims(&weight);
        let mut shape = x.meta.shape().clone();
        let axis = shape.num_dims() - 1;
        shape[axis] = outputs;
        let y = forward(&x, &weight, &bias, rows(&x, inner));
        (shaped(y, shape), save.then_some([x, weight]))
    }

    fn backward(&self, [x, weight]: Self::Saved, dy: CubeTensor, wanted: [bool; 3]) -> [Option<CubeTensor>; 3] {
        let [inputs, outputs] = dims(&weight);
        let dy = plain(dy);
        let rows = rows(&dy, outputs);
        let dx = wanted[0].then(|| shaped(backward_x(&weight, &dy, rows), x.meta.shape().clone()));
        let (dw, db) = backward_weight(&x, &dy, Sizes { m: inputs, n: outputs, k: rows }, None, true);
        [dx, Some(dw), db]
    }
}
