use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tapeloom_core::{BlobStore, ManualClock, MemoryLedger, MemoryStore, Timestamp};
use tapeloom_seal::{
    AuditLog, EnvironmentSecrets, Error, Key, Opener, Passphrase, Result, SealedStore, Sealer, Secret, SecretFile,
    SecretSource, Secrets, check_secret_source,
};

const DAY_US: i64 = 86_400_000_000;

struct Host {
    _folder: tempfile::TempDir,
    path: PathBuf,
    key: Key,
    clock: Arc<ManualClock>,
    ledger: Arc<MemoryLedger>,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("secrets/encrypted_secrets.json");
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(DAY_US)));
        Self { path, _folder: folder, key: Key::from_bytes([5; 32]), clock, ledger: Arc::default() }
    }

    fn create(&self) -> Result<SecretFile> {
        let (sealer, opener) = (Sealer::new(self.key.clone()), Opener::new(self.key.clone()));
        SecretFile::create(&self.path, &sealer, opener, "host", self.clock.clone(), self.ledger.clone())
    }

    fn open(&self, at_least: u64) -> Result<SecretFile> {
        let opener = Opener::new(self.key.clone());
        SecretFile::open(&self.path, opener, at_least, "host", self.clock.clone(), self.ledger.clone())
    }
}

fn text(secret: Option<Secret>) -> Option<String> {
    secret.map(|secret| secret.expose_text().expect("text").to_owned())
}

#[test]
fn secrets_come_back_in_their_newest_version() -> Result<()> {
    let host = Host::new();
    let file = host.create()?;
    assert!(file.secret("db")?.is_none());
    assert_eq!((file.put("db", &Secret::new("one"), None)?, file.put("db", &Secret::new("two"), None)?), (1, 2));
    file.put("token", &Secret::new("t"), None)?;
    let again = host.open(4)?;
    assert_eq!((text(again.secret("db")?).as_deref(), again.generation()?), (Some("two"), 4));
    let names: Vec<(String, u32)> = again.list()?.into_iter().map(|info| (info.name, info.version)).collect();
    assert_eq!(names, [("db".into(), 1), ("db".into(), 2), ("token".into(), 1)]);
    assert_eq!(again.delete("db", 2)?, 1);
    assert_eq!(text(file.secret("db")?).as_deref(), Some("two"));
    assert!(matches!(again.delete("none", 9), Err(Error::NoSecret { .. })));
    assert!(matches!(host.create(), Err(Error::Invalid { .. })));
    let on_disk = fs::read_to_string(&host.path).expect("read");
    assert!(!on_disk.contains("two") && on_disk.contains("\"name\":\"db\""));
    Ok(())
}

#[test]
fn every_changed_byte_is_refused() -> Result<()> {
    let host = Host::new();
    host.create()?.put("db", &Secret::new("one"), Some(Timestamp::from_micros(9 * DAY_US)))?;
    let good = fs::read(&host.path).expect("read");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 7);
        fs::write(&host.path, bad).expect("written");
        assert!(host.open(0).is_err(), "byte {at}");
        fs::write(&host.path, &good[..at]).expect("written");
        assert!(host.open(0).is_err(), "cut at {at}");
    }
    Ok(())
}

#[test]
fn an_old_copy_in_its_place_is_refused() -> Result<()> {
    let host = Host::new();
    let file = host.create()?;
    file.put("db", &Secret::new("leaked"), None)?;
    let old = fs::read(&host.path).expect("read");
    file.put("db", &Secret::new("fresh"), None)?;
    fs::write(&host.path, &old).expect("replayed");
    // The open handle saw the newer one, and so did the ledger.
    assert!(matches!(file.secret("db"), Err(Error::Replayed { found: 2, seen: 3, .. })));
    let newest = host.ledger.records();
    let newest = newest.iter().filter(|record| record.outcome == "success");
    let newest = newest.filter_map(|record| record.details.get("generation")?.parse().ok()).max();
    let error = host.open(newest.unwrap_or(0)).expect_err("replayed").to_string();
    assert!(error.contains("generation 2") && error.contains("an old copy"), "{error}");
    assert!(host.open(0).is_ok(), "nothing but memory tells an old copy");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::new();
    host.create()?;
    assert_eq!(fs::metadata(&host.path).expect("there").permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&host.path, fs::Permissions::from_mode(0o640)).expect("set");
    assert!(host.open(0).is_err_and(|e| e.to_string().contains("chmod 600")));
    Ok(())
}

