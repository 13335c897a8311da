use std::fs;

use proptest::prelude::*;
use tapeloom_core::{BlobStore, MemoryStore, contract};
use tapeloom_seal::{Error, Key, Result, SealedStore, open, seal};

#[test]
fn the_sealed_store_keeps_the_contract() -> tapeloom_core::Result<()> {
    let store = SealedStore::new(MemoryStore::default(), Key::generate()?);
    assert!(store.is_sealed() && !MemoryStore::default().is_sealed());
    contract::blob_store(&store)
}

#[test]
fn every_changed_byte_is_named_and_refused() -> Result<()> {
    let key = Key::generate()?;
    let sealed = seal("a/weights", b"seventeen letters", &key)?;
    for at in 0..sealed.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bad = sealed.clone();
            bad[at] ^= flip;
            let error = open("a/weights", &bad, &key).expect_err("a changed byte");
            assert!(error.to_string().contains("a/weights"), "{error}");
        }
    }
    for length in 0..sealed.len() {
        assert!(matches!(open("a/weights", &sealed[..length], &key), Err(Error::Damaged { .. })), "cut at {length}");
    }
    let longer = [&sealed[..], b"x"].concat();
    assert!(open("a/weights", &longer, &key).is_err());
    Ok(())
}

#[test]
fn a_file_moved_to_another_name_is_refused() -> Result<()> {
    let key = Key::generate()?;
    let sealed = seal("epoch-1/weights", b"old", &key)?;
    let error = open("epoch-2/weights", &sealed, &key).expect_err("moved");
    assert!(error.to_string().contains("epoch-2/weights is damaged"), "{error}");
    Ok(())
}

#[test]
fn chunks_cannot_be_swapped_or_cut() -> Result<()> {
    const CHUNK: usize = 16 * 1024 + 16;
    let key = Key::generate()?;
    let plain: Vec<u8> = (0..40_000_u32).map(|i| (i % 253) as u8).collect();
    let sealed = seal("x", &plain, &key)?;
    assert_eq!(open("x", &sealed, &key)?, plain);
    let start = sealed.len() - (plain.len() + 3 * 16);
    let mut swapped = sealed.clone();
    swapped[start..start + 2 * CHUNK].rotate_left(CHUNK);
    assert!(open("x", &swapped, &key).is_err_and(|e| e.to_string().contains("chunk 0 was changed")));
    let cut = &sealed[..start + 2 * CHUNK];
    assert!(open("x", cut, &key).is_err_and(|e| e.to_string().contains("cut short")));
    Ok(())
}

#[test]
fn the_wrong_key_is_named_before_anything_else() -> Result<()> {
    let (ours, theirs) = (Key::generate()?, Key::generate()?);
    let error = open("x", &seal("x", b"1", &theirs)?, &ours).expect_err("another key");
    assert_eq!(error.to_string(), format!("x was sealed with key {}, this is key {}", theirs.id(), ours.id()));
    Ok(())
}

#[test]
fn sealing_twice_gives_different_bytes() -> Result<()> {
    let key = Key::generate()?;
    assert_ne!(seal("x", b"1", &key)?, seal("x", b"1", &key)?);
    Ok(())
}

#[test]
fn a_key_never_shows_itself() {
    let key = Key::from_bytes([7; 32]);
    assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
    assert!(!format!("{key:?}").contains("0707"));
}

#[test]
fn a_key_file_is_made_once_and_read_back() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("secrets/run.key");
    let made = Key::load_or_create(&path)?;
    assert_eq!(Key::load_or_create(&path)?.id(), made.id());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        assert!(Key::load(&path).is_err_and(|e| e.to_string().contains("chmod 600")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    }
    fs::write(&path, "too short").expect("written");
    let error = Key::load(&path).expect_err("no key").to_string();
    assert!(error.contains("run.key") && error.contains("64 hex digits"), "{error}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_was_sealed_opens_and_nothing_else_does(len in 0_usize..70_000, at: prop::sample::Index, noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let key = Key::from_bytes([3; 32]);
        let plain: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let sealed = seal("n", &plain, &key).expect("random bytes");
        prop_assert!(open("n", &sealed, &key).is_ok_and(|got| got == plain));
        let mut bad = sealed;
        let at = at.index(bad.len());
        bad[at] ^= 4;
        prop_assert!(open("n", &bad, &key).is_err());
        prop_assert!(open("n", &noise, &key).is_err());
        prop_assert!(open("n", &[&b"TLSEAL01"[..], &noise].concat(), &key).is_err());
    }
}
