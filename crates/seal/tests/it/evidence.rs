use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tapeloom_core::{Ledger, Record, SystemClock};
use tapeloom_seal::{
    AuditConfig, AuditLog, Error, Heartbeat, Key, Proof, Result, SigningKey, Verifier, entries, prove,
    prove_consistency, to_ecs, to_ocsf, verify,
};

fn signer() -> SigningKey {
    SigningKey::new("desk.example/audit", &Key::from_bytes([9; 32])).expect("a name")
}

fn log(records: usize) -> Result<(tempfile::TempDir, PathBuf, AuditLog)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.log");
    let log = AuditLog::open(&path, None, Arc::new(SystemClock))?.signer(signer());
    let records: Vec<Record> = (0..records).map(|i| Record::new("desk", "model.promoted", format!("m-{i}"))).collect();
    log.append_all(&records)?;
    Ok((folder, path, log))
}

#[test]
fn a_receipt_proves_a_record_without_the_log() -> Result<()> {
    let (_folder, path, log) = log(12)?;
    let note = log.checkpoint()?;
    log.append_all(&[Record::new("a", "b", "c")])?;
    let evidence = prove(&path, None, 7, &note)?;
    assert!(evidence.line.contains("m-6"));
    // Through text and back, as it would be mailed.
    let text = evidence.proof.to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 7\n"));
    let proof: Proof = text.parse()?;
    assert_eq!(proof, evidence.proof);
    let checkpoint = proof.verify(&evidence.line, &signer().verifying())?;
    assert_eq!((checkpoint.size, proof.sequence()), (13, 7));
    assert!(proof.verify(&evidence.line.replace("m-6", "m-7"), &signer().verifying()).is_err());
    let other = SigningKey::new("desk.example/audit", &Key::generate()?)?;
    assert!(proof.verify(&evidence.line, &other.verifying()).is_err());
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        let bad = String::from_utf8(bad).ok().and_then(|bad| bad.parse::<Proof>().ok());
        assert!(bad.is_none_or(|bad| bad.verify(&evidence.line, &signer().verifying()).is_err()), "{at}");
    }
    let error = prove(&path, None, 13, &note).expect_err("later than the checkpoint").to_string();
    assert!(error.contains("take a later one"), "{error}");
    Ok(())
}

#[test]
fn checkpoints_show_growth_and_nothing_else() -> Result<()> {
    let (_folder, path, log) = log(5)?;
    let old = signer().verifying().open(&log.checkpoint()?)?;
    log.append_all(&vec![Record::new("a", "b", "c"); 9])?;
    let new = signer().verifying().open(&log.checkpoint()?)?;
    let proof = prove_consistency(&path, None, old.size, new.size)?;
    proof.verify(&old, &new)?;
    assert!(proof.verify(&new, &old).is_err());
    let (_folder, _, other) = self::log(14)?;
    assert!(proof.verify(&old, &other.tree_head()).is_err());
    assert!(matches!(prove_consistency(&path, None, 9, 99), Err(Error::Invalid { .. })));
    Ok(())
}

#[test]
fn a_kept_checkpoint_finds_a_cut_tail_and_a_rewritten_log() -> Result<()> {
    let (_folder, path, log) = log(6)?;
    let note = log.checkpoint()?;
    drop(log);
    let checked = || Verifier::new(None).signer(signer().verifying()).checkpoint(&note).verify(&path);
    assert_eq!(checked()?.checkpoints, 2);
    let text = fs::read_to_string(&path).expect("read");
    let cut: String = text.split_inclusive('\n').take(4).collect();
    fs::write(&path, cut).expect("written");
    assert!(verify(&path, None).is_ok(), "the file alone does not show it");
    let error = checked().expect_err("cut").to_string();
    assert!(error.contains("line 5: the log ends before the checkpoint of 7 records"), "{error}");
    // The log written anew, with as many records and the right chain; the notes beside it went with the old one.
    fs::remove_file(&path).expect("removed");
    let fresh = AuditLog::open(&path, None, Arc::new(SystemClock))?;
    fresh.append_all(&vec![Record::new("desk", "model.promoted", "m-0"); 6])?;
    let error = checked().expect_err("rewritten").to_string();
    assert!(error.contains("line 7: the lines up to it are not those of the checkpoint of 7"), "{error}");
    Ok(())
}

#[test]
fn a_changed_or_foreign_checkpoint_is_refused() -> Result<()> {
    let (_folder, path, log) = log(3)?;
    log.checkpoint()?;
    let verifier = || Verifier::new(None).signer(signer().verifying());
    let (_other, _, foreign) = self::log(3)?;
    let foreign = foreign.checkpoint()?;
    let error = verifier().checkpoint(foreign).verify(&path).expect_err("foreign").to_string();
    assert_eq!(error, "the checkpoint is damaged: it is of another log");
    let notes = path.with_file_name("run.log.checkpoints");
    let good = fs::read_to_string(&notes).expect("read");
    fs::write(&notes, good.replacen("\n4\n", "\n3\n", 1)).expect("written");
    let error = verifier().verify(&path).expect_err("changed").to_string();
    assert_eq!(error, "the checkpoint is damaged: its signature does not hold");
    // What a crash left half written is cut off with the next one.
    fs::write(&notes, format!("{good}tapeloom.audit")).expect("written");
    assert_eq!(verifier().verify(&path)?.checkpoints, 1);
    log.checkpoint()?;
    assert_eq!(verifier().verify(&path)?.checkpoints, 2);
    assert!(matches!(Verifier::new(None).checkpoint(good).verify(&path), Err(Error::Invalid { .. })));
    Ok(())
}

