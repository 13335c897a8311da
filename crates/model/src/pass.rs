use std::cell::Cell;

use burn::tensor::{Tensor, TensorData};
use tapeloom_core::{Philox, hash_words};

/// One run of a network over a batch: inference, or training with its random draws.
///
/// Draws are a pure function of `key`, the place in the network and the sample's place in the global batch. So a resumed
/// run repeats them, and they do not depend on micro-batches or on the number of ranks.
#[derive(Debug)]
pub struct Pass {
    training: Option<Draws>,
}

#[derive(Debug)]
struct Draws {
    key: u64,
    first_sample: u64,
    site: Cell<u64>,
}

impl Pass {
    /// Nothing is dropped.
    #[must_use]
    pub const fn inference() -> Self {
        Self { training: None }
    }

    /// A training pass under `key`, whose batch begins at `first_sample` of the global batch.
    #[must_use]
    pub const fn training(key: u64, first_sample: u64) -> Self {
        Self { training: Some(Draws { key, first_sample, site: Cell::new(0) }) }
    }

    /// Dropout: in training each number is zeroed with probability `p` and the others are scaled by `1 / (1 - p)`.
    /// Axis 0 of `x` is the batch. Each call in a pass is a new site with draws of its own.
    #[must_use]
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, p: f64) -> Tensor<D> {
        let Some(draws) = self.training.as_ref().filter(|_| p > 0.0) else { return x };
        let site = draws.site.replace(draws.site.get() + 1);
        let shape = x.dims();
        let width: usize = shape[1..].iter().product();
        let mask = mask(draws.key, site, draws.first_sample, shape[0], width, p);
        let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
        x * mask
    }
}

fn mask(key: u64, site: u64, first_sample: u64, samples: usize, width: usize, p: f64) -> Vec<f32> {
    let philox = Philox::new(hash_words(&[key, site]));
    let mut mask = vec![0.0; samples * width];
    // A sample's draws start on a block of four, so that they do not depend on its neighbours.
    let stride = width.next_multiple_of(4) as u64;
    for (sample, row) in (first_sample..).zip(mask.chunks_exact_mut(width)) {
        philox.uniform(0, sample * stride, row);
    }
    let (p, keep) = (p as f32, (1.0 / (1.0 - p)) as f32);
    mask.iter_mut().for_each(|u| *u = if *u < p { 0.0 } else { keep });
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_do_not_depend_on_how_a_batch_is_cut() {
        let whole = mask(9, 2, 0, 6, 5, 0.4);
        let parts = [mask(9, 2, 0, 2, 5, 0.4), mask(9, 2, 2, 4, 5, 0.4)].concat();
        assert_eq!(whole, parts);
        assert_ne!(whole, mask(9, 3, 0, 6, 5, 0.4));
    }

    #[test]
    fn the_share_dropped_is_p_and_the_mean_is_kept() {
        let mask = mask(1, 0, 0, 100, 100, 0.2);
        let dropped = mask.iter().filter(|x| **x == 0.0).count();
        // 5 standard deviations of a binomial with n = 10,000 and p = 0.2.
        assert!((1800..2200).contains(&dropped), "{dropped}");
        assert!(mask.iter().all(|x| *x == 0.0 || (*x - 1.25).abs() < 1e-6));
    }
}
