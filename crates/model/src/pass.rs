use std::cell::Cell;

use burn::tensor::{Tensor, TensorData};
use tapeloom_core::{Philox, hash_words};

use crate::Dials;
use crate::ops::{self, Dial, Draw};

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
    dials: Option<Dials>,
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
        Self { training: Some(Draws { key, first_sample, site: Cell::new(0), dials: None }) }
    }

    /// As [`Pass::training`], of a step that is recorded: its draws follow the key that `dials` are
    /// [turned](Dials::turn) to.
    #[must_use]
    pub fn recorded(key: u64, first_sample: u64, dials: &Dials) -> Self {
        let draws = Draws { key, first_sample, site: Cell::new(0), dials: Some(dials.clone()) };
        Self { training: Some(draws) }
    }

    /// Sites that have drawn so far.
    #[must_use]
    pub fn sites(&self) -> usize {
        self.training.as_ref().map_or(0, |draws| draws.site.get() as usize)
    }

    /// Dropout: in training each number is zeroed with probability `p` and the others are scaled by `1 / (1 - p)`.
    /// Axis 0 of `x` is the batch. Each call in a pass is a new site with draws of its own.
    #[must_use]
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, p: f64) -> Tensor<D> {
        match self.draw(p, x.dims()[1..].iter().product()) {
            None => x,
            Some(draw) => draw.apply(x),
        }
    }

    /// `residual + dropout(x)`.
    #[must_use]
    pub fn dropout_add<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>, p: f64) -> Tensor<D> {
        match self.draw(p, x.dims()[1..].iter().product()) {
            None => residual + x,
            Some(draw) if ops::covers(&x.device(), x.dtype()) => ops::dropout_add(x, residual, draw),
            Some(draw) => residual + draw.apply(x),
        }
    }

    /// The draws of a new site whose samples have `width` numbers; none in inference or when nothing is to be dropped.
    pub(crate) fn draw(&self, p: f64, width: usize) -> Option<Draw> {
        let draws = self.training.as_ref().filter(|_| p > 0.0)?;
        let site = draws.site.replace(draws.site.get() + 1);
        let dial = draws.dials.as_ref().map(|dials| Dial { dials: dials.clone(), place: dials.site(site as usize) });
        Some(Draw { key: site_key(draws.key, site), dial, first_sample: draws.first_sample, width, p })
    }
}

/// The key of a site's draws in the pass under `key`.
pub(crate) const fn site_key(key: u64, site: u64) -> u64 {
    hash_words(&[key, site])
}

impl Draw {
    /// Zeroes and scales; without a kernel for the device the mask is made on the host.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        if ops::covers(&x.device(), x.dtype()) {
            return ops::dropout(x, self);
        }
        let (shape, dtype) = (x.dims(), x.dtype());
        let mask = Tensor::<D>::from_data(TensorData::new(self.mask(shape[0]), shape), &x.device());
        x * mask.cast(dtype)
    }

    fn mask(&self, samples: usize) -> Vec<f32> {
        let philox = Philox::new(self.key);
        let (threshold, keep) = (self.threshold(), self.scale());
        // A sample's draws start on a block of four, so that they do not depend on its neighbours.
        let blocks = self.width.div_ceil(4) as u64;
        let mut mask = vec![0.0; samples * self.width];
        for (sample, row) in (self.first_sample..).zip(mask.chunks_exact_mut(self.width)) {
            for (block, factors) in (sample * blocks..).zip(row.chunks_mut(4)) {
                let words = philox.block([block as u32, (block >> 32) as u32, 0, 0]);
                factors.iter_mut().zip(words).for_each(|(f, word)| *f = if word >= threshold { keep } else { 0.0 });
            }
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(key: u64, first_sample: u64, width: usize, p: f64) -> Draw {
        Draw { key, dial: None, first_sample, width, p }
    }

    #[test]
    fn masks_do_not_depend_on_how_a_batch_is_cut() {
        let whole = draw(9, 0, 5, 0.4).mask(6);
        let parts = [draw(9, 0, 5, 0.4).mask(2), draw(9, 2, 5, 0.4).mask(4)].concat();
        assert_eq!(whole, parts);
        assert_ne!(whole, draw(10, 0, 5, 0.4).mask(6));
    }

    #[test]
    fn the_share_dropped_is_p_and_the_mean_is_kept() {
        let mask = draw(1, 0, 100, 0.2).mask(100);
        let dropped = mask.iter().filter(|x| **x == 0.0).count();
        // 5 standard deviations of a binomial with n = 10,000 and p = 0.2.
        assert!((1800..2200).contains(&dropped), "{dropped}");
        assert!(mask.iter().all(|x| *x == 0.0 || (*x - 1.25).abs() < 1e-6));
    }

    #[test]
    fn each_site_of_a_pass_draws_anew() {
        let pass = Pass::training(3, 0);
        let key = || pass.draw(0.5, 8).map(|draw| draw.key);
        assert_ne!(key(), key());
        assert_eq!(pass.sites(), 2);
        assert!(Pass::inference().draw(0.5, 8).is_none());
    }
}
