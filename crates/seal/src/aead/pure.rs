use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

use super::{Algorithm, NONCE, TAG};

pub(crate) enum Cipher {
    Aes(Box<Aes256Gcm>),
    ChaCha(Box<ChaCha20Poly1305>),
}

impl Cipher {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8; 32]) -> Self {
        match algorithm {
            Algorithm::Aes256Gcm => Self::Aes(Box::new(Aes256Gcm::new(key.into()))),
            Algorithm::ChaCha20Poly1305 => Self::ChaCha(Box::new(ChaCha20Poly1305::new(key.into()))),
        }
    }

    pub(crate) fn seal(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8]) -> [u8; TAG] {
        let tag = match self {
            Self::Aes(cipher) => cipher.encrypt_inout_detached(nonce.into(), aad, data.into()),
            Self::ChaCha(cipher) => cipher.encrypt_inout_detached(nonce.into(), aad, data.into()),
        };
        tag.expect("a chunk is far below the limits of both ciphers").into()
    }

    pub(crate) fn open(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8], tag: &[u8; TAG]) -> bool {
        match self {
            Self::Aes(cipher) => cipher.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into()),
            Self::ChaCha(cipher) => cipher.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into()),
        }
        .is_ok()
    }
}