#[test]
fn an_expired_secret_is_named_and_not_given_out() -> Result<()> {
    let host = Host::new();
    let file = host.create()?;
    file.put("db", &Secret::new("one"), Some(Timestamp::from_micros(3 * DAY_US)))?;
    assert_eq!(file.due(DAY_US)?.len(), 0);
    assert_eq!(file.due(2 * DAY_US)?[0].name, "db");
    host.clock.advance(2 * DAY_US);
    let error = file.secret("db").expect_err("expired").to_string();
    assert_eq!(error, "secret db expired at 1970-01-04T00:00:00.000000Z: put in its next version");
    file.put("db", &Secret::new("two"), None)?;
    assert_eq!((text(file.secret("db")?).as_deref(), file.due(DAY_US)?.len()), (Some("two"), 0));
    Ok(())
}

#[test]
fn keys_rotate_by_one_more_version() -> tapeloom_core::Result<()> {
    let host = Host::new();
    let file = host.create()?;
    let first = Key::generate()?;
    file.put("seal", &Secret::from(&first), None)?;
    let (sealer, opener) = file.keys("seal")?;
    let store = SealedStore::with(MemoryStore::default(), sealer, opener);
    store.put("a", b"1")?;
    let old = store.inner().get("a")?;
    file.put("seal", &Secret::from(&Key::generate()?), None)?;
    let (sealer, opener) = file.keys("seal")?;
    let store = SealedStore::with(MemoryStore::default(), sealer, opener);
    store.inner().put("a", &old)?;
    assert_eq!(store.get("a")?, b"1");
    store.rewrap("")?;
    file.delete("seal", 2)?;
    let (sealer, opener) = file.keys("seal")?;
    let rotated = SealedStore::with(MemoryStore::default(), sealer, opener);
    rotated.inner().put("a", &store.inner().get("a")?)?;
    assert_eq!(rotated.get("a")?, b"1");
    rotated.inner().put("a", &old)?;
    assert!(rotated.get("a").is_err());
    Ok(())
}

#[test]
fn the_file_can_be_given_to_others() -> Result<()> {
    let host = Host::new();
    let file = host.create()?;
    file.put("db", &Secret::new("one"), None)?;
    file.rekey(&Sealer::new(Passphrase::new("seven words")?))?;
    assert!(matches!(host.open(0), Err(Error::WrongKey { .. })));
    let opener = Opener::with_passphrase(Passphrase::new("seven words")?);
    let other = SecretFile::open(&host.path, opener, 3, "host", host.clock.clone(), host.ledger.clone())?;
    assert_eq!(text(other.secret("db")?).as_deref(), Some("one"));
    Ok(())
}

#[test]
fn two_processes_that_write_lose_nothing() -> Result<()> {
    let host = Host::new();
    host.create()?;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            // Each opens the file by itself, as a process would.
            let file = host.open(0).expect("opened");
            scope.spawn(move || {
                for i in 0..5 {
                    file.put(&format!("s-{thread}-{i}"), &Secret::new("x"), None).expect("put");
                }
            });
        }
    });
    assert_eq!((host.open(0)?.list()?.len(), host.open(0)?.generation()?), (20, 21));
    Ok(())
}

#[test]
fn the_environment_is_read_once_and_emptied() -> Result<()> {
    let variables = || [("TOKEN", "t-1"), ("EMPTY", ""), ("PATH", "/bin")].map(|(n, v)| (n.into(), v.into()));
    let mut removed = Vec::new();
    let secrets =
        EnvironmentSecrets::take(["TOKEN", "EMPTY", "ABSENT"], variables(), |name| removed.push(name.to_owned()));
    assert_eq!(removed, ["TOKEN", "EMPTY"]);
    assert_eq!(text(secrets.secret("TOKEN")?).as_deref(), Some("t-1"));
    assert!(secrets.secret("EMPTY")?.is_none() && secrets.secret("PATH")?.is_none());
    Ok(())
}

#[test]
fn sources_keep_their_contract() -> Result<()> {
    let host = Host::new();
    let file = host.create()?;
    file.put("db", &Secret::new("one"), None)?;
    check_secret_source(&file, "db", "none")?;
    let environment = EnvironmentSecrets::take(["db"], [("db".into(), "x".into())], |_| {});
    check_secret_source(&environment, "db", "none")?;
    assert!(check_secret_source(&environment, "none", "db").is_err());
    Ok(())
}

#[test]
fn sources_are_asked_in_order_and_each_answer_is_on_record() -> Result<()> {
    let host = Host::new();
    let file = Arc::new(host.create()?);
    file.put("db", &Secret::new("from-file"), None)?;
    file.put("token", &Secret::new("from-file"), Some(Timestamp::from_micros(0)))?;
    let environment = EnvironmentSecrets::take(["db"], [("db".into(), "from-env".into())], |_| {});
    let secrets = Secrets::new("trainer", host.ledger.clone()).source(Arc::new(environment)).source(file);
    assert_eq!(secrets.get("db")?.expose_text()?, "from-env");
    assert!(matches!(secrets.get("token"), Err(Error::Expired { .. })));
    let error = secrets.get("none").expect_err("nowhere").to_string();
    assert_eq!(error, "no secret named none: asked were environment, file");
    let records = host.ledger.records();
    let read: Vec<(&str, &str)> = records
        .iter()
        .filter(|record| record.action == "secret.read")
        .map(|record| (record.object.as_str(), record.outcome.as_str()))
        .collect();
    assert_eq!(read, [("db", "success"), ("token", "failure"), ("none", "failure")]);
    Ok(())
}

