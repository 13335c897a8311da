/// Counter-based random numbers: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC'11).
///
/// A draw is a pure function of key and counter. Nothing has to be saved to resume a run, and no thread, rank or
/// device can disturb another one's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The generator of one 64-bit key.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self { key: [key as u32, (key >> 32) as u32] }
    }

    /// The key's two words, low first.
    #[must_use]
    pub const fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The four 32-bit words at `counter`.
    #[must_use]
    pub const fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        let [mut k0, mut k1] = self.key;
        let mut c = counter;
        let mut round = 0;
        while round < 10 {
            let p0 = 0xD251_1F53_u64 * c[0] as u64;
            let p1 = 0xCD9E_8D57_u64 * c[2] as u64;
            c = [(p1 >> 32) as u32 ^ c[1] ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k1, p0 as u32];
            k0 = k0.wrapping_add(0x9E37_79B9);
            k1 = k1.wrapping_add(0xBB67_AE85);
            round += 1;
        }
        c
    }

    /// Fills `out` with uniform numbers in [0, 1) of `stream`, as if `out` began at position `start` of that stream.
    /// `start` must be a multiple of 4.
    pub fn uniform(&self, stream: u64, start: u64, out: &mut [f32]) {
        debug_assert_eq!(start % 4, 0, "streams are read in blocks of four");
        for (block, chunk) in (start / 4..).zip(out.chunks_mut(4)) {
            let words = self.block([block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32]);
            // 24 bits are what an f32 holds exactly below 1.
            chunk.iter_mut().zip(words).for_each(|(x, word)| *x = (word >> 8) as f32 * (1.0 / 16_777_216.0));
        }
    }
}

/// Mixes several words into one 64-bit key, so that (seed, epoch, step, ..) name a stream.
#[must_use]
pub const fn hash_words(words: &[u64]) -> u64 {
    // SplitMix64's finaliser over a running sum (Steele, Lea, Flood 2014).
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut i = 0;
    while i < words.len() {
        state = state.wrapping_add(words[i]).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state ^= state >> 30;
        state = state.wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        i += 1;
    }
    state
}

/// A keyed shuffle of `0..len` that needs no memory: position in, element out.
///
/// A balanced Feistel network over the next even number of bits, with cycle walking for the rest (Black and Rogaway,
/// "Ciphers with arbitrary finite domains", 2002). The data order of an epoch is one of these.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    philox: Philox,
}

impl Permutation {
    const ROUNDS: u32 = 6;

    /// The shuffle of `0..len` under `key`.
    #[must_use]
    pub const fn new(len: u64, key: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let half_bits = if bits < 2 { 1 } else { bits.div_ceil(2) };
        Self { len, half_bits, philox: Philox::new(key) }
    }

    /// The element at `position`.
    ///
    /// # Panics
    /// When `position` is not below the length.
    #[must_use]
    pub fn at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} is outside a shuffle of {}", self.len);
        let mut x = position;
        loop {
            x = self.encrypt(x);
            if x < self.len {
                return x;
            }
        }
    }

    fn encrypt(&self, x: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (x >> self.half_bits, x & mask);
        for round in 0..Self::ROUNDS {
            let words = self.philox.block([right as u32, (right >> 32) as u32, round, 0]);
            let f = (u64::from(words[1]) << 32 | u64::from(words[0])) & mask;
            (left, right) = (right, left ^ f);
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn philox_gives_the_reference_vectors() {
        // Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
        let all = u32::MAX;
        assert_eq!(Philox::new(0).block([0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(Philox::new(u64::MAX).block([all; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            Philox::new(0x299f_31d0_a409_3822).block([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_stream_read_in_parts_is_the_same_stream() {
        let (mut whole, mut part) = ([0.0; 20], [0.0; 8]);
        Philox::new(7).uniform(3, 0, &mut whole);
        Philox::new(7).uniform(3, 12, &mut part);
        assert_eq!(whole[12..], part);
        assert!(whole.iter().all(|x| (0.0..1.0).contains(x)));
    }

    proptest! {
        #[test]
        fn a_permutation_hits_every_element_once(len in 1_u64..3000, key: u64) {
            let order = Permutation::new(len, key);
            let mut seen: Vec<u64> = (0..len).map(|i| order.at(i)).collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..len));
        }
    }

    #[test]
    fn keys_give_different_orders() {
        let order = |key| (0..100).map(|i| Permutation::new(100, key).at(i)).collect::<Vec<_>>();
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), (0..100).collect::<Vec<_>>());
    }
}
