use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tapeloom_core::{Ledger, ManualClock, Record, Timestamp};
use tapeloom_seal::{AuditConfig, AuditLog, Error, Key, Result, Verified, Verifier, entries, verify};

struct Log {
    _folder: tempfile::TempDir,
    path: PathBuf,
    key: Key,
    clock: Arc<ManualClock>,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.log");
        Self {
            path,
            _folder: folder,
            key: Key::from_bytes([7; 32]),
            clock: Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000))),
        }
    }

    fn open(&self) -> Result<AuditLog> {
        AuditLog::open(&self.path, Some(&self.key), self.clock.clone())
    }

    fn verify(&self) -> Result<Verified> {
        verify(&self.path, Some(&self.key))
    }

    fn closed(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self._folder.path()).expect("listed").map(|entry| entry.expect("an entry").path());
        let mut found: Vec<PathBuf> = listed.filter(|path| path.to_string_lossy().contains(".log.0")).collect();
        found.sort();
        found
    }

    /// Three closed files of five records each, and one that is written.
    fn rotated() -> Result<(Self, AuditLog)> {
        let log = Self::new();
        let opened = log.open()?;
        for i in 0..9 {
            log.clock.advance(1_000_000);
            opened.append(&Record::new("desk", "checkpoint.saved", format!("epoch-{i}"))).expect("durable");
            if i % 3 == 2 {
                opened.rotate()?;
            }
        }
        Ok((log, opened))
    }

    /// What verification says after a file was changed.
    fn fault(&self, path: &PathBuf, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> String {
        let good = fs::read(path).expect("read");
        match change(good.clone()) {
            Some(bytes) => fs::write(path, bytes).expect("written"),
            None => fs::remove_file(path).expect("removed"),
        }
        let error = self.verify().expect_err("tampered").to_string();
        fs::write(path, good).expect("restored");
        assert!(self.verify().is_ok());
        error
    }
}

#[test]
fn one_chain_goes_through_all_files() -> Result<()> {
    let (log, opened) = Log::rotated()?;
    drop(opened);
    assert_eq!(log.closed().len(), 3);
    assert_eq!(log.verify()?.records, 16);
    let all = entries(&log.path, Some(&log.key))?;
    assert!(all.iter().map(|entry| entry.sequence).eq(0..16));
    let actions: Vec<&str> = all.iter().map(|entry| entry.record.action.as_str()).collect();
    assert_eq!((actions[4], actions[5], actions[15]), ("log.closed", "log.continued", "log.continued"));
    // Opened anew it goes on.
    log.open()?.append(&Record::new("a", "b", "c")).expect("durable");
    assert_eq!(log.verify()?.records, 17);
    Ok(())
}

#[test]
fn a_long_file_is_closed_by_itself() -> Result<()> {
    let log = Log::new();
    let opened = log.open()?.config(AuditConfig { rotate_bytes: Some(2000), ..AuditConfig::default() });
    for _ in 0..40 {
        opened.append(&Record::new("a", "b", "c")).expect("durable");
    }
    assert!(log.closed().len() > 4);
    assert_eq!(log.verify()?.records, 41 + 2 * log.closed().len() as u64);
    Ok(())
}

#[test]
fn a_file_missing_cut_swapped_or_changed_is_named() -> Result<()> {
    let (log, opened) = Log::rotated()?;
    drop(opened);
    let closed = log.closed();
    let error = log.fault(&closed[0], |_| None);
    assert!(error.contains("000000000005 line 1: the 5 records before it are missing"), "{error}");
    let error = log.fault(&closed[1], |_| None);
    assert!(error.contains("000000000010 line 1: it is record 10 where 5 was expected"), "{error}");
    let error = log.fault(&log.path, |_| None);
    assert!(error.contains("run.log line 1: the file that is written is missing"), "{error}");
    let error = log.fault(&closed[1], |bytes| Some(bytes[..bytes.len() - 10].to_vec()));
    assert!(error.contains("000000000005 line 5: it is no whole line"), "{error}");
    let last_line = |bytes: &[u8]| bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let error = log.fault(&closed[1], |bytes| Some(bytes[..last_line(&bytes)].to_vec()));
    assert!(error.contains("000000000005 line 5: the file ends without the record that closes it"), "{error}");
    let error =
        log.fault(&closed[1], |bytes| Some(String::from_utf8_lossy(&bytes).replace("epoch-4", "epoch-7").into()));
    assert!(error.contains("000000000005 line 3: it does not match its hash"), "{error}");
    let first = fs::read(&closed[0]).expect("read");
    let error = log.fault(&closed[1], |_| Some(first.clone()));
    assert!(error.contains("000000000005 line 1: it is record 0 where 5 was expected"), "{error}");
    Ok(())
}