#[test]
fn a_ledger_that_fails_keeps_secrets_where_they_are() -> Result<()> {
    #[derive(Debug)]
    struct Broken;
    impl tapeloom_core::Ledger for Broken {
        fn append(&self, _: &tapeloom_core::Record) -> tapeloom_core::Result<tapeloom_core::Receipt> {
            Err(tapeloom_core::Error::provider("the ledger is full", "no space"))
        }
    }
    let host = Host::new();
    host.create()?;
    let before = fs::read(&host.path).expect("read");
    let opener = Opener::new(host.key.clone());
    let file = SecretFile::open(&host.path, opener, 0, "host", host.clock.clone(), Arc::new(Broken))?;
    assert!(matches!(file.put("db", &Secret::new("x"), None), Err(Error::Ledger(_))));
    assert_eq!(fs::read(&host.path).expect("read"), before);
    let environment = EnvironmentSecrets::take(["db"], [("db".into(), "x".into())], |_| {});
    let secrets = Secrets::new("trainer", Arc::new(Broken)).source(Arc::new(environment));
    assert!(matches!(secrets.get("db"), Err(Error::Ledger(_))));
    Ok(())
}

/// Everything that a program could print about secrets is searched for what was planted in them.
#[test]
fn planted_canaries_show_up_nowhere() -> Result<()> {
    const CANARY: &str = "canary-7f3a9c";
    let bytes: [u8; 32] = *b"canary-7f3a9c-in-a-long-long-key";
    let host = Host::new();
    let key = Key::from_bytes(bytes);
    let passphrase = Passphrase::new(CANARY)?;
    let secret = Secret::new(CANARY);
    let environment = EnvironmentSecrets::take([CANARY], [(CANARY.into(), CANARY.into())], |_| {});
    let log = host.path.with_file_name("audit.log");
    let ledger = Arc::new(AuditLog::open(&log, Some(&key), host.clock.clone())?);
    let sealer = Sealer::new(key.clone()).recipient(passphrase.clone());
    let opener = Opener::new(key.clone()).passphrase(passphrase.clone());
    let file = SecretFile::create(&host.path, &sealer, opener.clone(), "host", host.clock.clone(), ledger.clone())?;
    file.put("db", &secret, None)?;
    let sealed = sealer.seal("x", CANARY.as_bytes())?;
    let reader = opener.reader("x", std::io::Cursor::new(sealed.clone()))?;
    let mut shown = vec![
        format!("{key:?} {passphrase:?} {secret:?} {sealer:?} {opener:?} {file:?} {reader:?} {ledger:?}"),
        format!("{:#?}", Recipients(&sealer)),
        format!("{:?}", tapeloom_seal::SigningKey::new("s", &key)?),
        format!("{:?}", file.list()?),
        String::from_utf8_lossy(&sealed).into_owned(),
        fs::read_to_string(&host.path).expect("read"),
        fs::read_to_string(&log).expect("read"),
    ];
    // Environment names come from the caller, values do not show.
    shown.push(format!("{environment:?}").replacen(CANARY, "", 1));
    let errors = [
        open_with_other(&sealed),
        Secret::new(CANARY).to_key().map(drop).expect_err("no key"),
        Secret::new([CANARY.as_bytes(), &[0xff]].concat()).expose_text().map(drop).expect_err("no text"),
        Opener::new(key).open("x", CANARY.as_bytes()).map(drop).expect_err("no sealed file"),
    ];
    for error in errors {
        let mut chain: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = chain {
            shown.push(format!("{error} {error:?}"));
            chain = error.source();
        }
    }
    let panic = std::panic::catch_unwind(move || std::panic::panic_any(format!("{secret:?} {passphrase:?}")));
    shown.push(panic.expect_err("it panicked").downcast_ref::<String>().cloned().unwrap_or_default());
    for text in &shown {
        assert!(!text.contains(CANARY), "{text}");
        assert!(!text.contains("63616e6172792d3766"), "in hex: {text}");
        assert!(!text.contains("99, 97, 110, 97, 114"), "as numbers: {text}");
    }
    Ok(())
}

#[derive(Debug)]
struct Recipients<'a>(#[expect(dead_code, reason = "shown")] &'a Sealer);

fn open_with_other(sealed: &[u8]) -> Error {
    Opener::new(Key::from_bytes([1; 32])).open("x", sealed).map(drop).expect_err("another key")
}