#[test]
fn checkpoints_are_signed_now_and_then_and_when_a_file_is_closed() -> Result<()> {
    let (_folder, path, log) = log(1)?;
    let log = log.config(AuditConfig { checkpoint_every: 10, ..AuditConfig::default() });
    for _ in 0..25 {
        log.append(&Record::new("a", "b", "c")).expect("durable");
    }
    log.rotate()?;
    assert_eq!(Verifier::new(None).signer(signer().verifying()).verify(&path)?.checkpoints, 3);
    Ok(())
}

#[test]
fn proofs_live_on_when_old_files_are_retired() -> Result<()> {
    let (_folder, path, log) = log(20)?;
    log.rotate()?;
    log.append_all(&vec![Record::new("a", "b", "kept"); 7])?;
    let note = log.checkpoint()?;
    log.retire("desk", "age", |_| true)?;
    let evidence = prove(&path, None, 25, &note)?;
    assert!(evidence.line.contains("kept") && evidence.proof.verify(&evidence.line, &signer().verifying()).is_ok());
    let error = prove(&path, None, 3, &note).expect_err("gone").to_string();
    assert!(error.contains("the log holds 22 to"), "{error}");
    Ok(())
}

#[test]
fn threads_share_their_syncs_and_one_chain() -> Result<()> {
    let (_folder, path, log) = log(0)?;
    let log = log.config(AuditConfig { rotate_bytes: Some(10_000), checkpoint_every: 50 });
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for i in 0..20 {
                    let record = Record::new("a", "b", format!("{thread}-{i}"));
                    if i % 4 == 0 {
                        log.append_relaxed(&record).expect("taken");
                    } else {
                        let receipt = log.append(&record).expect("durable");
                        let _ = receipt;
                    }
                }
            });
        }
    });
    log.flush()?;
    let all = entries(&path, None)?;
    assert_eq!(all.iter().filter(|entry| entry.record.action == "b").count(), 160);
    // Threads that never rest do not keep a file from being closed.
    let sizes = log.segments()?.into_iter().map(|segment| fs::metadata(segment.path).expect("there").len());
    let sizes: Vec<u64> = sizes.collect();
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| *size < 16_000), "{sizes:?}");
    assert!(Verifier::new(None).signer(signer().verifying()).verify(&path)?.checkpoints > 2);
    Ok(())
}

#[test]
fn a_record_that_is_refused_leaves_the_others_of_its_group_out() -> Result<()> {
    let (_folder, path, log) = log(0)?;
    let good = Record::new("a", "b", "c");
    let long = Record::new("a", "b", "x".repeat(1 << 20));
    assert!(matches!(log.append_all(&[good.clone(), long]), Err(Error::BadRecord { .. })));
    assert_eq!(log.append(&good).expect("durable").sequence, 1);
    assert_eq!(verify(&path, None)?.records, 2);
    Ok(())
}

#[test]
fn a_relaxed_record_is_there_after_a_flush_and_after_a_drop() -> Result<()> {
    let (_folder, path, log) = log(0)?;
    let receipt = log.append_relaxed(&Record::new("a", "metrics.read", "c"))?;
    assert_eq!(verify(&path, None)?.records, 1);
    log.flush()?;
    assert_eq!(verify(&path, None)?.head, receipt);
    log.append_relaxed(&Record::new("a", "metrics.read", "c"))?;
    drop(log);
    assert_eq!(verify(&path, None)?.records, 3);
    Ok(())
}

#[test]
fn heartbeats_go_on_until_they_are_dropped_and_say_when_they_fail() -> Result<()> {
    let (_folder, path, log) = log(0)?;
    let log = Arc::new(log);
    let heartbeat = Heartbeat::start(log.clone(), Duration::from_millis(5));
    while verify(&path, None).map_or(0, |verified| verified.records) < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!heartbeat.is_failing());
    fs::remove_file(&path).expect("removed");
    while !heartbeat.is_failing() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(heartbeat);
    assert_eq!(Arc::strong_count(&log), 1);
    Ok(())
}

#[test]
fn entries_export_to_the_common_schemas() -> Result<()> {
    let (_folder, path, log) = log(0)?;
    let log = log.tenant("desk 7");
    let refused = Record::new("kim", "model.promoted", "m-1").outcome("refused").detail("approved.by", "lee");
    log.append(&refused).expect("durable");
    let entry = entries(&path, None)?.pop().expect("a record");
    let ecs = to_ecs(&entry);
    assert_eq!(
        (&ecs["event"]["action"], &ecs["event"]["outcome"], &ecs["user"]["name"]),
        (&"model.promoted".into(), &"failure".into(), &"kim".into())
    );
    assert_eq!((&ecs["labels"]["approved_by"], &ecs["organization"]["id"]), (&"lee".into(), &"desk 7".into()));
    assert_eq!(ecs["@timestamp"], entry.time.to_string());
    let ocsf = to_ocsf(&entry);
    assert_eq!((&ocsf["class_uid"], &ocsf["type_uid"], &ocsf["status_id"]), (&6003.into(), &600_303.into(), &2.into()));
    assert_eq!(ocsf["time"], entry.time.micros() / 1000);
    Ok(())
}
