//! How a payload is cut into chunks that are sealed one by one, for both suites.

use std::num::NonZeroUsize;
use std::thread;

use serde::{Deserialize, Serialize};

use super::{age, cobblestone};
use crate::aead::{Aead, Algorithm, NONCE, TAG};

/// How the payload of a sealed file is encrypted. Both detect a changed, moved, missing or added byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Suite {
    /// ChaCha20-Poly1305 in chunks of 64 KiB, after the STREAM construction of age v1 (<https://age-encryption.org/v1>).
    #[default]
    #[serde(rename = "chacha20poly1305", alias = "ChaCha20-Poly1305")]
    ChaCha20Poly1305,
    /// AES-256-GCM in chunks of 16 KiB: Cobblestone-256 of <https://c2sp.org/chunked-encryption>.
    #[serde(rename = "aes-256-gcm", alias = "AES-256-GCM")]
    Aes256Gcm,
}

impl Suite {
    /// Bytes of plaintext in a chunk.
    pub(crate) const fn chunk(self) -> usize {
        match self {
            Self::ChaCha20Poly1305 => age::CHUNK,
            Self::Aes256Gcm => cobblestone::CHUNK,
        }
    }

    /// Bytes in front of the chunks.
    pub(crate) const fn prefix(self) -> usize {
        match self {
            Self::ChaCha20Poly1305 => age::PREFIX,
            Self::Aes256Gcm => cobblestone::PREFIX,
        }
    }

    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::ChaCha20Poly1305 => Algorithm::ChaCha20Poly1305,
            Self::Aes256Gcm => Algorithm::Aes256Gcm,
        }
    }

    /// How many chunks hold so many bytes. The last one of AES is always short, that of ChaCha empty for no bytes only.
    pub(crate) const fn chunks(self, plain: u64) -> u64 {
        match self {
            Self::ChaCha20Poly1305 if plain == 0 => 1,
            Self::ChaCha20Poly1305 => plain.div_ceil(self.chunk() as u64),
            Self::Aes256Gcm => plain / self.chunk() as u64 + 1,
        }
    }

    /// Bytes of all chunks of so much plaintext.
    pub(crate) const fn sealed_len(self, plain: u64) -> u64 {
        plain + self.chunks(plain) * TAG as u64
    }

    /// Bytes of plaintext in so many bytes of chunks; none when no plaintext gives that many.
    pub(crate) fn plain_len(self, sealed: u64) -> Option<u64> {
        let piece = (self.chunk() + TAG) as u64;
        let chunks = match self {
            Self::ChaCha20Poly1305 => sealed.div_ceil(piece),
            Self::Aes256Gcm => sealed / piece + 1,
        };
        let plain = sealed.checked_sub(chunks * TAG as u64)?;
        (self.sealed_len(plain) == sealed).then_some(plain)
    }
}

/// The keys of one payload.
pub(crate) struct Stream {
    pub(crate) suite: Suite,
    aead: Aead,
    /// Zero for ChaCha.
    base_nonce: [u8; NONCE],
}

impl Stream {
    pub(super) fn new(suite: Suite, key: &[u8; 32], base_nonce: [u8; NONCE]) -> Self {
        Self { suite, aead: Aead::new(suite.algorithm(), key), base_nonce }
    }

