//! Matrix products: `x W + b`, and the two of its backward pass.

use burn::backend::Cube;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, dims, empty, is_bf16, plain, source};
use crate::ops::{Linear, Operation};

const GEMM: Source = source!("gemm");
const GEMM_FAST: Source = source!("gemm_fast");
pub(super) const REDUCE: Source = source!("gemm_reduce");

const THREADS: usize = 256;
/// Blocks that fill the largest cards; products with fewer tiles are cut along their inner dimension.
const FULL: usize = 132;

const STEP_TILE: usize = 64;

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
    /// Whether there is an h0; zeros otherwise.
    pub(super) has_h0: bool,
    pub(super) reverse: bool,
}

/// Rows inside a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) tensor: &'a CubeTensor,
    /// Where the first row begins.
    pub(super) offset: usize,
    /// From one row to the next.
    pub(super) pitch: usize,
}

impl Sizes {
    fn tiles(&self) -> (usize, usize) {
        (if self.m <= 64 { 64 } else { 128 }, if self.n <= 64 { 64 } else { 128 })
    }

    /// Whether rows of all operands begin on the 16-byte pieces that the quicker kernel copies.
    fn aligned(&self, bf16: bool) -> bool {
        let piece = if bf16 { 8 } else { 4 };
        [self.m, self.n, self.k].iter().all(|size| size.is_multiple_of(piece))
    }

    fn gemm(&self, source: Source, bf16: bool) -> Launch {
        let (tile_m, tile_n) = self.tiles();
        Launch::new(source, THREADS).flag("ACT_BF16", bf16).define("TILE_M", tile_m).define("TILE_N", tile_n)
    }

    /// Sizes and pitches, no offsets.
    fn numbers(&self, launch: Launch, pitches: [usize; 3]) -> Launch {
        launch.numbers([self.m, self.n, self.k]).numbers(pitches).numbers([0_usize; 3])
    }

    fn grid(&self, splits: usize) -> [usize; 3] {
        let (tile_m, tile_n) = self.tiles();
        [self.n.div_ceil(tile_n), self.m.div_ceil(tile_m), splits]
    }

    /// As [`Sizes::splits`], for the small products of a recurrence's steps, in small tiles.
    pub(super) fn step_splits(&self) -> usize {
        let blocks = self.m.div_ceil(STEP_TILE) * self.n.div_ceil(STEP_TILE);
        (FULL / blocks).clamp(1, 8).min(self.k.div_ceil(128))
    }

    /// Pieces of the inner dimension: enough to fill the card, twice where products are slower; at least 128 terms each,
    /// or there is more to reduce than to multiply.
    fn splits(&self, bf16: bool) -> usize {
        let [x, y, _] = self.grid(1);
        let blocks = if bf16 { FULL } else { 2 * FULL };
        (blocks / (x * y)).clamp(1, 32).min(self.k.div_ceil(128))
    }
}

/// `x [rows, inputs] weight [inputs, outputs] + bias`, in the type of `x`.
pub(super) fn forward(x: &CubeTensor, weight: &CubeTensor, bias: &CubeTensor, rows: usize) -> CubeTensor {
    let [inputs, outputs] = dims(weight);
    let sizes = Sizes { m: rows, n: outputs, k: inputs };
    let y = empty(x, [rows, outputs], x.dtype);
    // Which kernel is quicker for which shape was measured: docs/perf/recurrent.md.
    let fast = !is_bf16(x) && outputs <= 256 && inputs >= 128 && sizes.aligned(false);
    let launch = sizes
        .gemm(if fast { GEMM_FAST } else { GEMM }, is_bf16(x))
        .define("BIAS", 1)
        .reads([x, weight])
        .writes([&y])
        .reads([bias]);
    let launch = sizes.numbers(launch, [inputs, outputs, outputs]);
    launch.numbers([1_usize, 0, 0, 0]).run(&x.client, sizes.grid(1));
    y
}

