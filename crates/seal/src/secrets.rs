//! Secrets of the host: where they come from, and a file that keeps them encrypted.

mod environment;
mod file;
mod format;
mod secret;
mod source;
mod vault;

pub use environment::EnvironmentSecrets;
pub use file::{SecretFile, SecretInfo};
pub use secret::Secret;
pub use source::{SecretSource, Secrets, check_secret_source};
pub use vault::VaultAgent;
