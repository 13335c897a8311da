use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::disk::sync_folder_of;
use crate::hex;
use crate::{Error, Result};

/// Of a key's public id.
const ID_BYTES: usize = 8;
/// A key file holds 64 digits and perhaps a line end; more is some other file.
const MAX_FILE: u64 = 256;

/// A secret of 32 random bytes. It is wiped from memory when dropped, and never shown: `Debug` prints its public id.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A fresh key from the operating system's generator.
    ///
    /// # Errors
    /// [`Error::Random`] when it gives no bytes.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// A key from a secret store of the host. The bytes must be uniformly random; a passphrase is no key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a key file: 64 hex digits, on Unix readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::BadKey`] for another content or for a file that others can read; [`Error::Io`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |e| Error::io("read", path, e);
        let bad = |problem: String| Error::BadKey { path: path.to_owned(), problem };
        let file = File::open(path).map_err(io)?;
        check_private(path, &file)?;
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
        file.take(MAX_FILE).read_to_end(&mut text).map_err(io)?;
        let digits = text.trim_ascii();
        let mut bytes = Zeroizing::new([0; 32]);
        let (pairs, rest) = digits.as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let decoded = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        if pairs.len() != bytes.len() || !rest.is_empty() || !pairs.iter().all(|pair| decoded(pair).is_some()) {
            let problem = format!("it holds {} bytes of text where a key has 64 hex digits", digits.len());
            return Err(bad(problem + ": give a file that Key::load_or_create made"));
        }
        bytes.iter_mut().zip(pairs.iter().filter_map(decoded)).for_each(|(byte, value)| *byte = value);
        Ok(Self(bytes))
    }

    /// Reads the key file, or makes one (mode 0600 on Unix, durable before it is used) where there is none.
    ///
    /// # Errors
    /// As [`Key::load`]; [`Error::Random`].
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            _ => return Self::load(path),
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        }
        let key = Self::generate()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = match options.open(path) {
            // Another process was first.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Self::load(path),
            file => file.map_err(|e| Error::io("create", path, e))?,
        };
        let text = Zeroizing::new(hex::encode(&*key.0));
        if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
            // Half a key would be in the way of the next try.
            let _ = fs::remove_file(path);
            return Err(Error::io("write", path, error));
        }
        sync_folder_of(path)?;
        Ok(key)
    }

    /// A public name of the key: 16 hex digits that tell keys apart and say nothing about the secret.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::new().chain_update(b"tapeloom key id v1").chain_update(&self.0[..]).finalize();
        hex::encode(&digest[..ID_BYTES])
    }

    /// The key of one tenant: what is sealed with it opens with no other tenant's. Give the same name to find it again.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> Self {
        Self(self.derive(b"tapeloom tenant v1", tenant.as_bytes()))
    }

    /// The key of one purpose, such as pseudonyms of one field: it shows nothing of this key or of another purpose's.
    #[must_use]
    pub fn purpose(&self, purpose: &str) -> Self {
        Self(self.derive(b"tapeloom purpose v1", purpose.as_bytes()))
    }

    /// HMAC-SHA-256 under this key over the parts, each with its length in front.
    #[must_use]
    pub fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_le_bytes()).collect();
        let framed: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
        authenticate(&*self.0, &framed)
    }

    /// The secret itself, for a cipher or a store of the host's own.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A secret for one purpose and salt: one block of HMAC-SHA-256 in the way of HKDF-Expand (RFC 5869).
    pub(crate) fn derive(&self, purpose: &[u8], salt: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(authenticate(&*self.0, &[purpose, &[0], salt, &[1]]))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// Refuses a file that others can use: what it holds is no secret any more.
pub(crate) fn check_private(path: &Path, file: &File) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|e| Error::io("read", path, e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let problem = format!("others can use it (mode {:03o}): run chmod 600 on it", mode & 0o777);
            return Err(Error::BadKey { path: path.to_owned(), problem });
        }
    }
    #[cfg(not(unix))]
    let _ = (path, file);
    Ok(())
}

/// Whether this is what [`Key::id`] prints.
pub(crate) fn is_id(text: &str) -> bool {
    hex::decode(text).is_some_and(|bytes| bytes.len() == ID_BYTES)
}

/// HMAC-SHA-256 over the parts, one after the other.
pub(crate) fn authenticate(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::Random(e.to_string()))
}
