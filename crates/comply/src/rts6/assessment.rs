use std::path::Path;

use serde::Serialize;
use tapeloom_core::{Fingerprint, Timestamp};
use tapeloom_seal::{Entry, Key, Proof, Verified, Verifier, VerifyingKey, entries, prove};

use crate::{AlgorithmChange, Result, algorithm_changes};

/// What a yearly self-assessment has to show and an audit log can: article, what it asks for, and the actions that show it.
const ASKED: [(&str, &str, &[&str]); 9] = [
    ("art. 5(2)", "a named person authorised each deployment", &["checkpoint.promoted", "model.promoted"]),
    ("art. 5(4)", "algorithms were tested before deployment", &["test.behaviour"]),
    ("art. 6", "conformance with venues was tested", &["test.conformance"]),
    ("art. 8", "limits were set before deployment", &["limits.set"]),
    ("art. 10", "systems were stressed with twice the highest messages and volume", &["test.stress"]),
    ("art. 12", "the kill functionality was used or tested", &["kill_switch.tripped", "test.kill_switch"]),
    ("art. 13", "surveillance was reviewed", &["review.surveillance"]),
    ("art. 15", "pre-trade controls held orders back or were tested", &["order.blocked", "test.pre_trade_controls"]),
    ("art. 18", "security was tested and critical access reviewed", &["test.penetration", "review.access"]),
];
/// Proofs of each kind of evidence that go into the pack; the count names all.
const MOST_PROOFS: usize = 20;

/// What the log shows for one article.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Of Delegated Regulation (EU) 2017/589.
    pub article: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// Records of the period that show it.
    pub records: usize,
    /// The newest of them, each with a proof that holds without the log.
    pub evidence: Vec<Exhibit>,
}

/// A record and its proof.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Exhibit {
    /// The line of the log.
    pub line: String,
    /// That it is in the log: a C2SP `tlog-proof`, as text.
    pub proof: String,
}

/// Evidence for the annual self-assessment and validation of art. 9, out of an audit log. It is evidence, not the assessment: that
/// is the risk management function's, and is audited and approved by senior management (art. 9(2) and (3)).
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Assessment {
    /// From when.
    pub from: Timestamp,
    /// Until when, not included.
    pub until: Timestamp,
    /// The log that was verified: whole, and under which root.
    pub records: u64,
    /// Root of the log's tree.
    pub root: Fingerprint,
    /// Material changes of algorithms in the period (art. 5(7) and 11).
    pub changes: Vec<AlgorithmChange>,
    /// Changes that lack who approved them or what they were.
    pub incomplete_changes: usize,
    /// By article.
    pub findings: Vec<Finding>,
    /// Articles for which nothing is on record.
    pub nothing_shown: Vec<&'static str>,
}

/// Verifies a log against a signed checkpoint of it and collects what it shows for a period.
///
/// # Errors
/// [`Error::Evidence`](crate::Error::Evidence) when the log does not verify, or not up to the checkpoint.
pub fn assess(
    log: impl AsRef<Path>,
    key: Option<&Key>,
    signer: &VerifyingKey,
    note: &str,
    from: Timestamp,
    until: Timestamp,
) -> Result<Assessment> {
    let log = log.as_ref();
    let verified: Verified = Verifier::new(key).signer(signer.clone()).checkpoint(note).verify(log)?;
    let size = signer.open(note)?.size;
    let in_period = |time: Timestamp| from <= time && time < until;
    let all: Vec<Entry> = entries(log, key)?;
    let all: Vec<&Entry> = all.iter().filter(|entry| in_period(entry.time) && entry.sequence < size).collect();
    let mut findings = Vec::new();
    for (article, asks, actions) in ASKED {
        let shows = |entry: &&&Entry| actions.contains(&entry.record.action.as_str());
        let matching: Vec<&&Entry> = all.iter().filter(shows).collect();
        let newest = matching.iter().rev().take(MOST_PROOFS);
        let exhibit = |entry: &&&Entry| {
            let evidence = prove(log, key, entry.sequence, note)?;
            let proof: &Proof = &evidence.proof;
            Ok(Exhibit { proof: proof.to_string(), line: evidence.line })
        };
        let evidence = newest.map(exhibit).collect::<Result<Vec<_>>>()?;
        findings.push(Finding { article, asks, records: matching.len(), evidence });
    }
    let register = algorithm_changes(log, key, None)?;
    let changes: Vec<AlgorithmChange> = register.changes.into_iter().filter(|change| in_period(change.time)).collect();
    let incomplete_changes = changes.iter().filter(|change| !change.missing.is_empty()).count();
    let nothing_shown = findings.iter().filter(|finding| finding.records == 0).map(|finding| finding.article).collect();
    let (records, root) = (verified.records, verified.root);
    Ok(Assessment { from, until, records, root, changes, incomplete_changes, findings, nothing_shown })
}
