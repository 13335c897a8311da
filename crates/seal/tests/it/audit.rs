use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tapeloom_core::{Ledger, ManualClock, Record, Timestamp, contract};
use tapeloom_seal::{AuditLog, Error, Key, Result, entries, verify, verify_since};

struct Log {
    _folder: tempfile::TempDir,
    path: PathBuf,
    key: Option<Key>,
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000)))
}

/// A log of its opening record and four more.
fn log(key: Option<Key>) -> Result<Log> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("audit/run.log");
    let log = AuditLog::open(&path, key.as_ref(), clock())?;
    for i in 0..4 {
        let record = Record::new("desk", "checkpoint.saved", format!("epoch-{i}")).detail("note", "a \"quoted\"\nline");
        log.append(&record).expect("durable");
    }
    Ok(Log { _folder: folder, path, key })
}

impl Log {
    fn verify(&self) -> Result<tapeloom_seal::Verified> {
        verify(&self.path, self.key.as_ref())
    }

    /// The line and problem that verification names after the bytes were replaced.
    fn tampered(&self, bytes: &[u8]) -> Option<(u64, String)> {
        fs::write(&self.path, bytes).expect("written");
        match self.verify() {
            Err(Error::Tampered { line, detail, .. }) => Some((line, detail)),
            _ => None,
        }
    }
}

#[test]
fn the_log_keeps_the_contract_and_verifies() -> Result<()> {
    for key in [None, Some(Key::generate()?)] {
        let log = log(key)?;
        let opened = AuditLog::open(&log.path, log.key.as_ref(), clock())?;
        contract::ledger(&opened).expect("the contract");
        let verified = log.verify()?;
        assert_eq!(verified.records, 7);
        let all = entries(&log.path, log.key.as_ref())?;
        assert_eq!(all[1].record.details["note"], "a \"quoted\"\nline");
        assert_eq!(all.last().map(|e| e.hash), Some(verified.head.hash));
    }
    Ok(())
}

#[test]
fn every_flipped_byte_is_named_and_refused() -> Result<()> {
    for key in [None, Some(Key::generate()?)] {
        let log = log(key)?;
        let good = fs::read(&log.path).expect("read");
        for at in 0..good.len() {
            let line = 1 + good[..at].iter().filter(|b| **b == b'\n').count() as u64;
            for flip in [1, 0x20] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let found = log.tampered(&bad);
                assert!(found.as_ref().is_some_and(|(found, _)| *found == line), "byte {at} of line {line}: {found:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn lines_cannot_be_removed_moved_doubled_or_forged() -> Result<()> {
    let log = log(Some(Key::generate()?))?;
    let text = fs::read_to_string(&log.path).expect("read");
    let lines: Vec<&str> = text.lines().collect();
    let with = |order: &[usize]| {
        log.tampered((order.iter().map(|i| lines[*i].to_owned() + "\n").collect::<String>()).as_bytes())
    };
    assert_eq!(with(&[0, 1, 3, 4]).map(|f| f.0), Some(3), "removed");
    assert_eq!(with(&[0, 2, 1, 3, 4]).map(|f| f.0), Some(2), "swapped");
    assert_eq!(with(&[0, 1, 1, 2, 3, 4]).map(|f| f.0), Some(3), "doubled");
    assert_eq!(with(&[1, 2, 3, 4]).map(|f| f.0), Some(1), "beheaded");
    // Somebody who has the file but not the key can't add to it, not even a line that a plain chain would take.
    let forged = text.clone() + &lines[4].replace("epoch-3", "epoch-9").replace("\"seq\":4", "\"seq\":5") + "\n";
    assert_eq!(log.tampered(forged.as_bytes()).map(|f| f.0), Some(6));
    Ok(())
}

#[test]
fn another_key_or_none_does_not_verify() -> Result<()> {
    let log = log(Some(Key::generate()?))?;
    assert!(verify(&log.path, Some(&Key::generate()?)).is_err());
    assert!(verify(&log.path, None).is_err());
    Ok(())
}

#[test]
fn a_receipt_finds_a_cut_tail_and_a_rewritten_log() -> Result<()> {
    let log = log(None)?;
    let head = log.verify()?.head;
    assert!(verify_since(&log.path, None, &head).is_ok());
    let text = fs::read_to_string(&log.path).expect("read");
    let cut: String = text.lines().take(3).map(|l| l.to_owned() + "\n").collect();
    fs::write(&log.path, cut).expect("written");
    assert!(log.verify().is_ok(), "a chain alone does not show a cut tail");
    let error = verify_since(&log.path, None, &head).expect_err("cut").to_string();
    assert!(error.contains("line 5") && error.contains("tail was cut off"), "{error}");
    fs::remove_file(&log.path).expect("removed");
    let fresh = AuditLog::open(&log.path, None, clock())?;
    for _ in 0..9 {
        fresh.append(&Record::new("x", "y", "z")).expect("durable");
    }
    assert!(verify_since(&log.path, None, &head).is_err_and(|e| e.to_string().contains("rewritten")));
    Ok(())
}

#[test]
fn a_torn_last_line_is_set_aside_and_recorded() -> Result<()> {
    let log = log(Some(Key::generate()?))?;
    let good = fs::read(&log.path).expect("read");
    fs::write(&log.path, [&good[..], b"{\"seq\":5,\"ti"].concat()).expect("written");
    assert!(log.verify().is_err_and(|e| e.to_string().contains("line 6: it is torn")));
    drop(AuditLog::open(&log.path, log.key.as_ref(), clock())?);
    let all = entries(&log.path, log.key.as_ref())?;
    assert_eq!((all.len(), all[5].record.action.as_str()), (6, "log.recovered"));
    assert_eq!(fs::read(log.path.with_extension("torn-5")).expect("set aside"), b"{\"seq\":5,\"ti");
    Ok(())
}

#[test]
fn a_tampered_log_is_not_written_on() -> Result<()> {
    let log = log(None)?;
    let text = fs::read_to_string(&log.path).expect("read").replace("epoch-2", "epoch-7");
    fs::write(&log.path, text).expect("written");
    let error = AuditLog::open(&log.path, None, clock()).err().expect("tampered").to_string();
    assert!(error.contains("line 4: it does not match its hash"), "{error}");
    Ok(())
}

#[test]
fn a_log_has_one_writer() -> Result<()> {
    let log = log(None)?;
    let _first = AuditLog::open(&log.path, None, clock())?;
    assert!(matches!(AuditLog::open(&log.path, None, clock()), Err(Error::Locked { .. })));
    Ok(())
}

#[test]
fn a_clock_that_steps_back_does_not_break_the_order() -> Result<()> {
    let log = log(None)?;
    let late = clock();
    late.advance(-500_000);
    let opened = AuditLog::open(&log.path, None, late)?;
    opened.append(&Record::new("a", "b", "c")).expect("durable");
    assert!(log.verify().is_ok());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_bytes_make_verification_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        fs::write(&path, &bytes).expect("written");
        prop_assert!(verify(&path, None).is_err());
    }
}
