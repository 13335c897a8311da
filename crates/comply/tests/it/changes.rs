use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tapeloom_comply::{Error, Result, algorithm_changes};
use tapeloom_core::{Ledger, ManualClock, Receipt, Record, Timestamp};
use tapeloom_seal::{AuditLog, Key};

struct Run {
    _folder: tempfile::TempDir,
    log: PathBuf,
    key: Key,
    receipts: Vec<Receipt>,
}

fn run() -> Result<Run> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (log, key) = (folder.path().join("run.log"), Key::generate()?);
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_500_000_000_000_000)));
    let audit = AuditLog::open(&log, Some(&key), clock.clone())?.run("run-1".parse().expect("a run id"));
    let promoted = || Record::new("kim", "checkpoint.promoted", "epoch-2");
    let receipts = [
        Record::new("trainer", "run.started", "run-1"),
        Record::new("trainer", "checkpoint.saved", "run-1").detail("set", "epoch-2"),
        promoted().detail("approved_by", "lee").detail("nature", "retrained on 2017"),
        promoted().detail("approved_by", " "),
        Record::new("risk", "model.withdrawn", "lstm-3").outcome("refused").detail("nature", "drift"),
        Record::new("kim", "checkpoints.listed", "run-1"),
    ];
    let receipts = receipts.iter().map(|record| {
        clock.advance(1_000_000);
        audit.append(record).expect("durable")
    });
    let receipts = receipts.collect();
    Ok(Run { _folder: folder, log, key, receipts })
}

#[test]
fn the_register_says_when_who_approved_and_what() -> Result<()> {
    let run = run()?;
    let register = algorithm_changes(&run.log, Some(&run.key), None)?;
    assert_eq!((register.records, register.head, register.is_anchored), (7, run.receipts[5], false));
    let actions: Vec<&str> = register.changes.iter().map(|change| change.action.as_str()).collect();
    assert_eq!(actions, ["checkpoint.saved", "checkpoint.promoted", "checkpoint.promoted", "model.withdrawn"]);
    let saved = &register.changes[0];
    assert_eq!((saved.checkpoint.as_str(), saved.made_by.as_str(), saved.missing.len()), ("epoch-2", "trainer", 0));
    let promoted = &register.changes[1];
    assert_eq!(promoted.time.to_string(), "2017-07-14T02:40:03.000000Z");
    assert_eq!((promoted.made_by.as_str(), promoted.approved_by.as_deref()), ("kim", Some("lee")));
    assert_eq!((promoted.nature.as_deref(), promoted.hash), (Some("retrained on 2017"), run.receipts[2].hash));
    assert_eq!(promoted.run.as_ref().map(ToString::to_string).as_deref(), Some("run-1"));
    assert_eq!(promoted.missing, [""; 0]);
    assert_eq!(register.changes[2].missing, ["approved_by", "nature"]);
    assert_eq!(
        (register.changes[3].missing.as_slice(), register.changes[3].outcome.as_str()),
        (&["approved_by"][..], "refused")
    );
    assert_eq!(register.incomplete, 2);
    Ok(())
}

#[test]
fn a_log_that_does_not_verify_is_no_evidence() -> Result<()> {
    let run = run()?;
    let good = fs::read_to_string(&run.log).expect("read");
    fs::write(&run.log, good.replace("\"lee\"", "\"kim\"")).expect("written");
    let error = algorithm_changes(&run.log, Some(&run.key), None).expect_err("tampered");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("line 4: it does not match its hash"), "{cause}");
    fs::write(&run.log, &good).expect("written");
    assert!(matches!(algorithm_changes(&run.log, None, None), Err(Error::Evidence(_))));
    Ok(())
}

#[test]
fn an_earlier_receipt_anchors_the_register() -> Result<()> {
    let run = run()?;
    assert!(algorithm_changes(&run.log, Some(&run.key), run.receipts.last())?.is_anchored);
    let good = fs::read_to_string(&run.log).expect("read");
    let cut: String = good.split_inclusive('\n').take(4).collect();
    fs::write(&run.log, cut).expect("written");
    assert_eq!(algorithm_changes(&run.log, Some(&run.key), None)?.changes.len(), 2);
    assert!(algorithm_changes(&run.log, Some(&run.key), run.receipts.last()).is_err(), "the tail was cut off");
    Ok(())
}

#[test]
fn the_register_serialises() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let run = run()?;
    let json = serde_json::to_value(algorithm_changes(&run.log, Some(&run.key), None)?)?;
    assert_eq!(json["changes"][1]["approved_by"], "lee");
    assert_eq!(json["head"]["sequence"], 6);
    assert_eq!(json["incomplete"], 2);
    Ok(())
}
