use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tapeloom_core::{Fingerprint, Receipt, Record, Timestamp};
use zeroize::Zeroizing;

use crate::key::{Key, authenticate};
use crate::{Error, Result};

/// Stands between a record's bytes and their hash.
const HASH: &str = ",\"hash\":\"";
/// What the first record points back to.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// No record comes near this; a longer line is damage.
const MAX_LINE: usize = 1 << 20;

/// One line of an audit log, its hash checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 0, without gaps.
    pub sequence: u64,
    /// When the record was taken.
    pub time: Timestamp,
    /// What was recorded.
    pub record: Record,
    /// Of the line, the line before it included.
    pub hash: Fingerprint,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    time: Timestamp,
    record: Record,
    prev: String,
}

/// How lines are hashed.
#[derive(Debug)]
pub(crate) struct Hasher(Option<(Zeroizing<[u8; 32]>, String)>);

impl Hasher {
    pub(crate) fn new(key: Option<&Key>) -> Self {
        Self(key.map(|key| (key.derive(b"tapeloom audit v1", &[]), key.id())))
    }

    /// What the first record says of the chain.
    pub(crate) fn name(&self) -> String {
        self.0.as_ref().map_or_else(|| "sha256".into(), |(_, id)| format!("hmac-sha256 with key {id}"))
    }

    fn hash(&self, bytes: &[u8]) -> Fingerprint {
        let digest = match &self.0 {
            None => Sha256::digest(bytes).into(),
            Some((key, _)) => authenticate(&**key, &[bytes]),
        };
        let hex: String = digest.iter().map(|byte: &u8| format!("{byte:02x}")).collect();
        Fingerprint::parse(&hex).unwrap_or_else(|_| Fingerprint::of(&digest))
    }
}

/// The end of a chain, to which the next record is tied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) next: u64,
    pub(crate) hash: Option<Fingerprint>,
    pub(crate) time: Timestamp,
}

impl Head {
    fn prev(&self) -> String {
        self.hash.map_or_else(|| GENESIS.into(), |hash| hash.to_string())
    }

    /// Makes the line for the next record and moves on.
    pub(crate) fn extend(
        &mut self,
        hasher: &Hasher,
        time: Timestamp,
        record: &Record,
    ) -> Result<(String, Receipt), serde_json::Error> {
        // A clock that steps back must not break the order of the log.
        let time = time.max(self.time);
        let line = Line { seq: self.next, time, record: record.clone(), prev: self.prev() };
        let text = serde_json::to_string(&line)?;
        let body = text.strip_suffix('}').unwrap_or(&text);
        let hash = hasher.hash(body.as_bytes());
        let receipt = Receipt { sequence: self.next, hash };
        *self = Self { next: self.next + 1, hash: Some(hash), time };
        Ok((format!("{body}{HASH}{hash}\"}}\n"), receipt))
    }

    /// Checks that a line is the next one and moves on; says what is wrong with it otherwise.
    fn accept(&mut self, hasher: &Hasher, line: &[u8]) -> Result<Entry, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is no UTF-8")?;
        let at = text.rfind(HASH).ok_or("it has no hash")?;
        let (body, tail) = text.split_at(at);
        let hash = tail[HASH.len()..].strip_suffix("\"}").and_then(|hex| Fingerprint::parse(hex).ok());
        let hash = hash.filter(|hash| tail == format!("{HASH}{hash}\"}}")).ok_or("its hash is unreadable")?;
        if hasher.hash(body.as_bytes()) != hash {
            return Err("it does not match its hash".into());
        }
        let line: Line = serde_json::from_str(&format!("{body}}}")).map_err(|e| format!("it is no record: {e}"))?;
        if line.seq != self.next {
            return Err(format!("it is record {} where {} was expected", line.seq, self.next));
        }
        if line.prev != self.prev() {
            return Err("it is not tied to the line before".into());
        }
        if line.time < self.time {
            return Err("it is earlier than the line before".into());
        }
        *self = Self { next: line.seq + 1, hash: Some(hash), time: line.time };
        Ok(Entry { sequence: line.seq, time: line.time, record: line.record, hash })
    }
}

/// What is behind the last whole line.
pub(crate) struct Scanned {
    pub(crate) head: Head,
    /// Bytes of whole lines.
    pub(crate) sound: u64,
    /// Bytes behind them.
    pub(crate) torn: Vec<u8>,
}

/// Reads a log line by line, checks each, and hands it to `each`.
pub(crate) fn scan(path: &Path, file: &File, hasher: &Hasher, mut each: impl FnMut(Entry)) -> Result<Scanned> {
    let tampered = |line: u64, detail: String| Error::Tampered { path: path.to_owned(), line, detail };
    let mut reader = BufReader::new(file);
    let mut scanned = Scanned { head: Head::default(), sound: 0, torn: Vec::new() };
    for number in 1.. {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut reader, MAX_LINE as u64).read_until(b'\n', &mut line);
        read.map_err(|e| Error::io("read", path, e))?;
        let Some(text) = line.strip_suffix(b"\n") else {
            if line.len() == MAX_LINE {
                return Err(tampered(number, "it is too long for a record".into()));
            }
            scanned.torn = line;
            return Ok(scanned);
        };
        let entry = scanned.head.accept(hasher, text).map_err(|detail| tampered(number, detail))?;
        scanned.sound += line.len() as u64;
        if number == 1 {
            check_chain(path, hasher, &entry)?;
        }
        each(entry);
    }
    Ok(scanned)
}

/// The first record names how the chain is made.
fn check_chain(path: &Path, hasher: &Hasher, first: &Entry) -> Result<()> {
    match first.record.details.get("chain") {
        Some(chain) if first.record.action == "log.opened" && *chain == hasher.name() => Ok(()),
        _ => {
            let detail = format!("it does not open a log chained by {}", hasher.name());
            Err(Error::Tampered { path: path.to_owned(), line: 1, detail })
        }
    }
}
