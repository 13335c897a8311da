use std::ops::Range;

/// The part of each parameter that a rank moves, where all parameters, laid end to end in the network's order, are cut into as
/// many equal parts as there are ranks (Rajbhandari et al. 2020).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Numbers of each parameter.
    lengths: Vec<usize>,
    /// Within each parameter's own numbers; may be empty.
    of: Vec<Range<usize>>,
    world_size: usize,
}

impl Pieces {
    pub(crate) fn new(lengths: Vec<usize>, rank: usize, world_size: usize) -> Self {
        let part = lengths.iter().sum::<usize>().div_ceil(world_size);
        let (from, to) = (rank * part, (rank + 1) * part);
        let mut start = 0;
        let within = |len: &usize| {
            let piece = from.clamp(start, start + len) - start..to.clamp(start, start + len) - start;
            start += len;
            piece
        };
        let of = lengths.iter().map(within).collect();
        Self { lengths, of, world_size }
    }

    /// Whether one rank moves everything.
    pub(crate) const fn is_whole(&self) -> bool {
        self.world_size == 1
    }

    /// Numbers of each parameter.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The piece of each parameter.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Range<usize>> {
        self.of.iter()
    }

    /// Numbers of each rank's part, the last one's filled up.
    pub(crate) fn part(&self) -> usize {
        self.lengths.iter().sum::<usize>().div_ceil(self.world_size)
    }

    /// Numbers of all parts.
    pub(crate) fn padded(&self) -> usize {
        self.part() * self.world_size
    }

    /// Where each parameter begins in the row of all.
    pub(crate) fn starts(&self) -> impl Iterator<Item = usize> {
        self.lengths.iter().scan(0, |end, len| {
            *end += len;
            Some(*end - len)
        })
    }

    /// Where each piece that is not empty lies in the row of all, and its length.
    pub(crate) fn places(&self) -> Vec<(usize, usize)> {
        let places = self.starts().zip(&self.of).map(|(start, piece)| (start + piece.start, piece.len()));
        places.filter(|(_, len)| *len > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_of_all_ranks_are_all_numbers_once(
            lengths in prop::collection::vec(1_usize..50, 1..8),
            world_size in 1_usize..9,
        ) {
            let mut seen = vec![0; lengths.iter().sum()];
            for rank in 0..world_size {
                let pieces = Pieces::new(lengths.clone(), rank, world_size);
                for (start, len) in pieces.places() {
                    seen[start..start + len].iter_mut().for_each(|count| *count += 1);
                    prop_assert!(start / pieces.part() == rank && (start + len - 1) / pieces.part() == rank);
                }
            }
            prop_assert!(seen.iter().all(|count| *count == 1));
        }
    }
}
