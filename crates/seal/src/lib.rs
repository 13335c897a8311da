//! Bytes made safe: sealed files, keys and secrets, and a tamper-evident audit log.
//!
//! [`SealedStore`] encrypts whatever a [`BlobStore`](tapeloom_core::BlobStore) keeps, in chunks, one key for each file, bound to
//! its name; [`Sealer`] and [`Opener`] do it for several recipients, as streams and by ranges. [`SecretFile`] keeps secrets.
//! [`AuditLog`] is a [`Ledger`](tapeloom_core::Ledger) whose lines form a hash chain under a Merkle tree; [`verify`] names the
//! first line that was touched, [`prove`] gives receipts that hold offline. The bytes are specified in `docs/format/`.
//!
//! ```
//! use std::sync::Arc;
//! use tapeloom_core::{BlobStore, Ledger, MemoryStore, Record, SystemClock};
//! use tapeloom_seal::{AuditLog, Key, SealedStore, verify};
//!
//! let key = Key::generate()?;
//! let store = SealedStore::new(MemoryStore::default(), key.clone());
//! store.put("weights", b"secret")?;
//! assert_eq!(store.get("weights")?, b"secret");
//! assert!(!store.inner().get("weights")?.windows(6).any(|bytes| bytes == b"secret"));
//!
//! let path = std::env::temp_dir().join(format!("tapeloom-doc-{}.log", std::process::id()));
//! let log = AuditLog::open(&path, Some(&key), Arc::new(SystemClock))?;
//! log.append(&Record::new("desk-7", "model.promoted", "epoch-000012"))?;
//! assert_eq!(verify(&path, Some(&key))?.records, 2);
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does not know what the bytes mean.
#![forbid(unsafe_code)]

mod aead;
mod audit;
mod disk;
mod error;
mod hex;
mod keys;
mod sealed;
mod secrets;

pub use audit::{
    AuditConfig, AuditLog, Checkpoint, ConsistencyProof, Entry, Evidence, Heartbeat, Proof, Segment, SigningKey,
    Verified, Verifier, VerifyingKey, entries, prove, prove_consistency, to_ecs, to_ocsf, verify, verify_since,
};
pub use error::{Error, Result};
pub use keys::{Kdf, KdfLimits, Key, Passphrase};
pub use sealed::{
    KeyDerivation, Label, Opener, Recipient, SealConfig, SealWriter, SealedInfo, SealedReader, SealedStore, Sealer,
    Suite, open, seal,
};
pub use secrets::{
    EnvironmentSecrets, Secret, SecretFile, SecretInfo, SecretSource, Secrets, VaultAgent, check_secret_source,
};
