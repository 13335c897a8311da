use std::io::Cursor;

use tapeloom_core::{BlobStore, FsStore, MemoryStore};
use tapeloom_seal::{
    Error, Kdf, KdfLimits, Key, Opener, Passphrase, Recipient, Result, SealConfig, SealedStore, Sealer, Suite, open,
};

const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).expect("not empty")
}

#[test]
fn each_recipient_opens_and_nobody_else_does() -> Result<()> {
    let (ours, theirs, other) = (Key::generate()?, Key::generate()?, Key::generate()?);
    for suite in SUITES {
        let sealer =
            Sealer::new(ours.clone()).recipient(theirs.clone()).recipient(passphrase("seven words")).suite(suite);
        let sealed = sealer.seal("x", b"secret")?;
        for key in [&ours, &theirs] {
            assert_eq!(open("x", &sealed, key)?, b"secret");
        }
        assert_eq!(Opener::with_passphrase(passphrase("seven words")).open("x", &sealed)?, b"secret");
        assert!(matches!(open("x", &sealed, &other), Err(Error::WrongKey { .. })));
        let error =
            Opener::with_passphrase(passphrase("eight words")).open("x", &sealed).expect_err("wrong").to_string();
        assert!(error.ends_with("a passphrase, this is a passphrase"), "{error}");
        // A ring with the right key among others opens too.
        assert_eq!(Opener::new(other.clone()).key(theirs.clone()).open("x", &sealed)?, b"secret");
    }
    Ok(())
}

#[test]
fn the_header_says_what_it_is_and_for_whom() -> Result<()> {
    let key = Key::generate()?;
    let created = "2018-12-31T00:00:00Z".parse::<String>().map(|text| tapeloom_core::Timestamp::parse(&text));
    let created = created.expect("text").expect("a time");
    let sealer = Sealer::new(key.clone()).suite(Suite::Aes256Gcm).tenant("desk 7").purpose("checkpoint");
    let sealed = sealer.media_type("application/burnpack").created(created).seal("x", b"")?;
    let info = Opener::inspect("x", &sealed[..])?;
    assert_eq!(info.recipients, [format!("key {}", key.id())]);
    assert_eq!((info.label.suite, info.label.tenant.as_deref()), (Suite::Aes256Gcm, Some("desk 7")));
    assert_eq!((info.label.purpose.as_deref(), info.label.created), (Some("checkpoint"), Some(created)));
    Ok(())
}

#[test]
fn rewrapping_changes_the_recipients_and_no_byte_of_the_payload() -> Result<()> {
    let (old, new) = (Key::generate()?, Key::generate()?);
    let plain = vec![7; 200_000];
    for suite in SUITES {
        let sealed = Sealer::new(old.clone()).recipient(passphrase("leaving")).suite(suite).seal("x", &plain)?;
        let rewrapped = Opener::new(old.clone()).rewrap("x", &sealed, &Sealer::new(new.clone()))?;
        assert!(open("x", &rewrapped, &new)? == plain);
        assert!(matches!(open("x", &rewrapped, &old), Err(Error::WrongKey { .. })));
        assert!(Opener::with_passphrase(passphrase("leaving")).open("x", &rewrapped).is_err());
        assert_eq!(rewrapped[rewrapped.len() - plain.len()..], sealed[sealed.len() - plain.len()..]);
        // The old header before the same payload is the same file as before; entries of both can't be mixed.
        let payload = plain.len();
        let forged = [&sealed[..sealed.len() - payload], &rewrapped[rewrapped.len() - payload..]].concat();
        assert!(open("x", &forged, &old)? == plain);
    }
    Ok(())
}

#[test]
fn a_rotated_store_opens_with_the_new_key_alone() -> tapeloom_core::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (old, new) = (Key::generate()?, Key::generate()?);
    SealedStore::new(FsStore::open(folder.path())?, old.clone()).put("a/b", b"1")?;
    // In between, files of both keys open.
    let both = Opener::new(new.clone()).key(old.clone());
    let store = SealedStore::with(FsStore::open(folder.path())?, Sealer::new(new.clone()), both);
    store.put("c", b"2")?;
    assert_eq!((store.get("a/b")?, store.get("c")?), (b"1".to_vec(), b"2".to_vec()));
    assert_eq!(store.rewrap("")?, 2);
    let store = SealedStore::new(FsStore::open(folder.path())?, new);
    assert_eq!((store.get("a/b")?, store.get("c")?), (b"1".to_vec(), b"2".to_vec()));
    assert!(SealedStore::new(FsStore::open(folder.path())?, old).get("a/b").is_err());
    Ok(())
}

