//! The words of Philox4x32-10 in bulk: eight blocks side by side where the processor has AVX2.

use tapeloom_core::Philox;

/// Words made at once.
pub(super) const RUN: usize = 32;

/// Fills `out`, a multiple of [`RUN`] long, with `f` of the words from block `first` of stream 0 on.
#[inline(always)]
pub(super) fn fill(philox: &Philox, first: u64, out: &mut [f32], f: impl Fn(u32) -> f32) {
    for (run, out) in out.chunks_exact_mut(RUN).enumerate() {
        let words = eight_blocks(philox, first + 8 * run as u64);
        out.iter_mut().zip(words).for_each(|(out, word)| *out = f(word));
    }
}

#[inline(always)]
fn eight_blocks(philox: &Philox, first: u64) -> [u32; RUN] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::eight_blocks(philox.key(), first) };
    }
    let mut words = [0; RUN];
    for (block, words) in (first..).zip(words.chunks_exact_mut(4)) {
        words.copy_from_slice(&philox.block([block as u32, (block >> 32) as u32, 0, 0]));
    }
    words
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_blend_epi32, _mm256_mul_epu32, _mm256_permute2x128_si256, _mm256_set1_epi32,
        _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi32, _mm256_srli_epi64, _mm256_storeu_si256,
        _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
    };

    /// The high and low halves of `x * factor` in each of eight lanes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn products(x: __m256i, factor: __m256i) -> (__m256i, __m256i) {
        let even = _mm256_mul_epu32(x, factor);
        let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(x), factor);
        let low = _mm256_blend_epi32::<0xAA>(even, _mm256_shuffle_epi32::<0xA0>(odd));
        let high = _mm256_blend_epi32::<0xAA>(_mm256_shuffle_epi32::<0xF5>(even), odd);
        (high, low)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn eight_blocks(key: [u32; 2], first: u64) -> [u32; super::RUN] {
        let all = |word: u32| _mm256_set1_epi32(word as i32);
        let low = |i: u64| (first + i) as i32;
        let high = |i: u64| ((first + i) >> 32) as i32;
        let mut c0 = _mm256_setr_epi32(low(0), low(1), low(2), low(3), low(4), low(5), low(6), low(7));
        let mut c1 = _mm256_setr_epi32(high(0), high(1), high(2), high(3), high(4), high(5), high(6), high(7));
        let (mut c2, mut c3) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        let (mut k0, mut k1) = (all(key[0]), all(key[1]));
        for _ in 0..10 {
            let (high0, low0) = products(c0, all(0xD251_1F53));
            let (high1, low1) = products(c2, all(0xCD9E_8D57));
            c0 = _mm256_xor_si256(_mm256_xor_si256(high1, c1), k0);
            c2 = _mm256_xor_si256(_mm256_xor_si256(high0, c3), k1);
            (c1, c3) = (low1, low0);
            k0 = _mm256_add_epi32(k0, all(0x9E37_79B9));
            k1 = _mm256_add_epi32(k1, all(0xBB67_AE85));
        }
        // From word by word to block by block.
        let (a, b) = (_mm256_unpacklo_epi32(c0, c1), _mm256_unpackhi_epi32(c0, c1));
        let (c, d) = (_mm256_unpacklo_epi32(c2, c3), _mm256_unpackhi_epi32(c2, c3));
        let pairs = [
            _mm256_unpacklo_epi64(a, c),
            _mm256_unpackhi_epi64(a, c),
            _mm256_unpacklo_epi64(b, d),
            _mm256_unpackhi_epi64(b, d),
        ];
        let mut words = [0_u32; super::RUN];
        let ordered = [
            _mm256_permute2x128_si256::<0x20>(pairs[0], pairs[1]),
            _mm256_permute2x128_si256::<0x20>(pairs[2], pairs[3]),
            _mm256_permute2x128_si256::<0x31>(pairs[0], pairs[1]),
            _mm256_permute2x128_si256::<0x31>(pairs[2], pairs[3]),
        ];
        for (to, eight) in words.chunks_exact_mut(8).zip(ordered) {
            // SAFETY: the chunk holds eight words.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), eight) };
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_blocks_are_the_blocks_one_by_one() {
        let philox = Philox::new(0x0123_4567_89AB_CDEF);
        for first in [0, 5, u64::from(u32::MAX) - 3, 1 << 40] {
            let one_by_one = (first..first + 8).flat_map(|b| philox.block([b as u32, (b >> 32) as u32, 0, 0]));
            assert!(eight_blocks(&philox, first).into_iter().eq(one_by_one), "{first}");
        }
    }
}
