//! The payload of the ChaCha suite is one of age: put behind a header of age, that program reads it.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use curve25519_dalek::montgomery::MontgomeryPoint;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tapeloom_seal::{Key, Opener, Result, Sealer};

/// A header of age v1 that holds `file_key` for one X25519 recipient: <https://age-encryption.org/v1>.
fn header(file_key: &[u8; 16], recipient: &[u8; 32]) -> String {
    let ephemeral = *Key::generate().expect("random bytes").expose();
    let share = MontgomeryPoint::mul_base_clamped(ephemeral).to_bytes();
    let shared = MontgomeryPoint(*recipient).mul_clamped(ephemeral).to_bytes();
    let derive = |secret: &[u8], salt: &[u8], info: &[u8]| {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut key).expect("one block");
        key
    };
    let wrapping = derive(&shared, &[share, *recipient].concat(), b"age-encryption.org/v1/X25519");
    let body = ChaCha20Poly1305::new(&wrapping.into()).encrypt(&Nonce::default(), &file_key[..]).expect("sealed");
    let text = format!(
        "age-encryption.org/v1\n-> X25519 {}\n{}\n---",
        STANDARD_NO_PAD.encode(share),
        STANDARD_NO_PAD.encode(body)
    );
    let mac_key = derive(file_key, &[], b"header");
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&mac_key).expect("any length");
    mac.update(text.as_bytes());
    format!("{text} {}\n", STANDARD_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The 32 bytes of an `age1...` recipient: bech32 (BIP 173) without its check, for the program wrote it.
fn recipient(text: &str) -> [u8; 32] {
    const DIGITS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let data = &text.strip_prefix("age1").expect("a recipient")[..52];
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in data.chars().map(|c| DIGITS.find(c).expect("a digit of bech32")) {
        bits = bits << 5 | digit as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes.try_into().expect("32 bytes")
}

#[test]
#[ignore = "needs the programs age and age-keygen: cargo xtask ci age"]
fn the_program_age_reads_the_payload() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let made = Command::new("age-keygen").arg("-o").arg(path("identity")).output().expect("age-keygen runs");
    assert!(made.status.success());
    let public = Command::new("age-keygen").arg("-y").arg(path("identity")).output().expect("age-keygen runs");
    let recipient = recipient(String::from_utf8_lossy(&public.stdout).trim());
    let key = Key::generate()?;
    for len in [0, 1, 65_535, 65_536, 65_537, 300_000] {
        let plain: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let sealed = Sealer::new(key.clone()).seal("x", &plain)?;
        let file_key = Opener::new(key.clone()).age_file_key("x", &sealed)?;
        let payload = sealed.len() - 16 - len - 16 * len.div_ceil(65_536).max(1);
        fs::write(path("file.age"), [header(&file_key, &recipient).as_bytes(), &sealed[payload..]].concat())
            .expect("written");
        let read = Command::new("age")
            .arg("-d")
            .arg("-i")
            .arg(path("identity"))
            .arg(path("file.age"))
            .output()
            .expect("age runs");
        assert!(read.status.success(), "{len}: {}", String::from_utf8_lossy(&read.stderr));
        assert!(read.stdout == plain, "{len}");
    }
    Ok(())
}
