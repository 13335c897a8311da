//! Sealing and opening of each suite, against `openssl speed` of the same cipher in the same run, and the audit log's
//! appends: rates by processor time of one thread, and by the clock with all threads.
//!
//! `cargo bench -p tapeloom-seal --bench throughput [--features ring]`
#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

use std::hint::black_box;
use std::io::{Read, Seek, Write};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use tapeloom_core::{Ledger, Record, SystemClock};
use tapeloom_seal::{AuditLog, Kdf, Key, Opener, Passphrase, Recipient, Sealer, SigningKey, Suite, verify};

const MIB: usize = 1 << 20;

/// Time that this thread had a core, in seconds: on a busy machine the wall clock measures the others.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

/// Bytes a second of `openssl speed`, which counts processor time.
fn openssl(cipher: &str) -> Option<f64> {
    let arguments = ["speed", "-mr", "-seconds", "2", "-bytes", "1048576", "-evp", cipher];
    let output = Command::new("openssl").args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.starts_with("+F:")).find_map(|line| line.rsplit(':').next()?.trim().parse().ok())
}

fn rate(rounds: usize, bytes: usize, mut run: impl FnMut()) -> (f64, f64) {
    run();
    let (start, wall) = (cpu_seconds(), Instant::now());
    (0..rounds).for_each(|_| run());
    let total = (rounds * bytes) as f64;
    (total / (cpu_seconds() - start), total / wall.elapsed().as_secs_f64())
}

fn ciphers() {
    let (plain, key) = (vec![7; MIB], Key::from_bytes([7; 32]));
    for (suite, cipher) in [(Suite::ChaCha20Poly1305, "chacha20-poly1305"), (Suite::Aes256Gcm, "aes-256-gcm")] {
        const ROUNDS: usize = 512;
        let sealer = Sealer::new(key.clone()).suite(suite);
        let stream = |threads: usize| {
            let mut writer = sealer.clone().threads(threads).writer("x", std::io::sink()).expect("a writer");
            (0..ROUNDS).for_each(|_| writer.write_all(black_box(&plain)).expect("nowhere"));
            writer.finish().expect("nowhere");
        };
        let sealed = sealer.seal("x", &vec![7; 16 * MIB]).expect("sealed");
        let opener = Opener::new(key.clone());
        let mut reader = opener.reader("x", std::io::Cursor::new(&sealed)).expect("whole");
        let mut buffer = vec![0; 64 << 10];
        let mut read = || {
            reader.rewind().expect("memory");
            while reader.read(&mut buffer).expect("authentic") > 0 {}
        };
        // Before and after, for the machine is not alone.
        let before = openssl(cipher);
        let (seal, _) = rate(1, ROUNDS * MIB, || stream(1));
        let (open, _) = rate(24, 16 * MIB, &mut read);
        let after = openssl(cipher);
        let peer = before.zip(after).map(|(a, b)| (a + b) / 2.0);
        let ratio = |rate: f64| peer.map_or("openssl is missing".into(), |peer| format!("{:.2}x", rate / peer));
        let gigabytes = peer.unwrap_or(f64::NAN) / 1e9;
        println!("{cipher:<18} openssl speed {gigabytes:.2} GB/s of one thread's processor time");
        println!(
            "{cipher:<18} seal {:>5.2} GB/s {}, open {:>5.2} GB/s {}",
            seal / 1e9,
            ratio(seal),
            open / 1e9,
            ratio(open)
        );
        let wall = |threads| rate(1, ROUNDS * MIB, || stream(threads)).1;
        let (one, two) = (wall(1), wall(2));
        println!("{cipher:<18} by the clock: 1 thread {:.2} GB/s, 2 threads {:.2}x of it", one / 1e9, two / one);
        let whole = vec![7; 64 * MIB];
        let (memory, _) = rate(4, whole.len(), || drop(black_box(sealer.clone().threads(1).seal("x", &whole))));
        println!(
            "{cipher:<18} seal 64 MiB in memory {:.2} GB/s {}, the fresh pages included",
            memory / 1e9,
            ratio(memory)
        );
    }
}

fn unlocking() {
    for (name, kdf) in [("argon2id 19 MiB t2", Kdf::default()), ("pbkdf2 600000", Kdf::pbkdf2())] {
        let passphrase = Passphrase::new("correct horse").expect("not empty");
        let sealed = Sealer::new(Recipient::Passphrase(passphrase.clone(), kdf)).seal("x", b"1").expect("sealed");
        let opener = Opener::with_passphrase(passphrase);
        let (rate, _) = rate(3, 1, || drop(black_box(opener.open("x", &sealed).expect("opened"))));
        println!("unlock by {name:<20} {:>6.0} ms of processor time", 1e3 / rate);
    }
}

fn appends() {
    let folder = tempfile::tempdir_in(".").expect("a folder on this disk");
    let open = |name: &str| {
        let key = Key::from_bytes([7; 32]);
        let log = AuditLog::open(folder.path().join(name), Some(&key), Arc::new(SystemClock)).expect("opened");
        log.signer(SigningKey::new("bench", &key).expect("a name"))
    };
    let record =
        || Record::new("trainer", "checkpoint.saved", "epoch-000012").detail("bytes", 123_456).detail("set", "a");
    let log = open("each");
    let start = Instant::now();
    (0..200).for_each(|_| assert!(log.append(&record()).is_ok()));
    println!("append one by one       {:>9.0} records/s", 200.0 / start.elapsed().as_secs_f64());
    for group in [100, 1000] {
        let log = open(&format!("group-{group}"));
        let records = vec![record(); group];
        let start = Instant::now();
        let rounds = 20_000 / group;
        (0..rounds).for_each(|_| drop(black_box(log.append_all(&records).expect("durable"))));
        let rate = (rounds * group) as f64 / start.elapsed().as_secs_f64();
        println!("append in groups of {group:<4} {rate:>8.0} records/s, durable before it returns");
    }
    let log = open("threads");
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| (0..100).for_each(|_| assert!(log.append(&record()).is_ok())));
        }
    });
    println!(
        "append by 64 threads    {:>9.0} records/s, durable before it returns",
        6400.0 / start.elapsed().as_secs_f64()
    );
    let start = cpu_seconds();
    let path = folder.path().join("group-1000");
    let records = verify(&path, Some(&Key::from_bytes([7; 32]))).expect("sound").records;
    println!("verify                  {:>9.0} records/s of one core", records as f64 / (cpu_seconds() - start));
}

fn main() {
    println!("backend: {}", if cfg!(feature = "ring") { "ring" } else { "pure Rust" });
    ciphers();
    unlocking();
    appends();
}
