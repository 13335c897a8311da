//! Every parser of outside bytes, on sound inputs that were damaged: it says no, and never panics or runs away.

use std::io::Cursor;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use tapeloom_core::{ManualClock, MemoryLedger, Record};
use tapeloom_seal::{
    AuditLog, Key, Opener, Proof, Sealer, Secret, SecretFile, SigningKey, Suite, VerifyingKey, open, prove, verify,
};

fn key() -> Key {
    Key::from_bytes([7; 32])
}

struct Sound {
    sealed: [Vec<u8>; 2],
    log: Vec<u8>,
    secrets: Vec<u8>,
    note: String,
    proof: String,
    line: String,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let seal = |suite| Sealer::new(key()).suite(suite).seal("x", b"some plain bytes").expect("sealed");
        let path = folder.path().join("run.log");
        let clock = Arc::new(ManualClock::default());
        let log = AuditLog::open(&path, Some(&key()), clock.clone()).expect("opened");
        let log = log.signer(SigningKey::new("s", &key()).expect("a name"));
        let records: Vec<Record> = (0..5).map(|i| Record::new("a", "b", format!("{i}"))).collect();
        log.append_all(&records).expect("durable");
        let note = log.checkpoint().expect("signed");
        let evidence = prove(&path, Some(&key()), 3, &note).expect("proven");
        let file = folder.path().join("secrets.json");
        let ledger = Arc::new(MemoryLedger::default());
        let secrets =
            SecretFile::create(&file, &Sealer::new(key()), Opener::new(key()), "a", clock, ledger).expect("made");
        secrets.put("db", &Secret::new("one"), None).expect("put");
        Sound {
            sealed: [Suite::ChaCha20Poly1305, Suite::Aes256Gcm].map(seal),
            log: std::fs::read(&path).expect("read"),
            secrets: std::fs::read(&file).expect("read"),
            note,
            proof: evidence.proof.to_string(),
            line: evidence.line,
        }
    })
}

/// A change of bytes: one flipped, some cut out, some put in, or a part that comes twice.
fn damaged(good: &[u8], (kind, a, b, noise): (u8, prop::sample::Index, prop::sample::Index, Vec<u8>)) -> Vec<u8> {
    let (a, b) = (a.index(good.len()), b.index(good.len()));
    let (from, to) = (a.min(b), a.max(b));
    match kind % 4 {
        0 => good
            .iter()
            .enumerate()
            .map(|(i, byte)| if i == a { byte ^ noise.first().map_or(1, |n| n | 1) } else { *byte })
            .collect(),
        1 => [&good[..from], &good[to..]].concat(),
        2 => [&good[..a], &noise, &good[a..]].concat(),
        _ => [&good[..to], &good[from..]].concat(),
    }
}

fn change() -> impl Strategy<Value = (u8, prop::sample::Index, prop::sample::Index, Vec<u8>)> {
    (any::<u8>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn damaged_sealed_files_do_not_open(change in change(), aes in any::<bool>()) {
        let good = &sound().sealed[usize::from(aes)];
        let bad = damaged(good, change);
        prop_assert!(bad == *good || open("x", &bad, &key()).is_err());
        prop_assert!(bad == *good || Opener::new(key()).reader("x", Cursor::new(&bad)).is_err());
        let _ = Opener::inspect("x", &bad[..]);
    }

    #[test]
    fn damaged_notes_and_proofs_do_not_verify(change in change()) {
        let signer = SigningKey::new("s", &key()).expect("a name").verifying();
        let sound = sound();
        let text = String::from_utf8_lossy(&damaged(sound.note.as_bytes(), change.clone())).into_owned();
        prop_assert!(text == sound.note || signer.open(&text).is_err() || text.starts_with(&sound.note));
        let _ = text.parse::<VerifyingKey>();
        let text = String::from_utf8_lossy(&damaged(sound.proof.as_bytes(), change)).into_owned();
        let proof = text.parse::<Proof>();
        let holds = proof.is_ok_and(|proof| proof.sequence() != 3 && proof.verify(&sound.line, &signer).is_ok());
        prop_assert!(!holds);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_logs_and_secrets_are_refused(change in change()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (log, secrets) = (folder.path().join("run.log"), folder.path().join("secrets.json"));
        let bad = damaged(&sound().log, change.clone());
        std::fs::write(&log, &bad).expect("written");
        // Whole lines that are missing at the end need a receipt to be found.
        prop_assert!(sound().log.starts_with(&bad) || verify(&log, Some(&key())).is_err());
        let bad = damaged(&sound().secrets, change);
        std::fs::write(&secrets, &bad).expect("written");
        #[cfg(unix)]
        std::fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
        let clock = Arc::new(ManualClock::default());
        let opened = SecretFile::open(&secrets, Opener::new(key()), 0, "a", clock, Arc::new(MemoryLedger::default()));
        prop_assert!(bad == sound().secrets || opened.is_err());
    }
}
