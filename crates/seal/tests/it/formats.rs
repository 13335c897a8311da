use std::path::PathBuf;
use std::sync::Arc;

use tapeloom_core::{Ledger, ManualClock, Record};
use tapeloom_seal::{AuditLog, Key, Opener, Result, entries, open, verify};

fn key() -> Key {
    Key::from_bytes(std::array::from_fn(|i| i as u8))
}

fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

#[test]
fn a_sealed_file_of_version_1_opens() -> Result<()> {
    let want: Vec<u8> = (0..20_000).map(|i| (i * 7 % 256) as u8).collect();
    let sealed = include_bytes!("../data/sealed-v1.bin");
    assert!(open("epoch-1/weights", sealed, &key())? == want);
    assert!(open("epoch-2/weights", sealed, &key()).is_err());
    Ok(())
}

#[test]
fn sealed_files_of_version_2_open() -> Result<()> {
    let want: Vec<u8> = (0..20_000).map(|i| (i * 7 % 256) as u8).collect();
    assert!(open("epoch-1/weights", include_bytes!("../data/sealed-v2-chacha.bin"), &key())? == want);
    let aes = include_bytes!("../data/sealed-v2-aes.bin");
    assert!(Opener::new(key()).tenant("desk-7").open("epoch-1/weights", aes)? == want);
    assert!(open("epoch-1/weights", aes, &key()).is_err());
    Ok(())
}

#[test]
fn an_audit_log_of_version_1_verifies_and_goes_on() -> Result<()> {
    for (file, key) in [("audit-v1-plain.log", None), ("audit-v1-keyed.log", Some(key()))] {
        let all = entries(data(file), key.as_ref())?;
        assert_eq!((all.len(), all[1].record.details["note"].as_str()), (3, "a \"q\"\n\u{1b}"));
        assert_eq!((all[2].record.action.as_str(), all[2].tenant.as_deref()), ("checkpoint.promoted", Some("desk-7")));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(file);
        std::fs::copy(data(file), &path).expect("copied");
        let log = AuditLog::open(&path, key.as_ref(), Arc::new(ManualClock::default()))?;
        log.append(&Record::new("desk", "checkpoint.saved", "epoch-2")).expect("durable");
        let verified = verify(&path, key.as_ref())?;
        assert_eq!((verified.records, verified.last), (4, all[2].time));
    }
    Ok(())
}
