//! Chunked authenticated encryption: Cobblestone-256 of <https://c2sp.org/chunked-encryption> (HKDF-Expand with SHA-512,
//! AES-256-GCM, chunks of 16 KiB of which the last is always shorter).

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

pub(crate) const SALT: usize = 24;
const COMMITMENT: usize = 32;
const CHUNK: usize = 16 * 1024;
const TAG: usize = 16;
const INFO: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

struct Derived {
    cipher: Aes256Gcm,
    base_nonce: [u8; 12],
    commitment: [u8; COMMITMENT],
}

/// `HKDF-Expand(key, info, 76)` by hand: the usual crates refuse a key shorter than the hash.
fn derive(key: &[u8; 32], salt: &[u8], context: &[u8]) -> Derived {
    let block = |before: &[u8], counter: u8| -> Zeroizing<[u8; 64]> {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        [before, INFO, salt, context, &[counter]].iter().for_each(|part| mac.update(part));
        Zeroizing::new(mac.finalize().into_bytes().into())
    };
    let first = block(&[], 1);
    let second = block(&*first, 2);
    let mut okm = Zeroizing::new([0_u8; 128]);
    okm[..64].copy_from_slice(&*first);
    okm[64..].copy_from_slice(&*second);
    let mut derived = Derived {
        cipher: Aes256Gcm::new_from_slice(&okm[..32]).expect("32 bytes are a key"),
        base_nonce: [0; 12],
        commitment: [0; COMMITMENT],
    };
    derived.base_nonce.copy_from_slice(&okm[32..44]);
    derived.commitment.copy_from_slice(&okm[44..76]);
    derived
}

impl Derived {
    fn nonce(&self, chunk: u64) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = self.base_nonce;
        nonce[4..].iter_mut().zip(chunk.to_be_bytes()).for_each(|(n, c)| *n ^= c);
        nonce.into()
    }
}

/// Bytes of a message around a plaintext of `len`.
pub(crate) const fn sealed_len(len: usize) -> usize {
    SALT + COMMITMENT + len + (len / CHUNK + 1) * TAG
}

/// Appends salt, commitment and sealed chunks to `out`. The salt must not come twice under one key.
pub(crate) fn encrypt(key: &[u8; 32], salt: [u8; SALT], context: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
    let derived = derive(key, &salt, context);
    out.reserve_exact(sealed_len(plaintext.len()));
    out.extend_from_slice(&salt);
    out.extend_from_slice(&derived.commitment);
    // A plaintext of whole chunks ends with an empty one: the last is always short.
    let last = &plaintext[plaintext.len() / CHUNK * CHUNK..];
    for (number, chunk) in (0..).zip(plaintext.chunks_exact(CHUNK).chain([last])) {
        let start = out.len();
        out.extend_from_slice(chunk);
        let tag = derived.cipher.encrypt_inout_detached(&derived.nonce(number), &[], (&mut out[start..]).into());
        out.extend_from_slice(&tag.expect("a chunk is far below the limit of AES-GCM"));
    }
}

/// The whole plaintext, if every byte is what was sealed under this key and context; else which check failed.
pub(crate) fn decrypt(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
    if sealed.len() < SALT + COMMITMENT + TAG {
        return Err("the payload is cut short".into());
    }
    let (salt, rest) = sealed.split_at(SALT);
    let (commitment, chunks) = rest.split_at(COMMITMENT);
    let derived = derive(key, salt, context);
    if !same(commitment, &derived.commitment) {
        return Err("the payload belongs to another key or name, or its start was changed".into());
    }
    let mut out = Vec::with_capacity(chunks.len());
    let mut pieces = chunks.chunks(CHUNK + TAG).peekable();
    let mut number = 0;
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        if piece.len() < TAG || is_last && piece.len() == CHUNK + TAG {
            return Err("the payload is cut short".into());
        }
        let (body, tag) = piece.split_at(piece.len() - TAG);
        let tag = Tag::try_from(tag).map_err(|_| "the payload is cut short".to_owned())?;
        let start = out.len();
        out.extend_from_slice(body);
        let opened =
            derived.cipher.decrypt_inout_detached(&derived.nonce(number), &[], (&mut out[start..]).into(), &tag);
        opened.map_err(|_| format!("chunk {number} was changed"))?;
        number += 1;
    }
    Ok(out)
}

/// Compares in constant time.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y));
    // Opaque, or the optimiser might leave the loop at the first difference.
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;
    use crate::hex::{decode, encode};

    fn sealed(key: &[u8; 32], salt: [u8; SALT], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encrypt(key, salt, context, plaintext, &mut out);
        assert_eq!(out.len(), sealed_len(plaintext.len()));
        out
    }

    /// Sealed by another implementation (pyca/cryptography 50.0.2, `Cobblestone256Encryptor`) under this key and context.
    #[test]
    fn messages_of_another_implementation_open() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let want = |len: usize| -> Vec<u8> { (0..len).map(|i| (i * 7 % 256) as u8).collect() };
        for (message, len) in [
            (&include_bytes!("../tests/data/cobblestone256-0.bin")[..], 0),
            (&include_bytes!("../tests/data/cobblestone256-11.bin")[..], 11),
            (&include_bytes!("../tests/data/cobblestone256-16384.bin")[..], 16384),
            (&include_bytes!("../tests/data/cobblestone256-20000.bin")[..], 20000),
        ] {
            assert!(decrypt(&key, b"tapeloom test", message).is_ok_and(|plain| plain == want(len)), "{len} bytes");
            assert!(decrypt(&key, b"other", message).is_err());
            // The same salt gives the same bytes, so the two implementations agree in both directions.
            let salt = message[..SALT].try_into().expect("24 bytes");
            assert_eq!(sealed(&key, salt, b"tapeloom test", &want(len)), message);
        }
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        id: u32,
        comment: String,
        key: String,
        context: String,
        /// Runs of `[hex, times]`: the long messages hold long repeats.
        message: Vec<(String, usize)>,
        valid: bool,
        plaintext_len: Option<usize>,
        plaintext_sha512: Option<String>,
        flags: Vec<String>,
    }

    impl Vector {
        fn message(&self) -> Vec<u8> {
            let runs = self.message.iter().map(|(hex, times)| decode(hex).expect("hex").repeat(*times));
            runs.collect::<Vec<_>>().concat()
        }
    }

    #[test]
    fn wycheproof_agrees_on_what_opens() -> Result<(), serde_json::Error> {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../tests/data/wycheproof-cobblestone256.json"))?;
        let (mut opened, mut refused) = (0, 0);
        for vector in &vectors {
            let Ok(key) = <[u8; 32]>::try_from(decode(&vector.key).expect("hex")) else {
                // The type of the key refuses these two.
                assert_eq!(vector.flags, ["InvalidKeySize", "HeaderFailure"]);
                continue;
            };
            let (message, context) = (vector.message(), decode(&vector.context).expect("hex"));
            let result = decrypt(&key, &context, &message);
            assert_eq!(result.is_ok(), vector.valid, "{}: {}", vector.id, vector.comment);
            let Ok(plaintext) = result else {
                refused += 1;
                continue;
            };
            opened += 1;
            assert_eq!(Some(plaintext.len()), vector.plaintext_len, "{}", vector.id);
            assert_eq!(Some(encode(&Sha512::digest(&plaintext))), vector.plaintext_sha512, "{}", vector.id);
            let salt = message[..SALT].try_into().expect("24 bytes");
            assert_eq!(sealed(&key, salt, &context, &plaintext), message, "{}", vector.id);
        }
        assert_eq!((vectors.len(), opened, refused), (35, 10, 23));
        Ok(())
    }
}
