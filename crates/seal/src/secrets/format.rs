//! The bytes of a secrets file: `docs/format/secrets-file.md`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tapeloom_core::Timestamp;
use zeroize::Zeroizing;

use super::secret::Secret;
use crate::aead::{Aead, Algorithm, NONCE, TAG};
use crate::hex;
use crate::keys::{Key, authenticate, random};
use crate::sealed::cobblestone::same;
use crate::sealed::recipient::{Entry, FileKey};
use crate::{Error, Result};

const FORMAT: &str = "tapeloom.secrets/1";
const PURPOSE: &[u8] = b"tapeloom secret v1";
const MAC_PURPOSE: &[u8] = b"tapeloom secrets v1";
/// Stands between the body and its MAC.
const MAC: &str = ",\"mac\":\"";
/// A secrets file holds some hundred bytes for each secret; a larger one is no secrets file.
pub(crate) const MAX_FILE: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    format: String,
    /// Grows with every change: a file of before shows by it.
    pub(crate) generation: u64,
    pub(crate) recipients: Vec<Entry>,
    pub(crate) secrets: Vec<Sealed>,
}

/// One version of one secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    /// Makes the entry's key one of a kind; hex, as `sealed`.
    salt: String,
    sealed: String,
}

impl Body {
    pub(crate) fn new(recipients: Vec<Entry>) -> Self {
        Self { format: FORMAT.into(), generation: 0, recipients, secrets: Vec::new() }
    }

    /// Binds the wrapped file key to this kind of file.
    pub(crate) fn fixed_hash() -> [u8; 32] {
        Sha256::digest(FORMAT).into()
    }

    /// Body and MAC out of a file; the MAC is not checked yet, for the key is in the body.
    pub(crate) fn parse(text: &str) -> Option<(Self, &str, [u8; 32])> {
        let at = text.rfind(MAC)?;
        let (body, tail) = text.split_at(at);
        let mac = hex::decode(tail[MAC.len()..].strip_suffix("\"}\n")?)?.try_into().ok()?;
        let parsed: Self = serde_json::from_str(&format!("{body}}}")).ok()?;
        (parsed.format == FORMAT && parsed.recipients.iter().all(Entry::is_sound)).then_some((parsed, body, mac))
    }

    pub(crate) fn is_authentic(body: &str, mac: &[u8; 32], key: &FileKey) -> bool {
        same(mac, &authenticate(&**key, &[MAC_PURPOSE, body.as_bytes()]))
    }

    pub(crate) fn to_text(&self, key: &FileKey) -> Result<String> {
        let json = serde_json::to_string(self).map_err(|e| Error::invalid("secrets", "a value", e.to_string()))?;
        let body = json.strip_suffix('}').unwrap_or(&json);
        let mac = authenticate(&**key, &[MAC_PURPOSE, body.as_bytes()]);
        Ok(format!("{body}{MAC}{}\"}}\n", hex::encode(&mac)))
    }
}

impl Sealed {
    pub(crate) fn new(
        key: &FileKey,
        name: &str,
        version: u32,
        created: Timestamp,
        expires: Option<Timestamp>,
        secret: &Secret,
    ) -> Result<Self> {
        let mut salt = [0; 32];
        random(&mut salt)?;
        let mut entry =
            Self { name: name.into(), version, created, expires, salt: hex::encode(&salt), sealed: String::new() };
        let mut data = Zeroizing::new(Vec::with_capacity(secret.expose().len() + TAG));
        data.extend_from_slice(secret.expose());
        // The key is this entry's alone, so the nonce can be any.
        let tag = aead(key, &salt).seal(&[0; NONCE], &entry.bound(), &mut data);
        data.extend_from_slice(&tag);
        entry.sealed = hex::encode(&data);
        Ok(entry)
    }

    pub(crate) fn open(&self, key: &FileKey) -> Option<Secret> {
        let (salt, mut data) = (hex::decode(&self.salt)?, Zeroizing::new(hex::decode(&self.sealed)?));
        let at = data.len().checked_sub(TAG)?;
        let (body, tag) = data.split_at_mut(at);
        let tag = <[u8; TAG]>::try_from(&*tag).ok()?;
        aead(key, &salt).open(&[0; NONCE], &self.bound(), body, &tag).then(|| Secret::new(&*body))
    }

    /// What can't be exchanged between entries.
    fn bound(&self) -> Vec<u8> {
        let expires = self.expires.map(|time| time.micros().to_le_bytes());
        let parts: [&[u8]; 4] = [
            self.name.as_bytes(),
            &self.version.to_le_bytes(),
            &self.created.micros().to_le_bytes(),
            expires.as_ref().map_or(&[], |bytes| &bytes[..]),
        ];
        parts.iter().flat_map(|part| [&(part.len() as u64).to_le_bytes()[..], part].concat()).collect()
    }
}

fn aead(key: &FileKey, salt: &[u8]) -> Aead {
    Aead::new(Algorithm::ChaCha20Poly1305, &Key::from_bytes(**key).derive(PURPOSE, salt))
}