/// The gradient of `x`: `dy weight^T`.
pub(super) fn backward_x(weight: &CubeTensor, dy: &CubeTensor, rows: usize) -> CubeTensor {
    let [inputs, outputs] = dims(weight);
    let sizes = Sizes { m: rows, n: inputs, k: outputs };
    let dx = empty(dy, [rows, inputs], dy.dtype);
    let fast = !is_bf16(dy) && outputs >= 768 && sizes.aligned(false);
    let launch = sizes
        .gemm(if fast { GEMM_FAST } else { GEMM }, is_bf16(dy))
        .define("TRANS_B", 1)
        .reads([dy, weight])
        .writes([&dx]);
    sizes.numbers(launch, [outputs, outputs, inputs]).numbers([1_usize, 0, 0, 0]).run(&dy.client, sizes.grid(1));
    dx
}

/// `x^T dy`, in `f32`, and the sums of the columns of `dy` when `sums`. Rows of `dy` lie `pitch` apart.
pub(super) fn backward_weight(
    x: &CubeTensor,
    dy: &CubeTensor,
    sizes: Sizes,
    pitch: usize,
    shift: Option<Shift<'_>>,
    sums: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let Sizes { m, n, .. } = sizes;
    let bf16 = is_bf16(dy);
    let splits = sizes.splits(bf16);
    let float = |shape: Vec<usize>| empty(dy, shape, DType::F32);
    let (work, out) = (float(vec![splits, m, n]), float(vec![m, n]));
    let second = sums.then(|| (float(vec![splits, n]), float(vec![n])));
    let fast = bf16 && shift.is_some_and(|shift| !shift.has_h0) && sizes.aligned(true) && pitch.is_multiple_of(8);
    let mut launch = sizes
        .gemm(if fast { GEMM_FAST } else { GEMM }, bf16)
        .define("TRANS_A", 1)
        .define("SPLIT", 1)
        .define("C_BF16", 0);
    launch = if fast { launch } else { launch.define("B_BF16", bf16.into()) };
    launch = launch.flag("SHIFT_T", shift.is_some()).flag("COLSUM", sums);
    launch = launch.reads([x, dy]).writes([&work]);
    launch = launch.reads(shift.map(|shift| shift.h0)).writes(second.as_ref().map(|(work, _)| work));
    launch = sizes.numbers(launch, [m, pitch, n]).number(splits);
    let tail = shift.map_or([0, 0, 0], |s| [s.steps, usize::from(s.has_h0), usize::from(s.reverse)]);
    launch.numbers(tail).run(&dy.client, sizes.grid(splits));
    let count = if sums { n } else { 0 };
    let (second_work, second_out) = second.as_ref().map_or((&work, &out), |(work, out)| (work, out));
    Launch::new(REDUCE, THREADS)
        .reads([&work])
        .writes([&out])
        .reads([second_work])
        .writes([second_out])
        .numbers([m * n, count, splits, 0])
        .run(&dy.client, [(m * n + count).div_ceil(THREADS), 1, 1]);
    (out, second.map(|(_, out)| out))
}

/// `a b`, or `a b^T` when `transposed`, in parts that the reader of `work` adds up; says how many. `a` is in the type of the
/// product, `b` are weights.
pub(super) fn multiply(a: View<'_>, b: View<'_>, transposed: bool, sizes: Sizes, work: &CubeTensor) -> usize {
    let splits = sizes.step_splits();
    let launch = Launch::new(GEMM, THREADS).flag("ACT_BF16", is_bf16(a.tensor)).flag("TRANS_B", transposed);
    let launch = launch.define("TILE_M", STEP_TILE).define("TILE_N", STEP_TILE).define("SPLIT", 1).define("C_BF16", 0);
    let launch = launch.reads([a.tensor, b.tensor]).writes([work]);
    let launch = launch.numbers([sizes.m, sizes.n, sizes.k, a.pitch, b.pitch, sizes.n, a.offset, b.offset, 0, splits]);
    let grid = [sizes.n.div_ceil(STEP_TILE), sizes.m.div_ceil(STEP_TILE), splits];
    launch.numbers([0_usize; 3]).run(&work.client, grid);
    splits
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
        let (dw, db) = backward_weight(&x, &dy, Sizes { m: inputs, n: outputs, k: rows }, outputs, None, true);
        [dx, Some(dw), db]
    }
}
