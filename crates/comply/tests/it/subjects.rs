use std::sync::Arc;

use tapeloom_comply::{Date, Deletion, Error, Lineage, RecordClass, Result, Retention, RetentionConfig, SubjectVault};
use tapeloom_core::{BlobStore, FsStore, ManualClock, Timestamp};
use tapeloom_seal::{AuditLog, Key, SigningKey, entries, prove, verify};

struct Host {
    folder: tempfile::TempDir,
    key: Key,
    log: Arc<AuditLog>,
}

impl Host {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = Key::from_bytes([3; 32]);
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000)));
        let signer = SigningKey::new("desk", &key.purpose("signer"))?;
        let log = AuditLog::open(folder.path().join("audit.log"), Some(&key), clock)?.signer(signer);
        Ok(Self { folder, key, log: Arc::new(log) })
    }

    fn store(&self, name: &str) -> FsStore {
        FsStore::open(self.folder.path().join(name)).expect("a store")
    }

    fn vault(&self) -> SubjectVault<FsStore, FsStore> {
        SubjectVault::new(self.store("keys"), self.store("data"), &self.key, "desk 7", self.log.clone())
    }

    fn lineage(&self) -> Result<Lineage> {
        Ok(Lineage::of(&entries(self.log.path(), Some(&self.key))?))
    }
}

#[test]
fn data_of_a_person_come_back_change_and_go_out() -> Result<()> {
    let host = Host::new()?;
    let vault = host.vault();
    vault.put("desk", "jane@x.org", "profile", b"Jane")?;
    vault.put("desk", "jane@x.org", "profile", b"Jane Doe")?;
    vault.put("desk", "jane@x.org", "photo", &[0xff, 1])?;
    vault.put("desk", "john@x.org", "profile", b"John")?;
    assert_eq!(vault.get("desk", "jane@x.org", "profile")?, b"Jane Doe");
    let who = vault.pseudonym("jane@x.org");
    Lineage::record_data_set(&*host.log, "desk", "set-1", [who.as_str()])?;
    Lineage::record_checkpoint(&*host.log, "trainer", "epoch-3", "set-1")?;
    Lineage::record_checkpoint(&*host.log, "trainer", "epoch-9", "set-2")?;
    let export = vault.export("desk", "jane@x.org", &host.lineage()?)?;
    assert_eq!((export.data["profile"].as_str(), export.data["photo"].as_str()), ("Jane Doe", "ff01"));
    assert_eq!((export.data_sets, export.checkpoints), (vec!["set-1".to_owned()], vec!["epoch-3".to_owned()]));
    // The log names nobody, and neither do the stores.
    let text = std::fs::read_to_string(host.log.path()).expect("read");
    assert!(!text.contains("jane") && text.contains(&who));
    assert!(host.store("data").list("")?.iter().all(|name| !name.contains("jane")));
    Ok(())
}

#[test]
fn an_erased_person_is_gone_from_every_backup_and_the_log_still_verifies() -> Result<()> {
    let host = Host::new()?;
    let vault = host.vault();
    vault.put("desk", "jane@x.org", "profile", b"Jane")?;
    vault.put("desk", "john@x.org", "profile", b"John")?;
    let who = vault.pseudonym("jane@x.org");
    Lineage::record_data_set(&*host.log, "desk", "set-1", [who.as_str()])?;
    Lineage::record_checkpoint(&*host.log, "trainer", "epoch-3", "set-1")?;
    let backup: Vec<(String, Vec<u8>)> = host
        .store("data")
        .list("")?
        .into_iter()
        .map(|name| (name.clone(), host.store("data").get(&name).expect("there")))
        .collect();
    let erasure = vault.erase("officer", "jane@x.org", Deletion::Allowed, &host.lineage()?)?;
    assert_eq!((erasure.blobs, erasure.checkpoints.as_slice()), (1, &["epoch-3".to_owned()][..]));
    assert!(matches!(vault.get("desk", "jane@x.org", "profile"), Err(Error::Invalid { .. })));
    // A backup of the data does not bring them back.
    for (name, bytes) in &backup {
        host.store("data").put(name, bytes)?;
    }
    let error = vault.get("desk", "jane@x.org", "profile").expect_err("erased").to_string();
    assert!(error.contains("erased"), "{error}");
    assert_eq!(vault.get("desk", "john@x.org", "profile")?, b"John");
    // Not even with the next key of the same person.
    vault.put("desk", "jane@x.org", "other", b"new")?;
    assert!(vault.get("desk", "jane@x.org", "profile").is_err());
    // The record is evidence that the person can check without the log.
    let note = host.log.checkpoint()?;
    assert!(verify(host.log.path(), Some(&host.key)).is_ok());
    let evidence = prove(host.log.path(), Some(&host.key), erasure.receipt.sequence, &note)?;
    assert!(evidence.line.contains("subject.erased") && evidence.line.contains(&who));
    evidence.proof.verify(&evidence.line, &SigningKey::new("desk", &host.key.purpose("signer"))?.verifying())?;
    Ok(())
}

