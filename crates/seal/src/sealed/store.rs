use tapeloom_core::{BlobStore, Claim, Result};

use super::opener::Opener;
use super::sealer::Sealer;
use crate::keys::Key;

/// A store that encrypts what it hands on to another store. Names stay readable; contents and their integrity do not rest on
/// the inner store.
#[derive(Debug)]
pub struct SealedStore<S> {
    inner: S,
    sealer: Sealer,
    opener: Opener,
}

impl<S: BlobStore> SealedStore<S> {
    /// Encrypts with `key` on the way into `inner`.
    #[must_use]
    pub fn new(inner: S, key: Key) -> Self {
        Self::with(inner, Sealer::new(key.clone()), Opener::new(key))
    }

    /// One tenant's part of `inner`: under a key of its own, made from `key`, with its name in every file. A file of another
    /// tenant that was put in its place does not open.
    #[must_use]
    pub fn tenant(inner: S, key: &Key, tenant: &str) -> Self {
        let key = key.tenant(tenant);
        Self::with(inner, Sealer::new(key.clone()).tenant(tenant), Opener::new(key).tenant(tenant))
    }

    /// Encrypts and decrypts as these say: other suites, several recipients, keys of before a rotation.
    #[must_use]
    pub const fn with(inner: S, sealer: Sealer, opener: Opener) -> Self {
        Self { inner, sealer, opener }
    }

    /// The store that holds the ciphertext.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Wraps the key of each blob anew for the recipients of today's sealer, and leaves the payloads as they are. A crash
    /// half way leaves each blob under the old or the new recipients; run it again.
    ///
    /// # Errors
    /// The first blob that can't be read, unwrapped or written.
    pub fn rewrap(&self, prefix: &str) -> Result<usize> {
        let names = self.inner.list(prefix)?;
        for name in &names {
            let rewrapped = self.opener.rewrap(name, &self.inner.get(name)?, &self.sealer)?;
            self.inner.put(name, &rewrapped)?;
        }
        Ok(names.len())
    }
}

impl<S: BlobStore> BlobStore for SealedStore<S> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.inner.put(name, &self.sealer.seal(name, bytes)?)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.opener.open(name, &self.inner.get(name)?)?)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn claim(&self) -> Result<Claim> {
        self.inner.claim()
    }

    fn is_sealed(&self) -> bool {
        true
    }
}