#[test]
fn tenants_cannot_read_each_other() -> tapeloom_core::Result<()> {
    let (inner, key) = (MemoryStore::default(), Key::generate()?);
    let sealed = {
        let ours = SealedStore::tenant(MemoryStore::default(), &key, "ours");
        ours.put("model", b"1")?;
        assert_eq!(ours.get("model")?, b"1");
        ours.inner().get("model")?
    };
    inner.put("model", &sealed)?;
    let error = SealedStore::tenant(inner, &key, "theirs").get("model").expect_err("another tenant");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert_eq!(cause, "model belongs to tenant \"ours\", not to tenant \"theirs\"");
    // Nor does a lie about the name help: the key is another, and the name is under the header's MAC.
    let opener = Opener::new(key.tenant("theirs")).tenant("ours");
    assert!(matches!(opener.open("model", &sealed), Err(Error::WrongKey { .. })));
    let lied = String::from_utf8_lossy(&sealed[..60]).replace("ours", "them").into_bytes();
    let lied = [&lied[..], &sealed[60..]].concat();
    assert!(matches!(Opener::new(key.tenant("ours")).tenant("them").open("model", &lied), Err(Error::Damaged { .. })));
    assert!(matches!(Opener::new(key.tenant("ours")).open("model", &sealed), Err(Error::WrongTenant { .. })));
    Ok(())
}

#[test]
fn a_weak_derivation_is_read_with_a_warning_and_never_written() -> Result<()> {
    let weak = Kdf::Pbkdf2 { iterations: 100_000 };
    let error =
        Sealer::new(Recipient::Passphrase(passphrase("x"), weak)).seal("x", b"1").expect_err("weak").to_string();
    assert!(error.contains("600000"), "{error}");
    // Sealed by another implementation with 100,000 rounds.
    let sealed = include_bytes!("../data/sealed-v2-pbkdf2-100000.bin");
    let opener = Opener::with_passphrase(passphrase("correct horse"));
    assert_eq!(opener.open("old", sealed)?, b"twelve years");
    let reader = opener.reader("old", Cursor::new(&sealed[..]))?;
    assert!(reader.warning().is_some_and(|text| text.contains("100000 rounds")));
    let strong = Sealer::new(Recipient::Passphrase(passphrase("x"), Kdf::pbkdf2())).seal("x", b"1")?;
    assert!(Opener::with_passphrase(passphrase("x")).reader("x", Cursor::new(strong))?.warning().is_none());
    Ok(())
}

#[test]
fn a_config_in_older_spelling_is_read_and_made_sound() -> Result<()> {
    let text = r#"{"encryption_algorithm":"AES-256-GCM","key_derivation_algorithm":"PBKDF2","key_length":32,"salt_length":16,"iterations":100000}"#;
    let config: SealConfig = serde_json::from_str(text).expect("a config");
    let told = config.check();
    assert!(
        told.len() == 1 && told[0].starts_with("iterations = 100000: new files are written with 600000"),
        "{told:?}"
    );
    let sealed = config.passphrase_sealer(passphrase("x"))?.seal("x", b"1")?;
    assert_eq!(Opener::inspect("x", &sealed[..])?.label.suite, Suite::Aes256Gcm);
    assert!(String::from_utf8_lossy(&sealed).contains(r#""name":"pbkdf2","iterations":600000"#));
    assert_eq!(SealConfig::default().check(), [""; 0]);
    for bad in [SealConfig { key_length: 16, ..config.clone() }, SealConfig { salt_length: 8, ..config.clone() }] {
        assert!(bad.sealer(Key::generate()?).is_err_and(|e| e.to_string().contains("_length = ")));
    }
    assert!(serde_json::from_str::<SealConfig>(r#"{"encryption_algorithm":"ROT13"}"#).is_err());
    Ok(())
}

#[test]
fn a_header_cannot_make_opening_dear() -> Result<()> {
    let sealed = Sealer::new(passphrase("x")).seal("x", b"1")?;
    let text = b"\"memory_kib\":19456";
    let at = sealed.windows(text.len()).position(|bytes| bytes == text).expect("in the header");
    let mut dear = sealed.clone();
    dear[at..at + text.len()].copy_from_slice(b"\"memory_kib\":99999");
    let limits = KdfLimits { memory_kib: 60_000, ..KdfLimits::default() };
    let error = Opener::with_passphrase(passphrase("x")).limits(limits).open("x", &dear).expect_err("too dear");
    assert!(error.to_string().starts_with("kdf.memory_kib = 99999"), "{error}");
    // Within the limits the changed number is found by the work it asks for.
    assert!(matches!(Opener::with_passphrase(passphrase("x")).open("x", &dear), Err(Error::WrongKey { .. })));
    Ok(())
}

#[test]
fn there_are_limits_to_recipients() -> Result<()> {
    let key = Key::generate()?;
    let many = (0..32).fold(Sealer::new(key.clone()), |sealer, _| sealer.recipient(key.clone()));
    assert!(matches!(many.seal("x", b""), Err(Error::Invalid { .. })));
    let many = (0..4).fold(Sealer::new(passphrase("a")), |sealer, _| sealer.recipient(passphrase("a")));
    assert!(matches!(many.seal("x", b""), Err(Error::Invalid { .. })));
    assert!(matches!(Sealer::new(key).tenant("t".repeat(3000)).seal("x", b""), Err(Error::Invalid { .. })));
    Ok(())
}
