use tapeloom_core::{BlobStore, Result};

use crate::key::Key;
use crate::sealed::{open, seal};

/// A store that encrypts what it hands on to another store. Names stay readable; contents and their integrity do not rest on
/// the inner store.
#[derive(Debug)]
pub struct SealedStore<S> {
    inner: S,
    key: Key,
}

impl<S: BlobStore> SealedStore<S> {
    /// Encrypts with `key` on the way into `inner`.
    #[must_use]
    pub const fn new(inner: S, key: Key) -> Self {
        Self { inner, key }
    }

    /// The store that holds the ciphertext.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: BlobStore> BlobStore for SealedStore<S> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.inner.put(name, &seal(name, bytes, &self.key)?)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>> {
        Ok(open(name, &self.inner.get(name)?, &self.key)?)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn claim(&self) -> Result<tapeloom_core::Claim> {
        self.inner.claim()
    }

    fn is_sealed(&self) -> bool {
        true
    }
}
