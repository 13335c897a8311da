//! The header of a sealed file: what stays for its life, and who may open it.

use std::io::Read;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tapeloom_core::Timestamp;

use super::age;
use super::cobblestone::{self, same};
use super::recipient::{Entry, FileKey, Recipient};
use super::stream::{Stream, Suite};
use crate::keys::{authenticate, random};
use crate::{Error, Result};

pub(crate) const MAGIC: &[u8; 8] = b"TLSEAL02";
const MAC: usize = 32;
const MAC_PURPOSE: &[u8] = b"tapeloom header v2";
const AGE_PURPOSE: &[u8] = b"tapeloom age file key v2";
/// A header holds some hundred bytes for itself and for each recipient; more is an attack or damage.
const MAX_FIXED: usize = 2048;
const MAX_WRAP: usize = 16 << 10;
const MAX_RECIPIENTS: usize = 32;
/// Each costs the work of a key derivation.
const MAX_PASSPHRASES: usize = 4;

/// What a file says of itself to anyone, and what can't be changed without its payload becoming unreadable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// How the payload is encrypted.
    pub suite: Suite,
    /// Whose it is. An [`Opener`](crate::Opener) opens files of its own tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it is for, such as `checkpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// What the plaintext is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// When it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// What a header says. Nothing of it is proven before the file is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SealedInfo {
    /// The fixed part.
    pub label: Label,
    /// Who may open it: `key 0123456789abcdef` or `a passphrase`.
    pub recipients: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrap {
    recipients: Vec<Entry>,
}

pub(crate) struct Header {
    pub(crate) label: Label,
    pub(crate) entries: Vec<Entry>,
    /// From the magic to the end of the fixed part.
    fixed: Vec<u8>,
    /// All that the MAC covers, the fixed part included.
    covered: Vec<u8>,
    mac: [u8; MAC],
}

impl Header {
    /// A header for `file_key`, wrapped for each recipient.
    pub(crate) fn new(name: &str, label: &Label, file_key: &FileKey, recipients: &[Recipient]) -> Result<Self> {
        let mut fixed = MAGIC.to_vec();
        put_part(&mut fixed, name, label, MAX_FIXED)?;
        Self::wrapped(name, label.clone(), fixed, file_key, recipients)
    }

    /// The same file for other recipients: the payload fits both headers.
    pub(crate) fn rewrapped(&self, name: &str, file_key: &FileKey, recipients: &[Recipient]) -> Result<Self> {
        Self::wrapped(name, self.label.clone(), self.fixed.clone(), file_key, recipients)
    }

    fn wrapped(name: &str, label: Label, fixed: Vec<u8>, file_key: &FileKey, to: &[Recipient]) -> Result<Self> {
        let passphrases = to.iter().filter(|recipient| matches!(recipient, Recipient::Passphrase(..))).count();
        if to.is_empty() || to.len() > MAX_RECIPIENTS || passphrases > MAX_PASSPHRASES {
            let remedy =
                format!("a file has 1 to {MAX_RECIPIENTS} recipients, at most {MAX_PASSPHRASES} of them passphrases");
            return Err(Error::invalid("recipients", to.len(), remedy));
        }
        let hash = Sha256::digest(&fixed).into();
        let entries = to.iter().map(|recipient| recipient.wrap(file_key, &hash)).collect::<Result<Vec<_>>>()?;
        let mut covered = fixed.clone();
        put_part(&mut covered, name, &Wrap { recipients: entries.clone() }, MAX_WRAP)?;
        let mac = authenticate(&**file_key, &[MAC_PURPOSE, &covered]);
        Ok(Self { label, entries, fixed, covered, mac })
    }