#[test]
fn a_rotation_that_a_crash_cut_short_is_ended() -> Result<()> {
    // After the closing record, before the rename.
    let (log, opened) = Log::rotated()?;
    drop(opened);
    let closed = log.closed();
    fs::remove_file(&log.path).expect("removed");
    fs::rename(&closed[2], &log.path).expect("renamed");
    log.open()?.append(&Record::new("a", "b", "c")).expect("durable");
    assert_eq!((log.verify()?.records, log.closed().len()), (17, 3));
    // After the rename, before the new file; and with a first line half written.
    for torn in [&b""[..], b"{\"seq\":15,\"ti", b"\0\0"] {
        let (log, opened) = Log::rotated()?;
        drop(opened);
        fs::write(&log.path, torn).expect("written");
        if torn.is_empty() {
            fs::remove_file(&log.path).expect("removed");
        }
        assert!(log.verify().is_err());
        log.open()?.append(&Record::new("a", "b", "c")).expect("durable");
        assert_eq!(log.verify()?.records, 17 + u64::from(!torn.is_empty()));
    }
    Ok(())
}

#[test]
fn old_files_go_by_retention_and_the_log_still_verifies() -> Result<()> {
    let (log, opened) = Log::rotated()?;
    let segments = opened.segments()?;
    assert_eq!(
        segments.iter().map(|segment| (segment.first, segment.end)).collect::<Vec<_>>(),
        [(0, 5), (5, 10), (10, 15)]
    );
    assert!(segments[1].actions.contains("checkpoint.saved"));
    let root = log.verify()?.root;
    let limit = segments[1].newest;
    assert!(opened.retire("desk", "five years are over", |segment| segment.newest < segments[0].oldest)?.is_none());
    let receipt = opened.retire("desk", "five years are over", |segment| segment.newest <= limit)?.expect("two files");
    let verified = log.verify()?;
    assert_eq!((verified.records, verified.retired, log.closed().len()), (7, 10, 1));
    assert_eq!(verified.head, receipt);
    assert_ne!(verified.root, root);
    let all = entries(&log.path, Some(&log.key))?;
    assert_eq!(
        (all[0].sequence, all[6].record.action.as_str(), all[6].record.details["through"].as_str()),
        (10, "log.retired", "10")
    );
    drop(opened);
    // It goes on, and again.
    let opened = log.open()?;
    opened.rotate()?;
    assert!(opened.retire("desk", "all", |_| true)?.is_some());
    assert_eq!(log.verify()?.retired, 18);
    // Who deletes a file by hand is found, even after a retirement.
    opened.rotate()?;
    drop(opened);
    let error = log.fault(&log.closed()[0], |_| None);
    assert!(error.contains("records before it are missing"), "{error}");
    Ok(())
}

#[test]
fn a_legal_hold_keeps_every_file_over_a_restart() -> Result<()> {
    let (log, opened) = Log::rotated()?;
    opened.hold("legal", "case 12", "asked by the authority")?;
    drop(opened);
    let opened = log.open()?;
    let error = opened.retire("desk", "age", |_| true).expect_err("held").to_string();
    assert!(error.contains("case 12") && error.contains("release it first"), "{error}");
    assert!(matches!(opened.release("legal", "case 13", "slip"), Err(Error::Invalid { .. })));
    opened.release("legal", "case 12", "closed")?;
    assert!(opened.retire("desk", "age", |_| true)?.is_some());
    assert_eq!(log.verify()?.retired, 15);
    Ok(())
}

#[test]
fn silence_shows() -> Result<()> {
    let log = Log::new();
    let opened = log.open()?;
    for wait in [1, 1, 90, 1] {
        log.clock.advance(wait * 1_000_000);
        opened.append(&Record::new("tapeloom", "log.heartbeat", "audit log")).expect("durable");
    }
    assert_eq!(log.verify()?.longest_silence_us, 90_000_000);
    let verifier = Verifier::new(Some(&log.key));
    assert!(verifier.clone().most_silence_us(90_000_000).verify(&log.path).is_ok());
    let error = verifier.most_silence_us(60_000_000).verify(&log.path).expect_err("silent").to_string();
    assert!(error.contains("line 4: the log was silent for 90000000 us"), "{error}");
    Ok(())
}
