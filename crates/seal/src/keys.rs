//! What protects bytes: keys, passphrases, and how the one is made of the other.

mod kdf;
mod key;

pub use kdf::{Kdf, KdfLimits, Passphrase};
pub use key::Key;

pub(crate) use kdf::{PBKDF2_ITERATIONS, SALT as KDF_SALT};
pub(crate) use key::{authenticate, check_private, is_id, random};
