use zeroize::Zeroizing;

use crate::keys::{Key, Passphrase};
use crate::{Error, Result, hex};

/// A password, token or key. Wiped from memory when dropped, never shown, and not to be serialised.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; what the caller copied from is the caller's to wipe.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for as short as possible.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text, for as short as possible.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bytes that are no UTF-8.
    pub fn expose_text(&self) -> Result<&str> {
        let no_text = || Error::invalid("secret", "[REDACTED]", "it is no UTF-8: use expose");
        std::str::from_utf8(&self.0).map_err(|_| no_text())
    }

    /// The key that it holds: 32 bytes, or 64 hex digits.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn to_key(&self) -> Result<Key> {
        if let Ok(bytes) = <[u8; 32]>::try_from(self.expose()) {
            return Ok(Key::from_bytes(bytes));
        }
        let decoded = std::str::from_utf8(self.0.trim_ascii()).ok().and_then(hex::decode).map(Zeroizing::new);
        let bytes = decoded.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok());
        bytes
            .map(Key::from_bytes)
            .ok_or_else(|| Error::invalid("secret", "[REDACTED]", "a key has 32 bytes or 64 hex digits"))
    }

    /// The passphrase that it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty one.
    pub fn to_passphrase(&self) -> Result<Passphrase> {
        Passphrase::new(self.expose())
    }
}

impl From<&Key> for Secret {
    fn from(key: &Key) -> Self {
        Self::new(key.expose().to_vec())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}
