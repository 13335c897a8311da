//! Layer norm, dropout and GELU.

use burn::backend::Cube;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, dims, empty, is_bf16, plain, source};
use super::product::rows;
use crate::ops::{Draw, Dropout, DropoutAdd, Gelu, LayerNorm, MeanTime, Operation};

const NORM_FORWARD: Source = source!("norm", "norm_forward");
const NORM_BACKWARD: Source = source!("norm", "norm_backward");
const REDUCE: Source = source!("gemm_reduce", "gemm_reduce_tall");
const MEAN_FORWARD: Source = source!("mean_time", "mean_time_forward");
const MEAN_BACKWARD: Source = source!("mean_time", "mean_time_backward");
const DROPOUT: Source = source!("dropout");
const GELU_FORWARD: Source = source!("gelu", "gelu_forward");
const GELU_BACKWARD: Source = source!("gelu", "gelu_backward");

const THREADS: usize = 256;
/// Blocks of the norm's backward kernel: each leaves one row of sums.
const BLOCKS: usize = 132;

impl Operation<Cube, 3> for LayerNorm {
    /// x, scale, and the rows' means and reciprocal deviations.
    type Saved = [CubeTensor; 4];

    fn forward(&self, inputs: [CubeTensor; 3], save: bool) -> (CubeTensor, Option<Self::Saved>) {
        let [x, scale, shift] = inputs.map(plain);
        let [width] = dims(&scale);
        let rows = rows(&x, width);
        let y = empty(&x, x.meta.shape().clone(), x.dtype);
        let [mean, factor] = [0, 1].map(|_| empty(&x, [rows], DType::F32));
        Launch::new(NORM_FORWARD, THREADS)
            .flag("ACT_BF16", is_bf16(&x))
            .define("H", width)
            .reads([&x, &scale, &shift])
            .writes([&y, &mean, &factor])
            .number(rows)
            .number(self.epsilon)
            .run(&x.client, [rows.div_ceil(THREADS / 32), 1, 1]);
        (y, save.then_some([x, scale, mean, factor]))
    }

    fn backward(&self, [x, scale, mean, factor]: Self::Saved, dy: CubeTensor, _: [bool; 3]) -> [Option<CubeTensor>; 3] {
        let [width] = dims(&scale);
        let rows = rows(&x, width);
        let blocks = rows.div_ceil(THREADS / 32).min(BLOCKS);
        let dx = empty(&x, x.meta.shape().clone(), x.dtype);
        let partial = [0, 1].map(|_| empty(&x, [blocks, width], DType::F32));
        let sums = [0, 1].map(|_| empty(&x, [width], DType::F32));
        Launch::new(NORM_BACKWARD, THREADS)
            .flag("ACT_BF16", is_bf16(&x))
            .define("H", width)
            .reads([&plain(dy), &x, &scale, &mean, &factor])
            .writes([&dx, &partial[0], &partial[1]])
            .number(rows)
            .number(self.epsilon)
            .run(&x.client, [blocks, 1, 1]);
        Launch::new(REDUCE, THREADS)
            .reads([&partial[0]])
            .writes([&sums[0]])
            .reads([&partial[1]])
            .writes([&sums[1]])
            .numbers([width, width, blocks, 0])
            .run(&x.client, [(2 * width).div_ceil(32), 1, 1]);
        let [dscale, dshift] = sums;
        [Some(dx), Some(dscale), Some(dshift)]
    }
}

impl Operation<Cube, 1> for MeanTime {
    /// Batch, steps and width.
    type Saved = [usize; 3];

    fn forward(&self, [x]: [CubeTensor; 1], save: bool) -> (CubeTensor, Option<[usize; 3]>) {
        let x = plain(x);
        let [batch, steps, width] = dims(&x);
        let y = empty(&x, [batch, width], x.dtype);
        Launch::new(MEAN_FORWARD, THREADS)
            .flag("ACT_BF16", is_bf16(&x))
            .reads([&x])
            .writes([&y])
            .numbers([batch, steps, width])
            .run(&x.client, [width.div_ceil(64), batch, 1]);
        (y, save.then_some([batch, steps, width]))
    }

