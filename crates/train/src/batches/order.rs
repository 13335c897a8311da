use tapeloom_core::{Permutation, hash_words};

/// The data order of one epoch: a keyed shuffle, cut into global batches.
///
/// It depends on seed, epoch and number of samples alone, so it is the same for any number of ranks and after a resume.
#[derive(Clone, Copy, Debug)]
pub struct EpochOrder {
    shuffle: Permutation,
    samples: u64,
    global_batch: u64,
}

impl EpochOrder {
    /// The order of `epoch` over `samples` samples in batches of `global_batch`.
    #[must_use]
    pub fn new(seed: u64, epoch: u64, samples: usize, global_batch: usize) -> Self {
        let (samples, global_batch) = (samples as u64, global_batch.max(1) as u64);
        Self { shuffle: Permutation::new(samples, hash_words(&[seed, epoch, 0x0D_E5])), samples, global_batch }
    }

    /// Optimizer steps of the epoch; the last batch may be short.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.samples.div_ceil(self.global_batch)
    }

    /// The samples of step `step` (from 0).
    #[must_use]
    pub fn batch(&self, step: u64) -> Vec<usize> {
        let from = (step * self.global_batch).min(self.samples);
        let to = (from + self.global_batch).min(self.samples);
        (from..to).map(|position| self.shuffle.at(position) as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_every_sample_once() {
        let order = EpochOrder::new(1, 3, 103, 10);
        let mut seen: Vec<usize> = (0..order.steps()).flat_map(|step| order.batch(step)).collect();
        assert_eq!(order.steps(), 11);
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..103));
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let first = |seed, epoch| EpochOrder::new(seed, epoch, 500, 20).batch(0);
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
        assert_eq!(first(1, 1), first(1, 1));
    }
}
