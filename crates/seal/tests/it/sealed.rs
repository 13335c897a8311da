use std::fs;

use proptest::prelude::*;
use tapeloom_core::{BlobStore, MemoryStore, contract};
use tapeloom_seal::{Error, Key, Result, SealedStore, Sealer, Suite, open, seal};

#[test]
fn the_sealed_store_keeps_the_contract() -> tapeloom_core::Result<()> {
    let store = SealedStore::new(MemoryStore::default(), Key::generate()?);
    assert!(store.is_sealed() && !MemoryStore::default().is_sealed());
    contract::blob_store(&store)
}

#[test]
fn every_changed_byte_is_named_and_refused() -> Result<()> {
    let key = Key::from_bytes([7; 32]);
    let sealed = seal("a/weights", b"seventeen letters", &key)?;
    for at in 0..sealed.len() {
        for flip in (0..8).map(|bit| 1 << bit) {
            let mut bad = sealed.clone();
            bad[at] ^= flip;
            let error = open("a/weights", &bad, &key).expect_err("a changed byte");
            let text = error.to_string();
            assert!(text.contains("a/weights") && text.len() < 200, "{text}");
            // The header is read before it is proven: nothing of it reaches a terminal raw.
            assert!(!text.chars().any(char::is_control), "{text:?}");
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
    assert!(error.to_string().contains("epoch-2/weights is damaged: chunk 0 was changed, or it belongs"), "{error}");
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
fn a_wrong_key_is_no_damage() -> Result<()> {
    let inner = MemoryStore::default();
    inner.put("x", &seal("x", b"1", &Key::generate()?)?).expect("put");
    let error = SealedStore::new(inner, Key::generate()?).get("x").expect_err("another key");
    // Whoever passes over damaged copies must not pass over every good one for want of its key.
    assert!(matches!(error, tapeloom_core::Error::Provider { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.starts_with("x was sealed with key "), "{cause}");
    Ok(())
}

#[test]
fn files_swapped_in_the_inner_store_are_refused() -> tapeloom_core::Result<()> {
    let store = SealedStore::new(MemoryStore::default(), Key::generate()?);
    store.put("epoch-1/weights", b"one")?;
    store.put("epoch-2/weights", b"two")?;
    let (one, two) = (store.inner().get("epoch-1/weights")?, store.inner().get("epoch-2/weights")?);
    store.inner().put("epoch-1/weights", &two)?;
    store.inner().put("epoch-2/weights", &one)?;
    for name in ["epoch-1/weights", "epoch-2/weights"] {
        assert!(
            matches!(store.get(name), Err(tapeloom_core::Error::Corrupt { name: named, .. }) if named == name),
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn plaintext_never_reaches_the_inner_store() -> tapeloom_core::Result<()> {
    let store = SealedStore::new(MemoryStore::default(), Key::generate()?);
    let plain: Vec<u8> = (0..40_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    store.put("weights", &plain)?;
    let kept = store.inner().get("weights")?;
    let windows: std::collections::HashSet<&[u8]> = kept.windows(8).collect();
    assert!(!plain.chunks_exact(8).any(|bytes| windows.contains(bytes)));
    Ok(())
}

#[test]
fn a_header_longer_than_allowed_is_refused_before_any_work() -> Result<()> {
    let key = Key::generate()?;
    let sealed = seal("x", b"1", &key)?;
    let label = br#"{"suite":"chacha20poly1305"}"#;
    assert_eq!(&sealed[12..12 + label.len()], label);
    let refusal = |length: u32| {
        let mut bytes = b"TLSEAL02".to_vec();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(label);
        // White space is sound JSON: only the limit can refuse it here.
        bytes.resize(12 + (length as usize).min(4096), b' ');
        bytes.extend_from_slice(&sealed[12 + label.len()..]);
        open("x", &bytes, &key).expect_err("a changed header").to_string()
    };
    assert_eq!(refusal(2048), "x is damaged: its header was changed: the wrapped key does not open");
    assert_eq!(refusal(2049), "x is damaged: its header is unreadable");
    assert_eq!(refusal(u32::MAX), "x is damaged: its header is unreadable");
    Ok(())
}

#[test]
fn an_id_that_no_key_has_is_not_repeated() -> Result<()> {
    let key = Key::generate()?;
    let mut sealed = seal("x", b"1", &key)?;
    let at = sealed.windows(16).position(|bytes| bytes == key.id().as_bytes()).expect("the id is in the header");
    sealed[at..at + 16].copy_from_slice(br"\u001b[31mabcdef");
    let error = open("x", &sealed, &key).expect_err("a changed id").to_string();
    assert_eq!(error, "x is damaged: its header names no proper recipients");
    Ok(())
}

#[test]
fn a_header_of_another_file_does_not_fit() -> Result<()> {
    // The headers are equally long, so the payloads can be exchanged at one place.
    let key = Key::generate()?;
    for (suite, payload, words) in [
        (Suite::ChaCha20Poly1305, 16 + 1 + 16, "belongs to another key or name"),
        (Suite::Aes256Gcm, 24 + 32 + 1 + 16, "belongs to another key or name"),
    ] {
        let sealer = Sealer::new(key.clone()).suite(suite);
        let (one, two) = (sealer.seal("x", b"1")?, sealer.seal("x", b"2")?);
        let mixed = [&one[..one.len() - payload], &two[two.len() - payload..]].concat();
        let error = open("x", &mixed, &key).expect_err("mixed").to_string();
        assert!(error.contains(words), "{error}");
    }
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
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert!(Key::load(&path).is_err_and(|e| e.to_string().contains("chmod 600")), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    }
    let hex = fs::read_to_string(&path).expect("read");
    fs::write(&path, hex.to_uppercase() + "\n").expect("written");
    assert_eq!(Key::load(&path)?.id(), made.id());
    for bad in
        ["", "too short", &hex[1..], &(hex.clone() + "0"), &hex.replacen(|_: char| true, "g", 1), &"0".repeat(9999)]
    {
        fs::write(&path, bad).expect("written");
        for load in [Key::load, Key::load_or_create] {
            let error = load(&path).expect_err("no key").to_string();
            assert!(error.contains("run.key") && error.contains("64 hex digits"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "a broken key is still a secret");
        }
    }
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
        prop_assert!(open("n", &[&b"TLSEAL02"[..], &noise].concat(), &key).is_err());
    }
}
