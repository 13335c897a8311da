use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{Fingerprint, Result};

/// One piece of evidence: who did what to what, and how it ended. The ledger adds time and sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Who acted: a user, a service or `tapeloom`.
    pub actor: String,
    /// A stable verb, such as `run.started` or `checkpoint.saved`.
    pub action: String,
    /// What it was done to: a run, a file, a checkpoint set.
    pub object: String,
    /// `success`, `failure` or `refused`.
    pub outcome: String,
    /// More facts, by name. No secrets, prices or client ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

impl Record {
    /// A successful action without details.
    pub fn new(actor: impl Into<String>, action: impl Into<String>, object: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            action: action.into(),
            object: object.into(),
            outcome: "success".into(),
            details: BTreeMap::new(),
        }
    }

    /// Adds one fact.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.details.insert(name.into(), value.to_string());
        self
    }

    /// Sets how the action ended.
    #[must_use]
    pub fn outcome(mut self, outcome: impl Into<String>) -> Self {
        self.outcome = outcome.into();
        self
    }
}

/// Proof that a record was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Counts from 0 without gaps.
    pub sequence: u64,
    /// Of the record as the ledger stored it.
    pub hash: Fingerprint,
}

/// Keeps evidence. When `append` returns `Ok`, the record is durable; an error stops the run.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// Takes one record.
    ///
    /// # Errors
    /// When the record could not be made durable.
    fn append(&self, record: &Record) -> Result<Receipt>;
}

/// A ledger in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<Vec<Record>>);

impl MemoryLedger {
    /// Everything taken so far, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ledger for MemoryLedger {
    fn append(&self, record: &Record) -> Result<Receipt> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(record.clone());
        Ok(receipt(records.len() as u64 - 1, record))
    }
}

/// The ledger of a host that keeps no evidence, chosen by name and never by default.
#[derive(Debug, Default)]
pub struct Unrecorded(std::sync::atomic::AtomicU64);

impl Ledger for Unrecorded {
    fn append(&self, record: &Record) -> Result<Receipt> {
        Ok(receipt(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst), record))
    }
}

fn receipt(sequence: u64, record: &Record) -> Receipt {
    let bytes = serde_json::to_vec(record).unwrap_or_default();
    Receipt { sequence, hash: Fingerprint::of(&bytes) }
}
