use std::path::Path;

use serde::Serialize;
use tapeloom_core::Timestamp;
use tapeloom_seal::{Key, entries};

use crate::Result;

/// One change of a trading algorithm: when it was made, by whom, and what (RTS 6 art. 5(7)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlgorithmChange {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done: `checkpoint.saved` or `model.promoted`.
    pub action: String,
    /// To what: the run or the checkpoint set.
    pub object: String,
    /// More, such as the set's name.
    pub details: std::collections::BTreeMap<String, String>,
}

/// Lists the changes that an audit log holds, after checking its whole chain.
///
/// # Errors
/// [`Error::Seal`](crate::Error::Seal) when a line was touched: a list from such a log would be no evidence.
pub fn algorithm_changes(log: impl AsRef<Path>, key: Option<&Key>) -> Result<Vec<AlgorithmChange>> {
    let is_change = |action: &str| matches!(action, "checkpoint.saved" | "model.promoted");
    let changes = entries(log, key)?.into_iter().filter(|entry| is_change(&entry.record.action));
    Ok(changes
        .map(|entry| AlgorithmChange {
            time: entry.time,
            actor: entry.record.actor,
            action: entry.record.action,
            object: entry.record.object,
            details: entry.record.details,
        })
        .collect())
}
