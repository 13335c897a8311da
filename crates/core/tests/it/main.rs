//! The standard providers keep their contracts, also when things go wrong.

use std::fs;
use std::sync::Arc;

use tapeloom_core::{
    BlobStore, Event, Fanout, FsStore, ManualClock, MemoryLedger, MemoryStore, Observer, Recorder, Result, StopFlag,
    SystemClock, Timestamp, Unrecorded, contract,
};

#[test]
fn memory_store_keeps_the_contract() -> Result<()> {
    contract::blob_store(&MemoryStore::default())
}

#[test]
fn fs_store_keeps_the_contract() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    contract::blob_store(&FsStore::open(folder.path().join("new/store"))?)
}

#[test]
fn leftovers_of_a_crash_are_not_listed() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FsStore::open(folder.path())?;
    store.put("a/b", b"1")?;
    fs::write(folder.path().join("a/.123-0.tmp"), b"torn").expect("written");
    assert_eq!(store.list("")?, ["a/b"]);
    Ok(())
}

#[test]
fn a_write_that_fails_leaves_the_old_blob_and_no_litter() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FsStore::open(folder.path())?;
    store.put("a", b"old")?;
    // A folder in the way of the rename stands for any failure after the temporary file was written.
    fs::create_dir(folder.path().join("taken")).expect("made");
    fs::write(folder.path().join("taken/x"), b"").expect("written");
    let error = store.put("taken", b"new").expect_err("a folder can't be replaced");
    assert!(error.to_string().contains("taken"), "{error}");
    assert_eq!(store.get("a")?, b"old");
    let litter = fs::read_dir(folder.path()).expect("read").filter_map(|e| e.ok()?.file_name().into_string().ok());
    assert!(litter.into_iter().all(|name| !name.ends_with(".tmp")));
    Ok(())
}

#[cfg(unix)]
#[test]
fn blobs_are_private_to_the_user() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FsStore::open(folder.path())?;
    store.put("secret", b"1")?;
    let mode = fs::metadata(store.path("secret")?).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    Ok(())
}

#[test]
fn ledgers_keep_the_contract() -> Result<()> {
    contract::ledger(&MemoryLedger::default())?;
    contract::ledger(&Unrecorded::default())
}

#[test]
fn clocks_keep_the_contract() -> Result<()> {
    contract::clock(&SystemClock)?;
    contract::clock(&ManualClock::at(Timestamp::parse("2018-12-31")?))
}

#[test]
fn a_fanout_reaches_every_observer() -> Result<()> {
    let (a, b) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let mut all = Fanout::default();
    all.add(a.clone());
    all.add(b.clone());
    contract::observer(&all)?;
    all.observe(Timestamp::default(), &Event::EpochStarted { epoch: 9 });
    assert_eq!(a.events().len(), 4);
    // The suite sends a NaN loss, which is unlike itself; compare the last event.
    assert_eq!(a.events().last(), b.events().last());
    Ok(())
}

#[test]
fn a_stop_flag_reaches_its_clones() {
    let flag = StopFlag::default();
    let seen = flag.clone();
    assert!(!seen.is_stopped());
    flag.stop();
    assert!(seen.is_stopped());
}
