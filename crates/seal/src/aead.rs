//! The two ciphers of this crate, over one backend: pure Rust, or `ring` with the feature of that name. The bytes are the same.

#[cfg(feature = "ring")]
mod fast;
#[cfg(any(not(feature = "ring"), test))]
mod pure;

#[cfg(feature = "ring")]
use fast as backend;
#[cfg(not(feature = "ring"))]
use pure as backend;

pub(crate) const TAG: usize = 16;
pub(crate) const NONCE: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Aes256Gcm,
    ChaCha20Poly1305,
}

/// A cipher under one key. A nonce must not come twice.
pub(crate) struct Aead(backend::Cipher);

impl Aead {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8; 32]) -> Self {
        Self(backend::Cipher::new(algorithm, key))
    }

    /// Encrypts in place and gives the tag.
    pub(crate) fn seal(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8]) -> [u8; TAG] {
        self.0.seal(nonce, aad, data)
    }

    /// Decrypts in place; false, with `data` of no use, when anything differs from what was sealed.
    #[must_use]
    pub(crate) fn open(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8], tag: &[u8; TAG]) -> bool {
        self.0.open(nonce, aad, data, tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::decode;

    #[derive(serde::Deserialize)]
    struct Vector {
        id: u32,
        key: String,
        nonce: String,
        aad: String,
        plain: String,
        sealed: String,
        valid: bool,
    }

    fn run(algorithm: Algorithm, json: &str) -> (usize, usize) {
        let vectors: Vec<Vector> = serde_json::from_str(json).expect("vectors");
        let mut opened = 0;
        for vector in &vectors {
            let bytes = |hex: &str| decode(hex).expect("hex");
            let key: [u8; 32] = bytes(&vector.key).try_into().expect("32 bytes");
            let nonce: [u8; NONCE] = bytes(&vector.nonce).try_into().expect("12 bytes");
            let (aad, plain, sealed) = (bytes(&vector.aad), bytes(&vector.plain), bytes(&vector.sealed));
            let (body, tag) = sealed.split_last_chunk::<TAG>().expect("a tag");
            let check = |open: &dyn Fn(&mut [u8]) -> bool, seal: &dyn Fn(&mut [u8]) -> [u8; TAG]| {
                let mut data = body.to_vec();
                assert_eq!(open(&mut data), vector.valid, "{algorithm:?} {}", vector.id);
                if vector.valid {
                    assert_eq!(data, plain, "{algorithm:?} {}", vector.id);
                    assert_eq!((&seal(&mut data), &data[..]), (tag, body), "{algorithm:?} {}", vector.id);
                }
            };
            let cipher = Aead::new(algorithm, &key);
            check(&|data| cipher.open(&nonce, &aad, data, tag), &|data| cipher.seal(&nonce, &aad, data));
            // With the feature both backends run, so that the two can't drift apart.
            let cipher = pure::Cipher::new(algorithm, &key);
            check(&|data| cipher.open(&nonce, &aad, data, tag), &|data| cipher.seal(&nonce, &aad, data));
            opened += usize::from(vector.valid);
        }
        (vectors.len(), opened)
    }

    #[test]
    fn wycheproof_agrees_on_both_ciphers() {
        let aes = include_str!("../tests/data/wycheproof-aes256gcm.json");
        assert_eq!(run(Algorithm::Aes256Gcm, aes), (66, 39));
        let chacha = include_str!("../tests/data/wycheproof-chacha20poly1305.json");
        assert_eq!(run(Algorithm::ChaCha20Poly1305, chacha), (316, 256));
    }
}
