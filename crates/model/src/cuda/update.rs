//! Global norm, clip factor and AdamW over all parameters at once; nothing of it is read by the host.

use burn::backend::Cube;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, empty, empty_together, plain, source};
use crate::update::AdamW;

const NORM_PARTIAL: Source = source!("adamw", "norm_partial");
const NORM_FINAL: Source = source!("adamw", "norm_final");
const ADAMW: Source = source!("adamw", "adamw");

const THREADS: usize = 256;
/// Tensors that one launch takes.
const GROUP: usize = 32;
/// Numbers that one block takes.
const CHUNK: usize = 4096;

fn size(tensor: &CubeTensor) -> usize {
    tensor.meta.shape().num_elements()
}

fn blocks<'a>(tensors: impl IntoIterator<Item = &'a CubeTensor>) -> usize {
    tensors.into_iter().map(|tensor| size(tensor).div_ceil(CHUNK)).sum()
}

/// Norm, clip factor and whether all numbers are finite, as a tensor of four.
pub(crate) fn clip(gradients: Vec<CubeTensor>, max_norm: f64) -> CubeTensor {
    let gradients: Vec<_> = gradients.into_iter().map(plain).collect();
    let (first, slots) = (&gradients[0], blocks(&gradients));
    // Sums are kept in double precision, two places each.
    let partial = empty(first, [2 * slots], DType::F32);
    let state = empty(first, [4], DType::F32);
    let mut slot = 0;
    for group in gradients.chunks(GROUP) {
        let grid = blocks(group);
        Launch::new(NORM_PARTIAL, THREADS)
            .define("COUNT", group.len())
            .reads(group)
            .writes([&partial])
            .numbers([0.0; 7])
            .number(slot)
            .numbers(group.iter().map(size))
            .run(&first.client, [grid, 1, 1]);
        slot += grid;
    }
    Launch::new(NORM_FINAL, THREADS)
        .reads([&partial])
        .writes([&state])
        .number(slots)
        .number(max_norm)
        .run(&first.client, [1; 3]);
    state
}

/// Writes parameters anew, since others may hold the old ones, and moments in place.
pub(crate) fn adamw(rule: &AdamW, slots: Vec<[CubeTensor; 4]>, state: &CubeTensor) -> Vec<[CubeTensor; 3]> {
    let owned = |x: CubeTensor| if x.handle.can_mut() { plain(x) } else { Cube::float_add_scalar(x, 0.0.into()) };
    let sizes: Vec<usize> = slots.iter().map(|slot| size(&slot[0])).collect();
    let fresh = empty_together(state, &sizes, DType::F32);
    let slots: Vec<_> =
        slots.into_iter().zip(fresh).map(|([p, g, m, v], new)| [new, plain(p), plain(g), owned(m), owned(v)]).collect();
    let [first, second] = rule.betas.map(|beta| 1.0 - beta.powf(rule.time as f64));
    for group in slots.chunks(GROUP) {
        Launch::new(ADAMW, THREADS)
            .define("COUNT", group.len())
            .updates(group.iter().flatten())
            .reads([state])
            .numbers([rule.learning_rate, rule.betas[0], rule.betas[1], rule.epsilon, rule.weight_decay, first, second])
            .number(0_usize)
            .numbers(group.iter().map(|slot| size(&slot[0])))
            .run(&state.client, [blocks(group.iter().map(|slot| &slot[0])), 1, 1]);
    }
    slots.into_iter().map(|[new, _, _, m, v]| [new, m, v]).collect()
}
