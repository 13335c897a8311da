//! How the file's own key is wrapped for those who may open the file.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cobblestone;
use crate::hex;
use crate::keys::{KDF_SALT, Kdf, KdfLimits, Key, Passphrase, is_id, random};
use crate::{Error, Result};

const WRAP_PURPOSE: &[u8] = b"tapeloom wrap v2";
const CONTEXT: &[u8] = b"tapeloom file key v2";
/// Of a wrapping key made from a key, so that no number of files wears a key out.
const SALT: usize = 32;
/// The file key as a Cobblestone-256 message.
const WRAPPED: usize = cobblestone::sealed_len(32);

/// The secret that a file's payload hangs on: 32 random bytes for this file alone.
pub(crate) type FileKey = Zeroizing<[u8; 32]>;

/// Somebody who may open a sealed file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Recipient {
    /// Whoever holds this key.
    Key(Key),
    /// Whoever knows this passphrase.
    Passphrase(Passphrase, Kdf),
}

impl From<Key> for Recipient {
    fn from(key: Key) -> Self {
        Self::Key(key)
    }
}

impl From<Passphrase> for Recipient {
    fn from(passphrase: Passphrase) -> Self {
        Self::Passphrase(passphrase, Kdf::default())
    }
}

/// A recipient's entry in the header.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Entry {
    Key {
        id: String,
        /// Hex, as all that follows.
        salt: String,
        wrapped: String,
    },
    Passphrase {
        kdf: Kdf,
        salt: String,
        wrapped: String,
    },
}

impl Recipient {
    /// Wraps a file key; `fixed` is the hash of the header's fixed part, so that an entry can't be moved to another file.
    pub(crate) fn wrap(&self, file_key: &FileKey, fixed: &[u8; 32]) -> Result<Entry> {
        let mut nonce = [0; cobblestone::SALT];
        random(&mut nonce)?;
        let wrap = |key: &[u8; 32]| hex::encode(&cobblestone::encrypt(key, nonce, &context(fixed), &**file_key));
        match self {
            Self::Key(key) => {
                let mut salt = [0; SALT];
                random(&mut salt)?;
                let wrapped = wrap(&key.derive(WRAP_PURPOSE, &salt));
                Ok(Entry::Key { id: key.id(), salt: hex::encode(&salt), wrapped })
            }
            Self::Passphrase(passphrase, kdf) => {
                if let Some(weakness) = kdf.weakness() {
                    return Err(Error::invalid(
                        "kdf",
                        format!("{kdf:?}"),
                        format!("new files need a stronger one: {weakness}"),
                    ));
                }
                let mut salt = [0; KDF_SALT];
                random(&mut salt)?;
                let key = kdf.derive(passphrase, &salt, &KdfLimits::default())?;
                let wrapped = wrap(&key);
                Ok(Entry::Passphrase { kdf: *kdf, salt: hex::encode(&salt), wrapped })
            }
        }
    }
}

impl Entry {
    pub(crate) fn is_sound(&self) -> bool {
        let is_hex = |text: &str, length: usize| text.len() == 2 * length && hex::decode(text).is_some();
        match self {
            Self::Key { id, salt, wrapped } => is_id(id) && is_hex(salt, SALT) && is_hex(wrapped, WRAPPED),
            Self::Passphrase { salt, wrapped, .. } => is_hex(salt, KDF_SALT) && is_hex(wrapped, WRAPPED),
        }
    }

    /// Names it without a secret.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Key { id, .. } => format!("key {id}"),
            Self::Passphrase { .. } => "a passphrase".into(),
        }
    }

    /// The file key, where `key` is the one that this entry names; none for another entry.
    pub(crate) fn unwrap_with_key(&self, key: &Key, fixed: &[u8; 32]) -> Option<Option<FileKey>> {
        let Self::Key { id, salt, wrapped } = self else { return None };
        (*id == key.id()).then(|| unwrap(&key.derive(WRAP_PURPOSE, &hex::decode(salt)?), wrapped, fixed))
    }

    pub(crate) fn unwrap_with_passphrase(
        &self,
        passphrase: &Passphrase,
        fixed: &[u8; 32],
        limits: &KdfLimits,
    ) -> Result<Option<(FileKey, Kdf)>> {
        let Self::Passphrase { kdf, salt, wrapped } = self else { return Ok(None) };
        let salt = hex::decode(salt).unwrap_or_default();
        let key = kdf.derive(passphrase, &salt, limits)?;
        Ok(unwrap(&key, wrapped, fixed).map(|file_key| (file_key, *kdf)))
    }
}

fn unwrap(key: &[u8; 32], wrapped: &str, fixed: &[u8; 32]) -> Option<FileKey> {
    let plain = cobblestone::decrypt(key, &context(fixed), &hex::decode(wrapped)?).map(Zeroizing::new).ok()?;
    let mut file_key = FileKey::default();
    (plain.len() == file_key.len()).then(|| file_key.copy_from_slice(&plain))?;
    Some(file_key)
}

fn context(fixed: &[u8; 32]) -> Vec<u8> {
    [CONTEXT, fixed].concat()
}