    fn nonce(&self, number: u64, is_last: bool) -> [u8; NONCE] {
        let mut nonce = self.base_nonce;
        match self.suite {
            Suite::ChaCha20Poly1305 => {
                nonce[3..11].copy_from_slice(&number.to_be_bytes());
                nonce[11] = u8::from(is_last);
            }
            Suite::Aes256Gcm => nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(n, c)| *n ^= c),
        }
        nonce
    }

    /// Seals chunks from number `first` on. All but the last of a payload are whole. `out` has the length that
    /// [`Suite::sealed_len`] gives, without the empty last chunk where the payload goes on.
    pub(crate) fn seal(&self, first: u64, plain: &[u8], is_end: bool, out: &mut [u8], threads: usize) {
        let (chunk, piece) = (self.suite.chunk(), self.suite.chunk() + TAG);
        let count = out.len().div_ceil(piece);
        let share = share(count, chunk, threads);
        let seal_share = |start: usize, plain: &[u8], out: &mut [u8]| {
            // One chunk at a time, so that it is still near when it is encrypted.
            for (i, out) in out.chunks_mut(piece).enumerate() {
                let plain = &plain[i * chunk..plain.len().min((i + 1) * chunk)];
                out[..plain.len()].copy_from_slice(plain);
                self.seal_in_place(first + (start + i) as u64, out, is_end && start + i + 1 == count, 1);
            }
        };
        if share >= count {
            return seal_share(0, plain, out);
        }
        thread::scope(|scope| {
            for (i, out) in out.chunks_mut(share * piece).enumerate() {
                let (from, to) = (i * share * chunk, (i + 1) * share * chunk);
                let plain = &plain[from.min(plain.len())..to.min(plain.len())];
                scope.spawn(move || seal_share(i * share, plain, out));
            }
        });
    }

    /// As [`Stream::seal`], of plaintext that already stands where its chunks go, with room for a tag behind each.
    pub(crate) fn seal_in_place(&self, first: u64, pieces: &mut [u8], is_end: bool, threads: usize) {
        let piece = self.suite.chunk() + TAG;
        let count = pieces.len().div_ceil(piece);
        let share = share(count, self.suite.chunk(), threads);
        let seal_share = |start: usize, pieces: &mut [u8]| {
            for (i, sealed) in pieces.chunks_mut(piece).enumerate() {
                let (data, tag) = sealed.split_at_mut(sealed.len() - TAG);
                let nonce = self.nonce(first + (start + i) as u64, is_end && start + i + 1 == count);
                tag.copy_from_slice(&self.aead.seal(&nonce, &[], data));
            }
        };
        if share >= count {
            return seal_share(0, pieces);
        }
        thread::scope(|scope| {
            for (i, pieces) in pieces.chunks_mut(share * piece).enumerate() {
                scope.spawn(move || seal_share(i * share, pieces));
            }
        });
    }

    /// Opens one chunk where it stands; false when it was changed, and then nothing there is of use.
    pub(crate) fn open_in_place(&self, number: u64, piece: &mut [u8], is_last: bool) -> bool {
        let Some((data, tag)) = piece.split_last_chunk_mut::<TAG>() else { return false };
        self.aead.open(&self.nonce(number, is_last), &[], data, tag)
    }

    /// Opens chunks from number `first` on into `out`; the number of a chunk that was changed otherwise. Then `out` holds
    /// nothing of use.
    pub(crate) fn open(
        &self,
        first: u64,
        sealed: &[u8],
        is_end: bool,
        out: &mut [u8],
        threads: usize,
    ) -> Result<(), u64> {
        let (chunk, piece) = (self.suite.chunk(), self.suite.chunk() + TAG);
        let count = sealed.len().div_ceil(piece);
        let open = |number: usize, sealed: &[u8], out: &mut [u8]| {
            let Some((data, tag)) = sealed.split_last_chunk::<TAG>() else { return false };
            out.copy_from_slice(data);
            let nonce = self.nonce(first + number as u64, is_end && number + 1 == count);
            self.aead.open(&nonce, &[], out, tag)
        };
        let share = share(count, chunk, threads);
        let open_share = |start: usize, sealed: &[u8], out: &mut [u8]| {
            for (i, sealed) in sealed.chunks(piece).enumerate() {
                let until = out.len().min((i + 1) * chunk);
                if !open(start + i, sealed, &mut out[i * chunk..until]) {
                    return Err(first + (start + i) as u64);
                }
            }
            Ok(())
        };
        if share >= count {
            return open_share(0, sealed, out);
        }
        let mut rest = out;
        let results: Vec<Result<(), u64>> = thread::scope(|scope| {
            let workers: Vec<_> = sealed
                .chunks(share * piece)
                .enumerate()
                .map(|(i, sealed)| {
                    let (out, after) =
                        std::mem::take(&mut rest).split_at_mut((share * chunk).min(rest_len(sealed, piece)));
                    rest = after;
                    scope.spawn(move || open_share(i * share, sealed, out))
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or(Err(first))).collect()
        });
        results.into_iter().collect()
    }
}

/// Bytes of plaintext in chunks of this much ciphertext.
fn rest_len(sealed: &[u8], piece: usize) -> usize {
    sealed.len().saturating_sub(sealed.len().div_ceil(piece) * TAG)
}

/// How many chunks a thread takes: at least a quarter of a MiB, or starting it costs more than it saves.
fn share(count: usize, chunk: usize, threads: usize) -> usize {
    count.div_ceil(threads.max(1)).max((256 << 10) / chunk).max(1)
}

/// The threads that a machine runs at once.
pub(crate) fn all_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_length_has_one_sealed_length(plain in 0_u64..1 << 40, cut in 1_u64..80_000) {
            for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
                let sealed = suite.sealed_len(plain);
                prop_assert_eq!(suite.plain_len(sealed), Some(plain));
                if let Some(other) = sealed.checked_sub(cut).and_then(|sealed| suite.plain_len(sealed)) {
                    prop_assert!(other < plain);
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_byte() {
        for (suite, len) in [(Suite::ChaCha20Poly1305, 3 << 20), (Suite::Aes256Gcm, (3 << 20) + 5)] {
            let stream = Stream::new(suite, &[7; 32], [0; NONCE]);
            let plain: Vec<u8> = (0..len).map(|i: u32| (i % 251) as u8).collect();
            let sealed = |threads| {
                let mut out = vec![0; suite.sealed_len(plain.len() as u64) as usize];
                stream.seal(0, &plain, true, &mut out, threads);
                out
            };
            let one = sealed(1);
            for threads in [2, 3, 5, 64] {
                assert_eq!(sealed(threads), one);
                let mut out = vec![0; plain.len()];
                assert_eq!(stream.open(0, &one, true, &mut out, threads), Ok(()));
                assert_eq!(out, plain);
                let mut bad = one.clone();
                let piece = suite.chunk() + TAG;
                bad[37 * piece + 3] ^= 1;
                assert_eq!(stream.open(0, &bad, true, &mut out, threads), Err(37));
            }
        }
    }
}
