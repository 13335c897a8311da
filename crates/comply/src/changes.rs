use std::path::Path;

use serde::Serialize;
use tapeloom_core::{Fingerprint, Receipt, RunId, Timestamp};
use tapeloom_seal::{Entry, Key, entries, verify, verify_since};

use crate::Result;

/// Actions that bring a model nearer to the market: for these somebody has to approve.
const PROMOTIONS: [&str; 4] = ["checkpoint.promoted", "checkpoint.withdrawn", "model.promoted", "model.withdrawn"];
/// Everything that happens to a checkpoint or a model.
const FAMILIES: [&str; 2] = ["checkpoint.", "model."];

/// One change of an algorithm, as Delegated Regulation (EU) 2017/589 art. 5(7) wants it recorded: when it was made, who made
/// it, who approved it, and its nature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AlgorithmChange {
    /// Of the record in the log.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Who made it.
    pub made_by: String,
    /// Who approved it: the record's detail `approved_by`.
    pub approved_by: Option<String>,
    /// The action, such as `checkpoint.promoted`.
    pub action: String,
    /// What it is about: the record's detail `nature`.
    pub nature: Option<String>,
    /// The checkpoint or model: the record's detail `set`, else its object.
    pub checkpoint: String,
    /// The run.
    pub run: Option<RunId>,
    /// `success`, `failure` or `refused`.
    pub outcome: String,
    /// Of the record's line in the log.
    pub hash: Fingerprint,
    /// What art. 5(7) asks for and the record of a promotion or withdrawal does not say.
    pub missing: Vec<&'static str>,
}

/// All changes of algorithms in one audit log whose chain was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangeRegister {
    /// Lines of the log.
    pub records: u64,
    /// Of the newest line; keep it elsewhere, and give it the next time.
    pub head: Receipt,
    /// Whether the log was held against an earlier receipt. Without one, a tail that was cut off is not found.
    pub is_anchored: bool,
    /// Oldest first.
    pub changes: Vec<AlgorithmChange>,
    /// How many of them lack something.
    pub incomplete: usize,
}

/// Verifies an audit log and lists who changed or promoted which checkpoint.
///
/// # Errors
/// [`Error::Evidence`](crate::Error::Evidence) when the log does not verify, or not up to `since`.
pub fn algorithm_changes(log: impl AsRef<Path>, key: Option<&Key>, since: Option<&Receipt>) -> Result<ChangeRegister> {
    let log = log.as_ref();
    let verified = match since {
        Some(receipt) => verify_since(log, key, receipt),
        None => verify(log, key),
    }?;
    // The log only grows: what the first look proved holds for the second, which may see more.
    let all = entries(log, key)?;
    let head = all.last().map_or(verified.head, |last| Receipt { sequence: last.sequence, hash: last.hash });
    let records = all.len() as u64;
    let changes: Vec<AlgorithmChange> = all.into_iter().filter_map(change).collect();
    let incomplete = changes.iter().filter(|change| !change.missing.is_empty()).count();
    Ok(ChangeRegister { records, head, is_anchored: since.is_some(), changes, incomplete })
}

fn change(entry: Entry) -> Option<AlgorithmChange> {
    let mut record = entry.record;
    if !FAMILIES.iter().any(|family| record.action.starts_with(family)) {
        return None;
    }
    let mut said = |name| record.details.remove(name).filter(|text| !text.trim().is_empty());
    let (approved_by, nature, set) = (said("approved_by"), said("nature"), said("set"));
    let mut missing = Vec::new();
    if PROMOTIONS.contains(&record.action.as_str()) {
        let asked = [
            ("made_by", !record.actor.trim().is_empty()),
            ("approved_by", approved_by.is_some()),
            ("nature", nature.is_some()),
        ];
        missing.extend(asked.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name));
    }
    Some(AlgorithmChange {
        sequence: entry.sequence,
        time: entry.time,
        made_by: record.actor,
        approved_by,
        action: record.action,
        nature,
        checkpoint: set.unwrap_or(record.object),
        run: entry.run,
        outcome: record.outcome,
        hash: entry.hash,
        missing,
    })
}
