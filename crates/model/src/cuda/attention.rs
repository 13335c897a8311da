//! Self-attention, forward and backward, with no matrix of weights in memory.

use burn::backend::Cube;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, dims, empty, is_bf16, plain, source};
use crate::ops::{Attention, Operation};

const FORWARD: Source = source!("attention_forward");
const BACKWARD: Source = source!("attention_backward");

/// Queries that a block of the forward kernel takes.
const TILE: usize = 64;

impl Attention {
    fn launch(&self, source: Source, qkv: &CubeTensor, threads: usize) -> (Launch, [usize; 3]) {
        let [batch, steps, row] = dims(qkv);
        let depth = row / 3 / self.heads;
        let launch = Launch::new(source, threads).flag("ACT_BF16", is_bf16(qkv)).define("D", depth);
        (launch, [batch, steps, depth])
    }

    fn numbers(&self, launch: Launch, batch: usize, steps: usize) -> Launch {
        let draw = self.draw.as_ref();
        let (seed, first, p) = draw.map_or((0, 0, 0.0), |draw| (draw.seed(), draw.first_group(), draw.p));
        let launch = launch.dials(draw.and_then(|draw| draw.dial.as_ref()).map(|dial| &dial.dials));
        launch.numbers([batch, steps, self.heads, self.causal.into()]).numbers([seed, first]).number(p)
    }
}

impl Operation<Cube, 1> for Attention {
    /// Packed queries, keys and values, the result, and the logarithms of the softmax's sums.
    type Saved = [CubeTensor; 3];

    fn forward(&self, [qkv]: [CubeTensor; 1], save: bool) -> (CubeTensor, Option<Self::Saved>) {
        let qkv = plain(qkv);
        let (launch, [batch, steps, depth]) = self.launch(FORWARD, &qkv, 128);
        let out = empty(&qkv, [batch, steps, self.heads * depth], qkv.dtype);
        let lse = empty(&qkv, [batch, self.heads, steps], DType::F32);
        let launch = self.numbers(launch.reads([&qkv]).writes([&out, &lse]), batch, steps);
        launch.run(&qkv.client, [steps.div_ceil(TILE), self.heads, batch]);
        (out.clone(), save.then_some([qkv, out, lse]))
    }

    fn backward(&self, [qkv, out, lse]: Self::Saved, dy: CubeTensor, _: [bool; 1]) -> [Option<CubeTensor>; 1] {
        let depth = dims::<3>(&qkv)[2] / 3 / self.heads;
        let tile = if depth <= 32 { 64 } else { 32 };
        let (launch, [batch, steps, _]) = self.launch(BACKWARD, &qkv, 2 * tile);
        let dqkv = empty(&qkv, qkv.meta.shape().clone(), qkv.dtype);
        let launch = self.numbers(launch.reads([&qkv, &out, &plain(dy), &lse]).writes([&dqkv]), batch, steps);
        launch.run(&qkv.client, [steps.div_ceil(tile), self.heads, batch]);
        [Some(dqkv)]
    }
}
