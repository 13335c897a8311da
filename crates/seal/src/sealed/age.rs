//! The payload of age v1 (<https://age-encryption.org/v1>): a key from HKDF-SHA-256 over file key and nonce, then chunks of
//! 64 KiB under ChaCha20-Poly1305 with a counter and a mark of the last one in the nonce (STREAM of Hoang, Reyhanitabar, Rogaway
//! and Vizár, "Online authenticated-encryption and its nonce-reuse misuse-resistance", 2015).

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::stream::{Stream, Suite};

pub(crate) const CHUNK: usize = 64 * 1024;
pub(crate) const PREFIX: usize = 16;
/// Of the key that age calls the file key.
pub(crate) const FILE_KEY: usize = 16;

pub(crate) fn stream(file_key: &[u8; FILE_KEY], nonce: &[u8; PREFIX]) -> Stream {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(nonce), file_key).expand(b"payload", &mut *key).expect("32 bytes are one block");
    Stream::new(Suite::ChaCha20Poly1305, &key, [0; 12])
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;
    use crate::hex::{decode, encode};

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        expect: String,
        file_key: String,
        /// Runs of `[hex, times]`.
        message: Vec<(String, usize)>,
        plaintext_sha256: Option<String>,
    }

    /// The plaintext, if the payload is whole.
    fn open(file_key: &[u8; FILE_KEY], message: &[u8]) -> Option<Vec<u8>> {
        let (nonce, chunks) = message.split_first_chunk::<PREFIX>()?;
        let mut out = vec![0; Suite::ChaCha20Poly1305.plain_len(chunks.len() as u64)? as usize];
        stream(file_key, nonce).open(0, chunks, true, &mut out, 2).ok().map(|()| out)
    }

    #[test]
    fn the_vectors_of_age_streams_agree() -> Result<(), serde_json::Error> {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/data/cctv-age-streams.json"))?;
        let mut opened = 0;
        for vector in &vectors {
            let key = decode(&vector.file_key).and_then(|key| key.try_into().ok()).expect("16 bytes");
            let runs = vector.message.iter().map(|(hex, times)| decode(hex).expect("hex").repeat(*times));
            let message = runs.collect::<Vec<_>>().concat();
            let plain = open(&key, &message);
            assert_eq!(plain.is_some(), vector.expect == "success", "{}", vector.name);
            let Some(plain) = plain else { continue };
            opened += 1;
            assert_eq!(Some(encode(&Sha256::digest(&plain))), vector.plaintext_sha256, "{}", vector.name);
            // The same nonce gives the same bytes.
            let nonce = message.first_chunk::<PREFIX>().expect("opened");
            let mut again = vec![0; message.len() - PREFIX];
            stream(&key, nonce).seal(0, &plain, true, &mut again, 2);
            assert!(again == message[PREFIX..], "{}", vector.name);
        }
        assert_eq!((vectors.len(), opened), (28, 8));
        Ok(())
    }
}
