//! What a process that is killed at any moment leaves behind. The child is this test binary, told to run one ignored test.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tapeloom_core::{Ledger, Receipt, Record, SystemClock};
use tapeloom_seal::{AuditConfig, AuditLog, Key, Opener, Result, Sealer, SigningKey, Verifier, entries, verify_since};

const FOLDER: &str = "TAPELOOM_TEST_FOLDER";

/// Runs a child test until it has said `lines` things, kills it, and gives what it said.
fn killed(child: &str, folder: &Path, lines: usize) -> Vec<String> {
    let exe = std::env::current_exe().expect("this test");
    let mut process = Command::new(exe)
        .args(["--exact", &format!("crash::{child}"), "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let out = BufReader::new(process.stdout.take().expect("piped"));
    let mut said =
        out.lines().map_while(std::result::Result::ok).filter_map(|line| Some(line.strip_prefix("did ")?.to_owned()));
    let said: Vec<String> = said.by_ref().take(lines).collect();
    process.kill().expect("killed");
    process.wait().expect("ended");
    assert_eq!(said.len(), lines, "the child ended by itself");
    said
}

#[expect(clippy::disallowed_methods, reason = "the folder is how parent and child meet")]
fn folder() -> std::path::PathBuf {
    std::env::var_os(FOLDER).expect("started by another test").into()
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn did(what: impl std::fmt::Display) {
    println!("did {what}");
}

fn key() -> Key {
    Key::from_bytes([7; 32])
}

fn signer() -> SigningKey {
    SigningKey::new("test", &key()).expect("a name")
}

#[test]
#[ignore = "a child of another test"]
fn append_for_ever() {
    let log = AuditLog::open(folder().join("run.log"), Some(&key()), Arc::new(SystemClock)).expect("opened");
    let log = log.config(AuditConfig { rotate_bytes: Some(3_000), checkpoint_every: 3 }).signer(signer());
    loop {
        let receipt = log.append(&Record::new("a", "b", "c".repeat(200))).expect("durable");
        did(serde_json::to_string(&receipt).expect("text"));
    }
}

#[test]
fn a_log_killed_at_any_moment_keeps_every_record_that_it_acknowledged() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.log");
    let mut acknowledged: Vec<Receipt> = Vec::new();
    // Most of these fall into a rotation: a file takes six records.
    for lines in [3, 4, 5, 6, 7, 11, 12, 13] {
        let said = killed("append_for_ever", folder.path(), lines);
        acknowledged.extend(said.iter().map(|line| serde_json::from_str::<Receipt>(line).expect("a receipt")));
        drop(AuditLog::open(&path, Some(&key()), Arc::new(SystemClock))?);
        let all = entries(&path, Some(&key()))?;
        for receipt in &acknowledged {
            assert_eq!(all[receipt.sequence as usize].hash, receipt.hash);
        }
        verify_since(&path, Some(&key()), acknowledged.last().expect("some"))?;
        Verifier::new(Some(&key())).signer(signer().verifying()).verify(&path)?;
    }
    Ok(())
}

#[test]
#[ignore = "a child of another test"]
fn rewrap_for_ever() {
    let path = folder().join("x.sealed");
    for generation in 0..u8::MAX {
        let (old, new) = (Key::from_bytes([generation; 32]), Key::from_bytes([generation + 1; 32]));
        Opener::new(old).rewrap_file("x", &path, &Sealer::new(new)).expect("rewrapped");
        did(generation + 1);
    }
}

#[test]
fn a_file_killed_while_it_is_rewrapped_opens_with_the_old_or_the_new_key() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.sealed");
    let plain = vec![7; 300_000];
    for lines in [1, 2, 5, 9] {
        Sealer::new(Key::from_bytes([0; 32])).seal_file("x", &plain[..], &path)?;
        let said = killed("rewrap_for_ever", folder.path(), lines);
        let last: u8 = said.last().and_then(|line| line.parse().ok()).expect("a number");
        let sealed = std::fs::read(&path).expect("whole");
        // The child may have gone on before it died.
        let opened = (last..=u8::MAX)
            .find_map(|generation| Opener::new(Key::from_bytes([generation; 32])).open("x", &sealed).ok());
        assert!(opened.is_some_and(|opened| opened == plain), "{lines}");
    }
    Ok(())
}
