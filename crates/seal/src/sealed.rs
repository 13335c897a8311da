use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cobblestone::{self, SALT, same};
use crate::key::{Key, authenticate, random};
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"TLSEAL01";
/// A header is a few hundred bytes; a longer one is an attack or damage.
const MAX_HEADER: usize = 4096;
const MAC: usize = 32;

/// The clear part of a sealed file. See `docs/format/sealed-file.md`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    suite: String,
    key_id: String,
    /// Makes the wrapping key one of a kind; hex.
    wrap_salt: String,
    /// The file's own key, sealed under the wrapping key; hex.
    wrapped_key: String,
}

/// Encrypts `bytes` for `name` under a fresh file key, which is wrapped by `key`.
///
/// # Errors
/// [`Error::Random`].
pub fn seal(name: &str, bytes: &[u8], key: &Key) -> Result<Vec<u8>> {
    let (mut file_key, mut wrap_salt) = (Zeroizing::new([0; 32]), [0; 32]);
    let (mut wrap_nonce, mut salt) = ([0; SALT], [0; SALT]);
    random(&mut *file_key)?;
    random(&mut wrap_salt)?;
    random(&mut wrap_nonce)?;
    random(&mut salt)?;
    let wrapping = key.derive(b"tapeloom wrap v1", &wrap_salt);
    let header = Header {
        suite: "cobblestone-256".into(),
        key_id: key.id(),
        wrap_salt: hex(&wrap_salt),
        wrapped_key: hex(&cobblestone::encrypt(&wrapping, wrap_nonce, b"tapeloom file key", &*file_key)),
    };
    let header = serde_json::to_vec(&header).map_err(|e| Error::damaged(name, e.to_string()))?;
    let mac = authenticate(&*file_key, &[b"tapeloom header v1", &header]);
    let mut out = Vec::with_capacity(header.len() + bytes.len() + 256);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(header.len() as u32).to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(&mac);
    out.extend_from_slice(&cobblestone::encrypt(&file_key, salt, &context(name), bytes));
    Ok(out)
}

/// Decrypts what [`seal`] made for the same name. Nothing is released unless all of it is authentic.
///
/// # Errors
/// [`Error::WrongKey`] names both keys; [`Error::Damaged`] for any byte changed, added, missing, or moved from another name.
pub fn open(name: &str, sealed: &[u8], key: &Key) -> Result<Vec<u8>> {
    let damaged = |detail: &str| Error::damaged(name, detail);
    let rest = sealed.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no sealed file of a known version"))?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("the header is cut short"))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_HEADER || rest.len() < length + MAC {
        return Err(damaged("the header is cut short or too long"));
    }
    let (header_bytes, rest) = rest.split_at(length);
    let (mac, payload) = rest.split_at(MAC);
    let header: Header = serde_json::from_slice(header_bytes)
        .map_err(|e| Error::damaged(name, format!("the header is unreadable: {e}")))?;
    if header.suite != "cobblestone-256" {
        return Err(Error::damaged(name, format!("suite {:?} is unknown to this version", header.suite)));
    }
    if header.key_id != key.id() {
        return Err(Error::WrongKey { name: name.to_owned(), sealed_with: header.key_id, given: key.id() });
    }
    let wrap_salt = unhex(&header.wrap_salt).ok_or_else(|| damaged("the header's salt is no hex"))?;
    let wrapped = unhex(&header.wrapped_key).ok_or_else(|| damaged("the header's wrapped key is no hex"))?;
    let wrapping = key.derive(b"tapeloom wrap v1", &wrap_salt);
    let file_key = cobblestone::decrypt(&wrapping, b"tapeloom file key", &wrapped).map(Zeroizing::new);
    let file_key = file_key.map_err(|_| damaged("the wrapped key was changed"))?;
    let file_key: &[u8; 32] = file_key.as_slice().try_into().map_err(|_| damaged("the wrapped key was changed"))?;
    if !same(mac, &authenticate(file_key, &[b"tapeloom header v1", header_bytes])) {
        return Err(damaged("the header was changed"));
    }
    cobblestone::decrypt(file_key, &context(name), payload).map_err(|detail| Error::damaged(name, detail))
}

/// Binds a payload to its name, so that files can't be swapped.
fn context(name: &str) -> Vec<u8> {
    [b"tapeloom payload v1\0", name.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hex only: one value has one spelling.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() % 2 != 0 {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
