//! Global norm, clip factor and AdamW over all parameters at once; nothing of it is read by the host.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, empty, plain, source};
use crate::{AdamW, Dials};

const NORM_PARTIAL: Source = source!("adamw", "norm_partial");
const NORM_FINAL: Source = source!("adamw", "norm_final");
const ADAMW: Source = source!("adamw", "adamw");

const THREADS: usize = 256;
/// Tensors that one launch takes.
pub(super) const GROUP: usize = 32;
/// Numbers that one block takes.
const CHUNK: usize = 4096;

pub(super) fn size(tensor: &CubeTensor) -> usize {
    tensor.meta.shape().num_elements()
}

pub(super) fn blocks<'a>(tensors: impl IntoIterator<Item = &'a CubeTensor>) -> usize {
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

/// Moves parameters and moments where they lie: whoever else holds them sees them move.
pub(crate) fn adamw(
    rule: &AdamW,
    slots: Vec<[CubeTensor; 4]>,
    state: &CubeTensor,
    dials: Option<&Dials>,
) -> Vec<[CubeTensor; 3]> {
    let slots: Vec<_> = slots.into_iter().map(|slot| slot.map(plain)).collect();
    let [rate, first, second] = rule.rates();
    for group in slots.chunks(GROUP) {
        Launch::new(ADAMW, THREADS)
            .define("COUNT", group.len())
            .updates(group.iter().flatten())
            .reads([state])
            .dials(dials)
            .numbers([rate, rule.betas[0], rule.betas[1], rule.epsilon, rule.weight_decay, first, second])
            .number(0_usize)
            .numbers(group.iter().map(|slot| size(&slot[0])))
            .run(&state.client, [blocks(group.iter().map(|slot| &slot[0])), 1, 1]);
    }
    slots.into_iter().map(|[parameter, _, m, v]| [parameter, m, v]).collect()
}