    fn backward(&self, [batch, steps, width]: [usize; 3], dy: CubeTensor, _: [bool; 1]) -> [Option<CubeTensor>; 1] {
        let dy = plain(dy);
        let dx = empty(&dy, [batch, steps, width], dy.dtype);
        Launch::new(MEAN_BACKWARD, THREADS)
            .flag("ACT_BF16", is_bf16(&dy))
            .reads([&dy])
            .writes([&dx])
            .numbers([batch, steps, width])
            .run(&dy.client, [(batch * steps * width).div_ceil(4 * THREADS), 1, 1]);
        [Some(dx)]
    }
}

fn drop(draw: &Draw, x: &CubeTensor, residual: Option<&CubeTensor>) -> CubeTensor {
    let y = empty(x, x.meta.shape().clone(), x.dtype);
    let count = x.meta.shape().num_elements();
    let groups = count / draw.width.max(1) * draw.width.div_ceil(4);
    Launch::new(DROPOUT, THREADS)
        .flag("ACT_BF16", is_bf16(x))
        .flag("RESIDUAL", residual.is_some())
        .flag("RAGGED", !draw.has_whole_blocks())
        .reads([x])
        .writes([&y])
        .reads(residual)
        .dials(draw.dial.as_ref().map(|dial| &dial.dials))
        .number(count)
        .numbers([draw.seed(), draw.first_group()])
        .number(draw.p)
        .number(draw.width)
        .run(&x.client, [groups.div_ceil(THREADS), 1, 1]);
    y
}

impl Draw {
    /// The key, or its place on the dials.
    pub(super) fn seed(&self) -> u64 {
        self.dial.as_ref().map_or(self.key, |dial| dial.place as u64)
    }

    /// The first block of four words of the batch.
    pub(super) const fn first_group(&self) -> u64 {
        self.first_sample * (self.width as u64).div_ceil(4)
    }
}

impl Operation<Cube, 1> for Dropout {
    type Saved = ();

    fn forward(&self, [x]: [CubeTensor; 1], save: bool) -> (CubeTensor, Option<()>) {
        (drop(&self.draw, &plain(x), None), save.then_some(()))
    }

    fn backward(&self, (): (), dy: CubeTensor, _: [bool; 1]) -> [Option<CubeTensor>; 1] {
        [Some(drop(&self.draw, &plain(dy), None))]
    }
}

impl Operation<Cube, 2> for DropoutAdd {
    type Saved = ();

    fn forward(&self, inputs: [CubeTensor; 2], save: bool) -> (CubeTensor, Option<()>) {
        let [x, residual] = inputs.map(plain);
        (drop(&self.draw, &x, Some(&residual)), save.then_some(()))
    }

    fn backward(&self, (): (), dy: CubeTensor, _: [bool; 2]) -> [Option<CubeTensor>; 2] {
        let dy = plain(dy);
        [Some(drop(&self.draw, &dy, None)), Some(dy)]
    }
}

fn gelu(source: Source, inputs: &[&CubeTensor], out: &CubeTensor, x: &CubeTensor) {
    let count = x.meta.shape().num_elements();
    Launch::new(source, THREADS)
        .flag("ACT_BF16", is_bf16(x))
        .reads(inputs.iter().copied())
        .writes([out])
        .number(count)
        .run(&x.client, [count.div_ceil(THREADS), 1, 1]);
}

impl Operation<Cube, 1> for Gelu {
    type Saved = CubeTensor;

    fn forward(&self, [x]: [CubeTensor; 1], save: bool) -> (CubeTensor, Option<CubeTensor>) {
        let x = plain(x);
        let y = empty(&x, x.meta.shape().clone(), x.dtype);
        gelu(GELU_FORWARD, &[&x], &y, &x);
        (y, save.then_some(x))
    }

    fn backward(&self, x: CubeTensor, dy: CubeTensor, _: [bool; 1]) -> [Option<CubeTensor>; 1] {
        let dx = empty(&x, x.meta.shape().clone(), x.dtype);
        gelu(GELU_BACKWARD, &[&plain(dy), &x], &dx, &x);
        [Some(dx)]
    }
}
