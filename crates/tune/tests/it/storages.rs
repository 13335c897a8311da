use std::sync::Arc;

use tapeloom_tune::{Journal, Memory, Result, Storage, contract};

#[test]
fn memory_keeps_the_storage_contract() -> Result<()> {
    let memory = Memory::default();
    contract::storage(&|| Ok(Arc::new(memory.clone())))
}

#[test]
fn a_journal_keeps_the_storage_contract() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.study");
    contract::storage(&|| Ok(Arc::new(Journal::open(&path)?)))?;
    // A connection that was there before and one that comes after agree.
    let (one, two) = (Journal::open(&path)?, Journal::builder(&path).sync(false).open()?);
    assert_eq!(one.read(3)?, two.read(3)?);
    Ok(())
}
