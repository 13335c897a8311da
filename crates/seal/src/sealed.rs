//! Sealed files: a header with the file's own key, wrapped for each recipient, and a payload in chunks.

mod age;
pub(crate) mod cobblestone;
mod config;
mod header;
mod opener;
mod reader;
pub(crate) mod recipient;
mod sealer;
mod store;
mod stream;
mod v1;
mod writer;

pub use config::{KeyDerivation, SealConfig};
pub use header::{Label, SealedInfo};
pub use opener::Opener;
pub use reader::SealedReader;
pub use recipient::Recipient;
pub use sealer::Sealer;
pub use store::SealedStore;
pub use stream::Suite;
pub use writer::SealWriter;

use crate::Result;
use crate::keys::Key;

/// Encrypts `bytes` under a fresh key for this file alone, which is wrapped by `key`: [`Sealer`] with its defaults.
///
/// The file opens under the same `name` only: one that was moved or copied to another name is refused.
/// The bytes are specified in `docs/format/sealed-file.md`.
///
/// # Errors
/// [`Error::Random`](crate::Error::Random).
pub fn seal(name: &str, bytes: &[u8], key: &Key) -> Result<Vec<u8>> {
    Sealer::new(key.clone()).seal(name, bytes)
}

/// Decrypts what [`seal`] made for the same name: [`Opener`] with one key. Nothing is released unless all of it is authentic.
///
/// # Errors
/// [`Error::WrongKey`](crate::Error::WrongKey) names both keys; [`Error::Damaged`](crate::Error::Damaged) for any byte changed,
/// added, missing, or moved from another name.
pub fn open(name: &str, sealed: &[u8], key: &Key) -> Result<Vec<u8>> {
    Opener::new(key.clone()).open(name, sealed)
}