    /// Reads a header and leaves `bytes` at the payload.
    pub(crate) fn read(name: &str, mut bytes: impl Read) -> Result<Self> {
        let damaged = |detail: &str| Error::damaged(name, detail);
        let cut = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("its header is cut short"),
            _ => Error::io("read", name, error),
        };
        let mut covered = vec![0; MAGIC.len()];
        bytes.read_exact(&mut covered).map_err(cut)?;
        if covered != MAGIC {
            return Err(damaged("it is no sealed file of a known version"));
        }
        let mut part = |covered: &mut Vec<u8>, most: usize| -> Result<Vec<u8>> {
            let mut length = [0; 4];
            bytes.read_exact(&mut length).map_err(cut)?;
            covered.extend_from_slice(&length);
            let length = u32::from_le_bytes(length) as usize;
            if length > most {
                return Err(damaged("its header is unreadable"));
            }
            let mut json = vec![0; length];
            bytes.read_exact(&mut json).map_err(cut)?;
            covered.extend_from_slice(&json);
            Ok(json)
        };
        let unreadable = |_| damaged("its header is unreadable");
        let json = part(&mut covered, MAX_FIXED)?;
        let label = serde_json::from_slice::<Label>(&json).map_err(unreadable)?;
        let fixed = covered.clone();
        let json = part(&mut covered, MAX_WRAP)?;
        let Wrap { recipients: entries } = serde_json::from_slice(&json).map_err(unreadable)?;
        let passphrases = entries.iter().filter(|entry| matches!(entry, Entry::Passphrase { .. })).count();
        let is_sound = entries.iter().all(Entry::is_sound) && !entries.is_empty();
        if !is_sound || entries.len() > MAX_RECIPIENTS || passphrases > MAX_PASSPHRASES {
            return Err(damaged("its header names no proper recipients"));
        }
        let mut mac = [0; MAC];
        bytes.read_exact(&mut mac).map_err(cut)?;
        Ok(Self { label, entries, fixed, covered, mac })
    }

    /// Whether this header was made with the file key, every byte of it.
    pub(crate) fn is_authentic(&self, file_key: &FileKey) -> bool {
        same(&self.mac, &authenticate(&**file_key, &[MAC_PURPOSE, &self.covered]))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.covered[..], &self.mac].concat()
    }

    pub(crate) const fn len(&self) -> usize {
        self.covered.len() + MAC
    }

    pub(crate) fn fixed_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.fixed).into()
    }

    pub(crate) fn info(&self) -> SealedInfo {
        let recipients = self.entries.iter().map(Entry::name).collect();
        SealedInfo { label: self.label.clone(), recipients }
    }

    /// Binds a payload to how it was made and to its name. The fixed part carries its length, so the two can't run together.
    fn context(&self, name: &str) -> [u8; 32] {
        Sha256::new().chain_update(&self.fixed).chain_update(name).finalize().into()
    }

    /// Fresh keys for a payload, and what stands in front of its chunks.
    pub(crate) fn begin_payload(&self, name: &str, file_key: &FileKey) -> Result<(Stream, Vec<u8>)> {
        let context = self.context(name);
        match self.label.suite {
            Suite::ChaCha20Poly1305 => {
                let mut nonce = [0; age::PREFIX];
                random(&mut nonce)?;
                Ok((age::stream(&age_key(file_key, &context), &nonce), nonce.to_vec()))
            }
            Suite::Aes256Gcm => {
                let mut salt = [0; cobblestone::SALT];
                random(&mut salt)?;
                let (stream, prefix) = cobblestone::begin(file_key, salt, &context);
                Ok((stream, prefix.to_vec()))
            }
        }
    }

    /// The keys of a payload that begins with `prefix`; none when its commitment fits another key or name.
    pub(crate) fn resume_payload(&self, name: &str, file_key: &FileKey, prefix: &[u8]) -> Option<Stream> {
        let context = self.context(name);
        match self.label.suite {
            Suite::ChaCha20Poly1305 => Some(age::stream(&age_key(file_key, &context), prefix.try_into().ok()?)),
            Suite::Aes256Gcm => cobblestone::resume(file_key, prefix.try_into().ok()?, &context),
        }
    }

    /// What the age format calls the file key of this file's payload.
    pub(crate) fn age_file_key(&self, name: &str, file_key: &FileKey) -> zeroize::Zeroizing<[u8; age::FILE_KEY]> {
        age_key(file_key, &self.context(name))
    }
}

fn age_key(file_key: &FileKey, context: &[u8; 32]) -> zeroize::Zeroizing<[u8; age::FILE_KEY]> {
    let mut key = zeroize::Zeroizing::new([0; age::FILE_KEY]);
    let derived = zeroize::Zeroizing::new(authenticate(&**file_key, &[AGE_PURPOSE, &[0], context, &[1]]));
    key.copy_from_slice(&derived[..age::FILE_KEY]);
    key
}

fn put_part(out: &mut Vec<u8>, name: &str, part: &impl Serialize, most: usize) -> Result<()> {
    let json = serde_json::to_vec(part).map_err(|e| Error::damaged(name, format!("no header for it: {e}")))?;
    if json.len() > most {
        let remedy = format!("it takes {} bytes, at most {most} are allowed: shorten its texts", json.len());
        return Err(Error::invalid("header", name, remedy));
    }
    out.extend_from_slice(&(json.len() as u32).to_le_bytes());
    out.extend_from_slice(&json);
    Ok(())
}
