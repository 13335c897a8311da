//! Sealed files of version 1: one recipient, Cobblestone-256. They are read and not written.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::cobblestone::{self, same};
use crate::hex;
use crate::keys::{Key, authenticate, is_id};
use crate::{Error, Result};

pub(super) const MAGIC: &[u8; 8] = b"TLSEAL01";
const SUITE: &str = "cobblestone-256";
/// The two parts of the header hold a few hundred bytes; more is an attack or damage, and is refused before any work.
const MAX_PART: usize = 2048;
const MAC: usize = 32;
/// Of the file's own key, sealed.
const WRAPPED: usize = cobblestone::sealed_len(32);
const WRAP_PURPOSE: &[u8] = b"tapeloom wrap v1";
const WRAP_CONTEXT: &[u8] = b"tapeloom file key";
const MAC_PURPOSE: &[u8] = b"tapeloom header v1";

/// What stays as it is for the life of the file; its hash goes into the keys of the payload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixed {
    suite: String,
}

/// How to get at the file's own key; another key may wrap it without a change to the payload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrap {
    key_id: String,
    /// Makes the wrapping key one of a kind, so that no number of files wears the key out; hex.
    salt: String,
    /// Hex.
    wrapped_key: String,
}

/// Decrypts a file of version 1, which is written no more.
pub(super) fn open(name: &str, sealed: &[u8], key: &Key) -> Result<Vec<u8>> {
    let damaged = |detail: &str| Error::damaged(name, detail);
    let rest = sealed.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no sealed file of a known version"))?;
    let (fixed, rest): (Fixed, _) = take_part(rest).ok_or_else(|| damaged("its header is unreadable"))?;
    let fixed_end = sealed.len() - rest.len();
    if fixed.suite != SUITE {
        let shown: String = fixed.suite.chars().take(40).collect();
        return Err(Error::damaged(name, format!("its suite {shown:?} is unknown to this version")));
    }
    let (wrap, rest): (Wrap, _) = take_part(rest).ok_or_else(|| damaged("its header is unreadable"))?;
    let header = &sealed[..sealed.len() - rest.len()];
    if !is_id(&wrap.key_id) {
        return Err(damaged("its header holds no key id"));
    }
    if wrap.key_id != key.id() {
        return Err(Error::WrongKey {
            name: name.to_owned(),
            sealed_with: format!("key {}", wrap.key_id),
            given: format!("key {}", key.id()),
        });
    }
    let (mac, payload) = rest.split_first_chunk::<MAC>().ok_or_else(|| damaged("its header is cut short"))?;
    let file_key = unwrap(&wrap, key).ok_or_else(|| damaged("its wrapped key was changed"))?;
    if !same(mac, &authenticate(&*file_key, &[MAC_PURPOSE, header])) {
        return Err(damaged("its header was changed"));
    }
    let context = context(&sealed[..fixed_end], name);
    cobblestone::decrypt(&file_key, &context, payload).map_err(|detail| Error::damaged(name, detail))
}

fn unwrap(wrap: &Wrap, key: &Key) -> Option<Zeroizing<[u8; 32]>> {
    let salt = hex::decode(&wrap.salt).filter(|salt| salt.len() == 32)?;
    let wrapped = hex::decode(&wrap.wrapped_key).filter(|wrapped| wrapped.len() == WRAPPED)?;
    let wrapping = key.derive(WRAP_PURPOSE, &salt);
    let plain = cobblestone::decrypt(&wrapping, WRAP_CONTEXT, &wrapped).map(Zeroizing::new).ok()?;
    let mut file_key = Zeroizing::new([0; 32]);
    file_key.copy_from_slice(&plain);
    Some(file_key)
}

/// Binds a payload to how it was made and to its name. The header part carries its length, so the two can't run together.
fn context(magic_and_fixed: &[u8], name: &str) -> [u8; 32] {
    Sha256::new().chain_update(magic_and_fixed).chain_update(name).finalize().into()
}

/// A part and what is behind it; none when it is cut short, too long or no such part.
fn take_part<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_PART {
        return None;
    }
    let (json, rest) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(json).ok()?, rest))
}
