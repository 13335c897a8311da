//! Chunked authenticated encryption: Cobblestone-256 of <https://c2sp.org/chunked-encryption> (HKDF-Expand with SHA-512,
//! AES-256-GCM, chunks of 16 KiB of which the last is always shorter).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::stream::{Stream, Suite};
use crate::aead::TAG;

pub(crate) const CHUNK: usize = 16 * 1024;
pub(crate) const SALT: usize = 24;
const COMMITMENT: usize = 32;
/// Salt and commitment.
pub(crate) const PREFIX: usize = SALT + COMMITMENT;
const INFO: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// The keys of a new payload, and what stands in front of it. The salt must not come twice under one key.
pub(crate) fn begin(key: &[u8; 32], salt: [u8; SALT], context: &[u8]) -> (Stream, [u8; PREFIX]) {
    let (stream, commitment) = derive(key, &salt, context);
    let mut prefix = [0; PREFIX];
    prefix[..SALT].copy_from_slice(&salt);
    prefix[SALT..].copy_from_slice(&commitment);
    (stream, prefix)
}

/// The keys of a payload that begins with `prefix`, if it was sealed under this key and context.
pub(crate) fn resume(key: &[u8; 32], prefix: &[u8; PREFIX], context: &[u8]) -> Option<Stream> {
    let (salt, commitment) = prefix.split_at(SALT);
    let (stream, derived) = derive(key, salt, context);
    same(commitment, &derived).then_some(stream)
}

/// `HKDF-Expand(key, info, 76)` by hand: the usual crates refuse a key shorter than the hash.
fn derive(key: &[u8; 32], salt: &[u8], context: &[u8]) -> (Stream, [u8; COMMITMENT]) {
    let block = |before: &[u8], counter: u8| -> Zeroizing<[u8; 64]> {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        [before, INFO, salt, context, &[counter]].iter().for_each(|part| mac.update(part));
        Zeroizing::new(mac.finalize().into_bytes().into())
    };
    let first = block(&[], 1);
    let second = block(&*first, 2);
    let mut cipher_key = Zeroizing::new([0; 32]);
    cipher_key.copy_from_slice(&first[..32]);
    let (mut base_nonce, mut commitment) = ([0; 12], [0; COMMITMENT]);
    base_nonce.copy_from_slice(&first[32..44]);
    commitment[..20].copy_from_slice(&first[44..]);
    commitment[20..].copy_from_slice(&second[..12]);
    (Stream::new(Suite::Aes256Gcm, &cipher_key, base_nonce), commitment)
}

/// Bytes of a message around a plaintext of `len`.
pub(crate) const fn sealed_len(len: usize) -> usize {
    PREFIX + len + (len / CHUNK + 1) * TAG
}

/// A whole message.
pub(crate) fn encrypt(key: &[u8; 32], salt: [u8; SALT], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (stream, prefix) = begin(key, salt, context);
    let mut out = vec![0; sealed_len(plaintext.len())];
    let (front, chunks) = out.split_at_mut(PREFIX);
    front.copy_from_slice(&prefix);
    stream.seal(0, plaintext, true, chunks, 1);
    out
}

/// The whole plaintext, if every byte is what was sealed under this key and context; else which check failed.
pub(crate) fn decrypt(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
    let cut_short = || "the payload is cut short".to_owned();
    let (prefix, chunks) = sealed.split_first_chunk::<PREFIX>().ok_or_else(cut_short)?;
    let length = Suite::Aes256Gcm.plain_len(chunks.len() as u64).ok_or_else(cut_short)?;
    let stream =
        resume(key, prefix, context).ok_or("the payload belongs to another key or name, or its start was changed")?;
    let mut out = vec![0; length as usize];
    stream.open(0, chunks, true, &mut out, 1).map_err(|chunk| format!("chunk {chunk} was changed"))?;
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
        let out = encrypt(key, salt, context, plaintext);
        assert_eq!(out.len(), sealed_len(plaintext.len()));
        out
    }

    /// Sealed by another implementation (pyca/cryptography 50.0.2, `Cobblestone256Encryptor`) under this key and context.
    #[test]
    fn messages_of_another_implementation_open() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let want = |len: usize| -> Vec<u8> { (0..len).map(|i| (i * 7 % 256) as u8).collect() };
        for (message, len) in [
            (&include_bytes!("../../tests/data/cobblestone256-0.bin")[..], 0),
            (&include_bytes!("../../tests/data/cobblestone256-11.bin")[..], 11),
            (&include_bytes!("../../tests/data/cobblestone256-16384.bin")[..], 16384),
            (&include_bytes!("../../tests/data/cobblestone256-20000.bin")[..], 20000),
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
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../tests/data/wycheproof-cobblestone256.json"))?;
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
