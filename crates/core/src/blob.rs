use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Named bytes: the one place where Tapeloom keeps files.
///
/// Names are relative paths with `/`, made of letters, digits, `.`, `-` and `_`; see [`check_name`].
/// `put` is atomic and durable: after a crash a reader finds the old bytes or the new ones, never a mix.
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// Writes `bytes` under `name`, replacing what was there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name; whatever kept the bytes from being durable.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Reads all of `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Corrupt`] when the bytes are not what was written.
    fn get(&self, name: &str) -> Result<Vec<u8>>;

    /// The names that start with `prefix`, sorted.
    ///
    /// # Errors
    /// Whatever kept the store from being read.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Removes `name`; removing what is not there is no error.
    ///
    /// # Errors
    /// Whatever kept the blob from being removed.
    fn delete(&self, name: &str) -> Result<()>;

    /// Claims the store for one writer, until the claim is dropped or its process dies.
    ///
    /// A store that no second writer can reach has nothing to claim, which is the default. A store around another one passes
    /// the call on.
    ///
    /// # Errors
    /// [`Error::InUse`] while another writer holds it; whatever keeps the claim from being made.
    fn claim(&self) -> Result<Claim> {
        Ok(Claim::default())
    }

    /// Whether bytes are encrypted before they rest. A store that says yes must mean every byte.
    fn is_sealed(&self) -> bool {
        false
    }
}

/// Says that its holder is the only writer of a [`BlobStore`], for as long as it lives.
#[derive(Debug, Default)]
pub struct Claim(Option<std::fs::File>);

impl Claim {
    /// A claim that rests on a lock on this open file.
    #[must_use]
    pub const fn of(locked: std::fs::File) -> Self {
        Self(Some(locked))
    }

    /// Whether it keeps other processes out.
    #[must_use]
    pub const fn is_exclusive(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing the file would do, but for a child that is being started just now: it has a copy until it runs its own
        // program, and the lock would outlive the claim by that moment.
        let _ = self.0.as_ref().map(std::fs::File::unlock);
    }
}

/// Refuses names that could leave the store or that differ between platforms.
///
/// # Errors
/// [`Error::Invalid`] that quotes the name.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    if name.len() <= 512 && name.split('/').all(good) {
        return Ok(());
    }
    Err(Error::invalid(
        "blob name",
        format!("{name:?}"),
        "use parts of letters, digits, '.', '-', '_' joined by '/', none empty or starting with '.'",
    ))
}

/// A store in memory, for tests and for models that never touch a disk.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<String, Vec<u8>>>);

impl BlobStore for MemoryStore {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        check_name(name)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Vec<u8>> {
        check_name(name)?;
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.get(name).cloned().ok_or_else(|| Error::NotFound { name: name.to_owned() })
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(blobs.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}
