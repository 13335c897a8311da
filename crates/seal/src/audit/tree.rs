//! The Merkle tree of RFC 6962 (now RFC 9162), section 2.1: leaves are `SHA-256(0x00 || data)`, nodes `SHA-256(0x01 || left || right)`.

use sha2::{Digest, Sha256};

pub(crate) type Hash = [u8; 32];

pub(crate) fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The greatest power of two below `size`, which must be over 1: where a tree of that size divides.
const fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// As much of a tree as it takes to go on: the roots of its whole subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compact {
    size: u64,
    peaks: Vec<Hash>,
}

impl Compact {
    /// None when a tree of this size has another number of peaks.
    pub(crate) fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (size.count_ones() as usize == peaks.len()).then_some(Self { size, peaks })
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("each set bit of the size has a peak");
            hash = node(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Of no leaf it is the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(last, |right, left| node(&left, &right))
    }
}

/// A tree of which all leaves are known, but for those before `base`.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) base: Compact,
    pub(crate) leaves: Vec<Hash>,
}

impl Tree {
    /// The root of the subtree over `start..end`; none where it needs leaves that are gone.
    fn range(&self, start: u64, end: u64) -> Option<Hash> {
        let size = end - start;
        if end <= self.base.size && size.is_power_of_two() {
            // Only whole subtrees of the base are kept.
            let mut at = 0;
            for (bit, peak) in (0..64).rev().filter(|bit| self.base.size >> bit & 1 == 1).zip(&self.base.peaks) {
                if (at, 1 << bit) == (start, size) {
                    return Some(*peak);
                }
                at += 1 << bit;
            }
        }
        if size == 1 {
            return self.leaves.get(usize::try_from(start.checked_sub(self.base.size)?).ok()?).copied();
        }
        let middle = start + split(size);
        Some(node(&self.range(start, middle)?, &self.range(middle, end)?))
    }

    pub(crate) const fn size(&self) -> u64 {
        self.base.size + self.leaves.len() as u64
    }

    pub(crate) fn root(&self, size: u64) -> Option<Hash> {
        if size == 0 { Some(Compact::default().root()) } else { self.range(0, size) }
    }

    /// The hashes beside the way from leaf `index` to the root of the first `size` leaves, lowest first.
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// What shows that the first `old` leaves of a tree of `new` are those of the tree of `old`.
    pub(crate) fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        let (mut start, mut end, mut path, mut is_known) = (0, new, Vec::new(), true);
        while end != old {
            let middle = start + split(end - start);
            if old <= middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
                is_known = false;
            }
        }
        if !is_known {
            path.push(self.range(start, end)?);
        }
        path.reverse();
        Some(path)
    }
}

/// Whether `path` leads from a leaf at `index` to the root of `size` leaves: RFC 9162, section 2.1.3.2.
pub(crate) fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for step in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(step, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` shows that the tree of `old` leaves is the start of that of `new`: RFC 9162, section 2.1.4.2.
pub(crate) fn extends(old: u64, new: u64, path: &[Hash], old_root: &Hash, new_root: &Hash) -> bool {
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 || old > new {
        // Everything extends the empty tree.
        return old == 0 && path.is_empty() && *old_root == Compact::default().root();
    }
    let mut steps = path.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = node(step, &old_hash);
            new_hash = node(step, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node(&new_hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::{decode, encode};
    use proptest::prelude::*;

    /// The leaves of the Certificate Transparency reference tests.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn tree() -> Tree {
        let leaves = LEAVES.iter().map(|hex| leaf(&decode(hex).expect("hex"))).collect();
        Tree { base: Compact::default(), leaves }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let (tree, mut compact) = (tree(), Compact::default());
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(encode(&tree.root(size as u64).expect("whole")), *root, "{size}");
            assert_eq!(encode(&compact.root()), *root, "{size}");
            if size < 8 {
                compact.push(tree.leaves[size]);
            }
        }
    }

    #[test]
    fn proofs_are_those_of_certificate_transparency() {
        let hex = |path: Option<Vec<Hash>>| path.expect("whole").iter().map(|hash| encode(hash)).collect::<Vec<_>>();
        assert_eq!(
            hex(tree().inclusion(5, 8)),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(hex(tree().inclusion(2, 3)), ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]);
        assert_eq!(
            hex(tree().consistency(6, 8)),
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(
            hex(tree().consistency(2, 5)),
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        );
    }

    proptest! {
        #[test]
        fn proofs_hold_and_others_do_not(size in 1_u64..70, kept in 0_u64..70, index in 0_u64..70, old in 0_u64..71, flip in any::<prop::sample::Index>()) {
            let (kept, index, old) = (kept % size, index % size, old % (size + 1));
            let leaves: Vec<Hash> = (0..size).map(|i| leaf(&i.to_le_bytes())).collect();
            let mut base = Compact::default();
            leaves[..kept as usize].iter().for_each(|hash| base.push(*hash));
            let whole = Tree { base: Compact::default(), leaves: leaves.clone() };
            let cut = Tree { base, leaves: leaves[kept as usize..].to_vec() };
            let root = whole.root(size).expect("whole");
            prop_assert_eq!(cut.root(size), Some(root));
            // Proofs of what is kept don't need what is gone.
            let path = whole.inclusion(index, size).expect("whole");
            if index >= kept {
                prop_assert_eq!(cut.inclusion(index, size), Some(path.clone()));
            }
            let of = leaves[index as usize];
            prop_assert!(includes(&of, index, size, &path, &root));
            prop_assert!(!includes(&leaf(b"other"), index, size, &path, &root));
            prop_assert!(size == 1 || !includes(&of, (index + 1) % size, size, &path, &root));
            prop_assert!(!includes(&of, index, size, &[&path[..], &[root]].concat(), &root));
            if !path.is_empty() {
                let mut bad = path.clone();
                let at = flip.index(bad.len());
                bad[at][0] ^= 1;
                prop_assert!(!includes(&of, index, size, &bad, &root));
                prop_assert!(!includes(&of, index, size, &path[1..], &root));
            }
            let old_root = whole.root(old).expect("whole");
            let path = if old == 0 { Vec::new() } else { whole.consistency(old, size).expect("whole") };
            prop_assert!(extends(old, size, &path, &old_root, &root));
            prop_assert!(!extends(old, size, &path, &leaf(b"other"), &root));
            prop_assert!(old == size || old == 0 || !extends(old, size, &path, &old_root, &leaf(b"other")));
            if !path.is_empty() {
                let mut bad = path;
                let at = flip.index(bad.len());
                bad[at][0] ^= 1;
                prop_assert!(!extends(old, size, &bad, &old_root, &root));
            }
        }
    }
}
