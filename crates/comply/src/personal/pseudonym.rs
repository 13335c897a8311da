use aes_siv::aead::{Aead, KeyInit, Payload};
use aes_siv::{Aes256SivAead, Nonce};
use tapeloom_seal::Key;

use crate::{Error, Result};

/// Hex digits of a pseudonym: 128 bits, so that two persons of any population don't share one.
const DIGITS: usize = 32;

/// Replaces identifiers by pseudonyms under a key of one tenant and purpose.
///
/// Pseudonymised data stay personal data (Regulation (EU) 2016/679 art. 4(5)) for whoever has the key or can get it. Keep it apart
/// from the data; another key makes other pseudonyms, which cuts the link to those of before. What must not be traced back by
/// anybody is to be anonymised: see [`Plan`](crate::Plan).
#[derive(Clone, Debug)]
pub struct Pseudonymizer {
    keyed: Key,
    reversible: Key,
}

impl Pseudonymizer {
    /// Pseudonyms of one tenant and purpose: those of another can't be linked with them.
    #[must_use]
    pub fn new(key: &Key, tenant: &str, purpose: &str) -> Self {
        let domain = key.tenant(tenant).purpose(purpose);
        Self { keyed: domain.purpose("pseudonym"), reversible: domain.purpose("reversible pseudonym") }
    }

    /// The same for the same value of the same field, and of no use without the key: HMAC-SHA-256, shortened to 128 bits.
    #[must_use]
    pub fn pseudonym(&self, field: &str, value: &str) -> String {
        let mac = self.keyed.authenticate(&[field.as_bytes(), value.as_bytes()]);
        mac[..DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As [`Pseudonymizer::pseudonym`], but the key finds the value again: AES-256-SIV (RFC 5297), bound to the field.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value of over a MiB.
    pub fn reversible(&self, field: &str, value: &str) -> Result<String> {
        if value.len() > 1 << 20 {
            return Err(Error::invalid("value", format!("{} bytes", value.len()), "an identifier has less than a MiB"));
        }
        let payload = Payload { msg: value.as_bytes(), aad: field.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::default(), payload);
        let sealed = sealed.map_err(|_| Error::invalid("value", "[REDACTED]", "it could not be encrypted"))?;
        Ok(sealed.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The value of a reversible pseudonym.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one of another key or field, or one that was changed.
    pub fn reveal(&self, field: &str, pseudonym: &str) -> Result<String> {
        let bad = || {
            Error::invalid(
                "pseudonym",
                format!("{} digits", pseudonym.len()),
                "it is of another key or field, or was changed",
            )
        };
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let is_hex = pseudonym.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && pseudonym.len().is_multiple_of(2);
        let sealed: Option<Vec<u8>> = pseudonym.as_bytes().chunks(2).map(pair).collect();
        let sealed = sealed.filter(|_| is_hex).ok_or_else(bad)?;
        let payload = Payload { msg: &sealed, aad: field.as_bytes() };
        let value = self.cipher().decrypt(&Nonce::default(), payload).map_err(|_| bad())?;
        String::from_utf8(value).map_err(|_| bad())
    }

    fn cipher(&self) -> Aes256SivAead {
        let (first, second) = (self.reversible.purpose("siv mac"), self.reversible.purpose("siv encryption"));
        let mut key = [0; 64];
        key[..32].copy_from_slice(first.expose());
        key[32..].copy_from_slice(second.expose());
        let cipher = Aes256SivAead::new(&key.into());
        key.fill(0);
        std::hint::black_box(&key);
        cipher
    }
}
