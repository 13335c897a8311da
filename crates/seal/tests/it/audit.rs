use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use tapeloom_core::{Fingerprint, Ledger, ManualClock, Record, Timestamp, contract};
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

    /// The line that verification names after the text was replaced.
    fn tampered(&self, text: &str) -> Option<u64> {
        fs::write(&self.path, text).expect("written");
        match self.verify() {
            Ok(_) => None,
            Err(Error::Tampered { line, .. }) => Some(line),
            Err(other) => panic!("{other}"),
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
fn each_kind_of_tampering_is_found_in_the_file() -> Result<()> {
    for key in [None, Some(Key::generate()?)] {
        let log = log(key)?;
        let good = fs::read_to_string(&log.path).expect("read");
        let lines: Vec<&str> = good.split_inclusive('\n').collect();
        let with = |order: &[usize]| log.tampered(&order.iter().map(|i| lines[*i]).collect::<String>());
        assert_eq!(with(&[0, 1, 2, 3, 4]), None);
        assert_eq!(with(&[0, 1, 3, 4]), Some(3), "removed");
        assert_eq!(with(&[0, 2, 1, 3, 4]), Some(2), "swapped");
        assert_eq!(with(&[0, 1, 1, 2, 3, 4]), Some(3), "doubled");
        assert_eq!(with(&[1, 2, 3, 4]), Some(1), "beheaded");
        assert_eq!(with(&[]), Some(1), "emptied");
        assert_eq!(log.tampered(&good.replace("epoch-2", "epoch-7")), Some(4), "changed");
        assert_eq!(log.tampered(good.trim_end()), Some(5), "torn");
        assert_eq!(log.tampered(&(good.clone() + lines[4])), Some(6), "forged");
    }
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
    // The second crash comes before anything was written, and must not cost what the first one left.
    for (torn, side) in [(&b"{\"seq\":5,\"ti"[..], "run.log.torn-5"), (b"\0\0\0\n", "run.log.torn-5-1")] {
        fs::write(&log.path, [&good[..], torn].concat()).expect("written");
        assert!(log.verify().is_err_and(|e| e.to_string().contains("line 6: it is torn")));
        drop(AuditLog::open(&log.path, log.key.as_ref(), clock())?);
        let all = entries(&log.path, log.key.as_ref())?;
        assert_eq!((all.len(), all[5].record.action.as_str()), (6, "log.recovered"));
        assert_eq!(all[5].record.details["torn_bytes"], torn.len().to_string());
        assert_eq!(all[5].record.details["torn_sha256"], Fingerprint::of(torn).to_string());
        assert_eq!(fs::read(log.path.with_file_name(side)).expect("set aside"), torn);
    }
    assert_eq!(fs::read(log.path.with_file_name("run.log.torn-5")).expect("still there"), b"{\"seq\":5,\"ti");
    Ok(())
}

#[test]
fn a_tampered_log_is_not_written_on() -> Result<()> {
    let log = log(None)?;
    let text = fs::read_to_string(&log.path).expect("read").replace("epoch-2", "epoch-7");
    fs::write(&log.path, text).expect("written");
    let error = AuditLog::open(&log.path, None, clock()).expect_err("tampered").to_string();
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

#[test]
fn a_log_that_was_torn_in_its_first_line_starts_anew() -> Result<()> {
    let log = log(None)?;
    fs::write(&log.path, b"{\"seq\":0,\"time\":\"1970").expect("written");
    drop(AuditLog::open(&log.path, None, clock())?);
    let actions: Vec<String> = entries(&log.path, None)?.into_iter().map(|entry| entry.record.action).collect();
    assert_eq!(actions, ["log.opened", "log.recovered"]);
    Ok(())
}

#[test]
fn a_file_of_another_kind_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("settings.toml");
    fs::write(&path, "mode = 1").expect("written");
    let error = AuditLog::open(&path, None, clock()).expect_err("no log").to_string();
    assert!(error.contains("settings.toml line 1: it is no line of an audit log"), "{error}");
    assert_eq!(fs::read(&path).expect("there"), b"mode = 1");
}

#[test]
fn a_log_that_changes_under_its_writer_takes_no_more_records() -> Result<()> {
    let log = log(None)?;
    let opened = AuditLog::open(&log.path, None, clock())?;
    let record = Record::new("a", "b", "c");
    let good = fs::read(&log.path).expect("read");
    fs::OpenOptions::new().append(true).open(&log.path).and_then(|mut f| f.write_all(b"x")).expect("added");
    assert!(opened.append(&record).is_err());
    fs::write(&log.path, &good).expect("restored");
    assert!(opened.append(&record).is_ok());
    fs::remove_file(&log.path).expect("removed");
    if cfg!(unix) {
        let error = opened.append(&record).expect_err("deleted");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("deleted while it was open"), "{cause}");
    }
    Ok(())
}

#[test]
fn a_record_too_long_is_refused_and_the_log_goes_on() -> Result<()> {
    let log = log(None)?;
    let opened = AuditLog::open(&log.path, None, clock())?;
    let long = Record::new("a", "b", "c").detail("note", "x".repeat(1 << 20));
    let error = opened.append(&long).expect_err("too long");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("the record was refused") && cause.contains("the limit is 1048576"), "{cause}");
    assert_eq!(opened.append(&Record::new("a", "b", "c")).expect("durable").sequence, 5);
    assert_eq!(log.verify()?.records, 6);
    Ok(())
}

#[test]
fn records_name_their_run_and_tenant() -> Result<()> {
    let log = log(None)?;
    let opened = AuditLog::open(&log.path, None, clock())?.run("run-1".parse().expect("a run id")).tenant("desk 7");
    opened.append(&Record::new("a", "b", "c")).expect("durable");
    let last = entries(&log.path, None)?.pop().expect("a record");
    assert_eq!(last.run.map(|run| run.to_string()).as_deref(), Some("run-1"));
    assert_eq!(last.tenant.as_deref(), Some("desk 7"));
    Ok(())
}

#[test]
fn many_threads_write_one_unbroken_chain() -> Result<()> {
    let log = log(Some(Key::generate()?))?;
    let opened = AuditLog::open(&log.path, log.key.as_ref(), clock())?;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let opened = &opened;
            scope.spawn(move || {
                for i in 0..5 {
                    opened.append(&Record::new("a", "b", format!("{thread}-{i}"))).expect("durable");
                }
            });
        }
    });
    assert_eq!(log.verify()?.records, 25);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_log_and_what_was_torn_are_private() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let log = log(None)?;
    let torn = [&fs::read(&log.path).expect("read")[..], b"{"].concat();
    fs::write(&log.path, torn).expect("written");
    drop(AuditLog::open(&log.path, None, clock())?);
    for path in [log.path.clone(), log.path.with_file_name("run.log.torn-5")] {
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    Ok(())
}
