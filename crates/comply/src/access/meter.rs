use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tapeloom_core::{Ledger, Receipt, Record, Result};

/// Counts what goes on record by action and outcome, on the way into a ledger: for a board of security events. The counts are
/// telemetry; the ledger is the evidence.
#[derive(Debug)]
pub struct SecurityMeter {
    ledger: Arc<dyn Ledger>,
    counts: Mutex<BTreeMap<(String, String), u64>>,
}

/// Actions and outcomes that are told apart at most; a host whose actions are made from input would fill the memory.
const MOST_KINDS: usize = 1000;

impl SecurityMeter {
    /// Counts in front of this ledger. Give the meter to whoever records: it is a ledger itself.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger, counts: Mutex::default() }
    }

    /// How many records there were so far, by action and outcome. A record that the ledger did not take counts as
    /// `ledger.failed`, whose growth calls for an alert: logging itself has failed.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, String, u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((action, outcome), count)| (action.clone(), outcome.clone(), *count)).collect()
    }

    fn count(&self, action: &str, outcome: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = (action.to_owned(), outcome.to_owned());
        if counts.len() >= MOST_KINDS && !counts.contains_key(&kind) {
            kind = ("other".into(), outcome.to_owned());
        }
        *counts.entry(kind).or_default() += 1;
    }
}

impl Ledger for SecurityMeter {
    fn append(&self, record: &Record) -> Result<Receipt> {
        let taken = self.ledger.append(record);
        match &taken {
            Ok(_) => self.count(&record.action, &record.outcome),
            Err(_) => self.count("ledger.failed", "failure"),
        }
        taken
    }
}