#[test]
fn a_legal_duty_comes_before_an_erasure_and_the_refusal_is_on_record() -> Result<()> {
    let host = Host::new()?;
    let vault = host.vault();
    vault.put("desk", "jane@x.org", "trades", b"1")?;
    let day = |text: &str| text.parse::<Date>().expect("a date");
    let retention = Retention::new(RetentionConfig::default())?;
    let duty = retention.may_delete(RecordClass::OrdersAndTransactions, day("2024-01-01"), day("2026-01-01"), false);
    let error = vault.erase("officer", "jane@x.org", duty, &Lineage::default()).expect_err("kept").to_string();
    assert!(
        error.contains("600/2014 art. 25(1)") && error.contains("2029-01-01") && error.contains("17(3)(b)"),
        "{error}"
    );
    assert!(vault.erase("officer", "jane@x.org", Deletion::Held, &Lineage::default()).is_err());
    assert_eq!(vault.get("desk", "jane@x.org", "trades")?, b"1");
    let all = entries(host.log.path(), Some(&host.key))?;
    let refused = all.iter().filter(|entry| entry.record.outcome == "refused").count();
    assert_eq!(refused, 2);
    let error =
        vault.erase("officer", "nobody", Deletion::Allowed, &Lineage::default()).expect_err("nobody").to_string();
    assert!(error.contains("nothing is held"), "{error}");
    Ok(())
}

#[test]
fn a_restriction_keeps_data_and_stops_their_use() -> Result<()> {
    let host = Host::new()?;
    let vault = host.vault();
    vault.put("desk", "jane@x.org", "profile", b"Jane")?;
    vault.restrict("officer", "jane@x.org", "accuracy is contested")?;
    assert!(vault.get("desk", "jane@x.org", "profile").is_err_and(|e| e.to_string().contains("art. 18")));
    assert!(vault.put("desk", "jane@x.org", "profile", b"J").is_err());
    assert_eq!(vault.export("desk", "jane@x.org", &Lineage::default())?.data["profile"], "Jane");
    vault.unrestrict("officer", "jane@x.org", "settled")?;
    assert_eq!(vault.get("desk", "jane@x.org", "profile")?, b"Jane");
    Ok(())
}

#[test]
fn data_of_one_person_do_not_open_as_another_ones() -> Result<()> {
    let host = Host::new()?;
    let vault = host.vault();
    vault.put("desk", "jane", "profile", b"Jane")?;
    vault.put("desk", "john", "profile", b"John")?;
    let store = host.store("data");
    let of = |who: &str| format!("subjects/{}/profile", vault.pseudonym(who));
    store.put(&of("john"), &store.get(&of("jane"))?)?;
    assert!(vault.get("desk", "john", "profile").is_err());
    let other = SubjectVault::new(host.store("keys"), host.store("data"), &host.key, "desk 8", host.log.clone());
    assert!(other.get("desk", "jane", "profile").is_err());
    Ok(())
}
