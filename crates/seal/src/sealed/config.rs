use serde::{Deserialize, Serialize};

use super::recipient::Recipient;
use super::sealer::Sealer;
use super::stream::Suite;
use crate::keys::{Kdf, Key, Passphrase};
use crate::{Error, Result};

/// How passphrases become keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KeyDerivation {
    /// Argon2id at its default cost.
    #[default]
    #[serde(rename = "argon2id", alias = "Argon2id")]
    Argon2id,
    /// PBKDF2-HMAC-SHA-256.
    #[serde(rename = "pbkdf2", alias = "PBKDF2")]
    Pbkdf2,
}

/// Encryption as a host's config file says it. Values that are too weak are accepted as spelt and replaced by sound ones;
/// [`SealConfig::check`] says which and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SealConfig {
    /// `chacha20poly1305` (the default) or `AES-256-GCM`.
    pub encryption_algorithm: Suite,
    /// `argon2id` (the default) or `PBKDF2`.
    pub key_derivation_algorithm: KeyDerivation,
    /// Bytes of a key; 32 and no other.
    pub key_length: u32,
    /// Bytes of a passphrase's salt; 16 and no other.
    pub salt_length: u32,
    /// Rounds of PBKDF2. Fewer than 600,000 are raised to that.
    pub iterations: u32,
}

impl Default for SealConfig {
    fn default() -> Self {
        Self {
            encryption_algorithm: Suite::default(),
            key_derivation_algorithm: KeyDerivation::default(),
            key_length: 32,
            salt_length: 16,
            iterations: crate::keys::PBKDF2_ITERATIONS,
        }
    }
}

impl SealConfig {
    /// What is done otherwise than it is spelt, and why.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let weakness = Kdf::Pbkdf2 { iterations: self.iterations }.weakness();
        let is_used = self.key_derivation_algorithm == KeyDerivation::Pbkdf2;
        let raised = weakness.filter(|_| is_used).map(|weakness| {
            let least = crate::keys::PBKDF2_ITERATIONS;
            format!(
                "iterations = {}: new files are written with {least}, files of before are read ({weakness})",
                self.iterations
            )
        });
        raised.into_iter().collect()
    }

    /// Seals for a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another length of key or salt.
    pub fn sealer(&self, key: Key) -> Result<Sealer> {
        self.lengths()?;
        Ok(Sealer::new(key).suite(self.encryption_algorithm))
    }

    /// Seals for a passphrase.
    ///
    /// # Errors
    /// As [`SealConfig::sealer`].
    pub fn passphrase_sealer(&self, passphrase: Passphrase) -> Result<Sealer> {
        self.lengths()?;
        let kdf = match self.key_derivation_algorithm {
            KeyDerivation::Argon2id => Kdf::default(),
            KeyDerivation::Pbkdf2 => Kdf::Pbkdf2 { iterations: self.iterations.max(crate::keys::PBKDF2_ITERATIONS) },
        };
        Ok(Sealer::new(Recipient::Passphrase(passphrase, kdf)).suite(self.encryption_algorithm))
    }

    fn lengths(&self) -> Result<()> {
        for (field, value, needed) in [("key_length", self.key_length, 32), ("salt_length", self.salt_length, 16)] {
            if value != needed {
                return Err(Error::invalid(
                    field,
                    value,
                    format!("the file format has {needed} bytes: write {needed}"),
                ));
            }
        }
        Ok(())
    }
}
