use std::ops::Range;

use tapeloom_dist::shard_range;

/// How a global batch is cut into passes: first into shards, then each shard into passes that fit the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// Samples of one pass at most.
    pub(crate) pass: usize,
    /// Parts of a batch that any rank may take; absent gives each rank one part of its own.
    pub(crate) virtual_shards: Option<usize>,
}

/// Samples that go through the network at once, by their place in the global batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) shard: usize,
    pub(crate) samples: Range<usize>,
}

impl Cut {
    /// Parts of a global batch.
    pub(crate) fn shards(self) -> usize {
        self.virtual_shards.unwrap_or(self.world_size)
    }

    /// The shards of a rank, in order. Virtual ones are dealt out in turn, so that a rank more or less moves few of them.
    pub(crate) fn shards_of(self, rank: usize) -> impl Iterator<Item = usize> {
        (rank..self.shards()).step_by(self.world_size)
    }

    /// What this rank does of a batch of `len` samples, in order.
    pub(crate) fn slices(self, len: usize) -> impl Iterator<Item = Slice> {
        self.shards_of(self.rank).flat_map(move |shard| {
            let samples = shard_range(len, shard, self.shards());
            let end = samples.end;
            samples.step_by(self.pass).map(move |from| Slice { shard, samples: from..(from + self.pass).min(end) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_take_every_sample_once_and_virtual_shards_do_not_move(
            len in 0_usize..200, pass in 1_usize..40, world_size in 1_usize..9, virtual_shards in 1_usize..12,
        ) {
            for virtual_shards in [None, Some(virtual_shards)] {
                let cut = |rank, world_size| Cut { rank, world_size, pass, virtual_shards };
                let mut all: Vec<Slice> = (0..world_size).flat_map(|rank| cut(rank, world_size).slices(len)).collect();
                all.sort_by_key(|slice| slice.samples.start);
                prop_assert!(all.iter().flat_map(|slice| slice.samples.clone()).eq(0..len));
                prop_assert!(all.iter().all(|slice| slice.samples.len() <= pass));
                if virtual_shards.is_some() {
                    prop_assert_eq!(all, cut(0, 1).slices(len).collect::<Vec<_>>());
                }
            }
        }
    }
}
