use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, Result};

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

    /// Reads a key file: 64 hex digits, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::BadKey`] for another content or for a file that others can read; [`Error::Io`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bad = |problem: &str| Error::BadKey { path: path.to_owned(), problem: problem.to_owned() };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(path).map_err(|e| Error::io("read", path, e))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(bad("others can read this key; run chmod 600 on it"));
            }
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?);
        let hex = text.trim();
        let mut bytes = Zeroizing::new([0_u8; 32]);
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad("a key file holds 64 hex digits"));
        }
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| bad("a key file holds 64 hex digits"))?;
        }
        Ok(Self(bytes))
    }

    /// Reads the key file, or makes one (mode 0600 on Unix) where there is none.
    ///
    /// # Errors
    /// As [`Key::load`].
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Self::load(path),
            Err(e) => Err(Error::io("create", path, e)),
            Ok(mut file) => {
                let key = Self::generate()?;
                let mut text: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                text.zeroize();
                written.map_err(|e| Error::io("write", path, e))?;
                Ok(key)
            }
        }
    }

    /// A public name of the key: 16 hex digits that tell keys apart and say nothing about the secret.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::new().chain_update(b"tapeloom key id v1").chain_update(*self.0).finalize();
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A secret for one purpose and salt (HMAC-SHA-256 as a key derivation function, NIST SP 800-108).
    pub(crate) fn derive(&self, purpose: &[u8], salt: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(authenticate(&*self.0, &[purpose, &[0], salt]))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
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
