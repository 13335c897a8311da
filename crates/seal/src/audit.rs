//! The audit log: lines in a hash chain, a Merkle tree over them, and signed checkpoints of the tree.

mod chain;
mod export;
mod files;
mod hasher;
mod heartbeat;
mod log;
mod note;
mod proof;
mod retention;
mod tree;
mod verify;
mod writer;

pub use chain::Entry;
pub use export::{to_ecs, to_ocsf};
pub use heartbeat::Heartbeat;
pub use log::{AuditConfig, AuditLog};
pub use note::{Checkpoint, SigningKey, VerifyingKey};
pub use proof::{ConsistencyProof, Evidence, Proof, prove, prove_consistency};
pub use retention::Segment;
pub use verify::{Verified, Verifier, entries, verify, verify_since};
