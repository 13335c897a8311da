use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, Receipt, Record, RunId, Timestamp};

use super::hasher::{CHAIN, CONTINUED, Hasher, OPENED, is_chain};
use super::tree::{self, Compact};
use crate::hex;
use crate::sealed::cobblestone::same;
use crate::{Error, Result};

/// Stands between a record's bytes and their hash.
const HASH: &str = ",\"hash\":\"";
/// What the first record points back to.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The longest line, its end included. A record that would be longer is refused; a line that is longer is damage.
const MAX_LINE: usize = 1 << 20;

/// One line of an audit log, its hash checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// From 0, without gaps.
    pub sequence: u64,
    /// When the record was taken.
    pub time: Timestamp,
    /// The run on whose behalf the log was written.
    pub run: Option<RunId>,
    /// The tenant on whose behalf the log was written.
    pub tenant: Option<String>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    record: Record,
    prev: String,
}

#[derive(Deserialize)]
struct WithHash {
    #[serde(flatten)]
    line: Line,
    #[serde(rename = "hash")]
    _hash: String,
}

/// On whose behalf records are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) run: Option<RunId>,
    pub(crate) tenant: Option<String>,
}

/// The end of a chain, to which the next record is tied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) next: u64,
    pub(crate) hash: Option<Fingerprint>,
    pub(crate) time: Timestamp,
    /// Over the lines so far.
    pub(crate) tree: Compact,
    /// Of the log, from its first record.
    pub(crate) id: String,
}

impl Head {
    /// Makes the line for the next record and moves on.
    pub(crate) fn extend(
        &mut self,
        hasher: &Hasher,
        time: Timestamp,
        scope: &Scope,
        record: &Record,
    ) -> Result<(String, Receipt)> {
        let refused = |problem: String| Error::BadRecord { problem };
        let Scope { run, tenant } = scope.clone();
        // A clock that steps back must not break the order of the log.
        let time = if self.next == 0 { time } else { time.max(self.time) };
        let line = Line { seq: self.next, time, run, tenant, record: record.clone(), prev: self.prev() };
        let text = serde_json::to_string(&line).map_err(|e| refused(e.to_string()))?;
        let body = text.strip_suffix('}').unwrap_or(&text);
        let line = format!("{body}{HASH}{}\"}}\n", hasher.hash(body.as_bytes()));
        if line.len() > MAX_LINE {
            return Err(refused(format!("its line would take {} bytes, the limit is {MAX_LINE}", line.len())));
        }
        // What could not be read back would end the log for good.
        let entry = self.accept(hasher, line.trim_end_matches('\n').as_bytes()).map_err(refused)?;
        Ok((line, Receipt { sequence: entry.sequence, hash: entry.hash }))
    }

    /// Checks that a line is the next one and moves on; says what is wrong with it otherwise.
    fn accept(&mut self, hasher: &Hasher, line: &[u8]) -> Result<Entry, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is no UTF-8")?;
        let at = text.rfind(HASH).ok_or("it has no hash")?;
        let (body, tail) = text.split_at(at);
        let hash = tail[HASH.len()..].strip_suffix("\"}").and_then(|hex| Fingerprint::parse(hex).ok());
        let hash = hash.filter(|hash| tail == format!("{HASH}{hash}\"}}")).ok_or("its hash is unreadable")?;
        if !same(hasher.hash(body.as_bytes()).as_bytes(), hash.as_bytes()) {
            return Err("it does not match its hash".into());
        }
        let line: Line = serde_json::from_str(&format!("{body}}}")).map_err(|e| format!("it is no record: {e}"))?;
        if line.seq != self.next {
            return Err(format!("it is record {} where {} was expected", line.seq, self.next));
        }
        if line.prev != self.prev() {
            return Err("it is not tied to the line before".into());
        }
        if self.next > 0 && line.time < self.time {
            return Err("it is earlier than the line before".into());
        }
        if self.next == 0 {
            // A log of before there were ids has the hash of its first line for one.
            let id = line.record.details.get("id").cloned();
            self.id = id.unwrap_or_else(|| hash.to_string().chars().take(16).collect());
        }
        self.tree.push(tree::leaf(text.as_bytes()));
        (self.next, self.hash, self.time) = (line.seq + 1, Some(hash), line.time);
        let Line { seq: sequence, time, run, tenant, record, prev: _ } = line;
        Ok(Entry { sequence, time, run, tenant, record, hash })
    }

    /// Who a checkpoint of this log is of.
    pub(crate) fn origin(&self) -> String {
        format!("tapeloom.audit/{}", self.id)
    }

    /// Of the lines so far.
    pub(crate) fn root(&self) -> Fingerprint {
        fingerprint(&self.tree.root())
    }

    /// The first record of a file that goes on where another one was closed.
    pub(crate) fn continuing(&self, hasher: &Hasher) -> Record {
        let peaks: Vec<String> = self.tree.peaks().iter().map(|hash| hex::encode(hash)).collect();
        Record::new("tapeloom", CONTINUED, "audit log")
            .detail(CHAIN, hasher.name())
            .detail("id", &self.id)
            .detail("size", self.next)
            .detail("peaks", peaks.join(" "))
    }

    /// Whether `entry`, the first of a file, says of what was before what is true of this head.
    pub(crate) fn is_continued_by(&self, hasher: &Hasher, entry: &Entry) -> bool {
        entry.record == self.continuing(hasher)
    }

    /// Where the chain stood before a file whose first line this is, in a log whose earlier files are gone. The line itself is
    /// checked later.
    pub(crate) fn before(line: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice::<WithHash>(line).ok()?.line;
        let details = &line.record.details;
        if line.record.action != CONTINUED || line.seq == 0 {
            return None;
        }
        let peaks = details.get("peaks")?.split(' ').map(|peak| hex::decode(peak)?.try_into().ok());
        let tree = Compact::new(line.seq, peaks.collect::<Option<Vec<_>>>()?)?;
        let hash = Fingerprint::parse(&line.prev).ok()?;
        Some(Self { next: line.seq, hash: Some(hash), time: line.time, tree, id: details.get("id")?.clone() })
    }

    fn prev(&self) -> String {
        self.hash.map_or_else(|| GENESIS.into(), |hash| hash.to_string())
    }
}

/// What a file of a log holds.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) head: Head,
    /// Bytes of whole lines.
    pub(crate) sound: u64,
    /// Whole lines.
    pub(crate) lines: u64,
    /// Bytes behind them, which a crash left.
    pub(crate) torn: Vec<u8>,
}

/// Reads a file of a log line by line, checks that each goes on from `head`, and hands it and its text to `each`.
pub(crate) fn scan(
    path: &Path,
    log: impl Read,
    hasher: &Hasher,
    head: Head,
    mut each: impl FnMut(Entry, &[u8]),
) -> Result<Scanned> {
    let tampered = |line: u64, detail: String| Error::Tampered { path: path.to_owned(), line, detail };
    let mut reader = BufReader::with_capacity(1 << 16, log);
    let mut scanned = Scanned { head, ..Scanned::default() };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line);
        read.map_err(|e| Error::io("read", path, e))?;
        let Some(text) = line.strip_suffix(b"\n") else {
            if line.len() == MAX_LINE {
                return Err(tampered(number, "it is too long for a record".into()));
            }
            scanned.torn = line;
            break;
        };
        let before = (number == 1 && scanned.head.next > 0).then(|| scanned.head.clone());
        match scanned.head.accept(hasher, text) {
            Ok(entry) if number == 1 && !hasher.opens(&entry) => {
                return Err(tampered(1, format!("it does not open a log chained by {}", hasher.name())));
            }
            Ok(entry) if before.is_some_and(|before| !before.is_continued_by(hasher, &entry)) => {
                return Err(tampered(1, "it does not go on where the file before was closed".into()));
            }
            Ok(entry) => {
                scanned.sound += line.len() as u64;
                scanned.lines = number;
                each(entry, text);
            }
            Err(detail) => {
                // Some file systems leave zeros where a crash cut a write short; no record holds any.
                let is_last = reader.fill_buf().map_err(|e| Error::io("read", path, e))?.is_empty();
                if is_last && line.contains(&0) {
                    scanned.torn = line;
                    break;
                }
                let other = if number == 1 { other_chain(text, hasher) } else { None };
                return Err(tampered(number, other.unwrap_or(detail)));
            }
        }
    }
    Ok(scanned)
}

/// Says so when the first line does not match because it names another key, which is no sign of tampering by itself.
fn other_chain(line: &[u8], hasher: &Hasher) -> Option<String> {
    #[derive(Deserialize)]
    struct First {
        record: Record,
    }
    let record = serde_json::from_slice::<First>(line).ok()?.record;
    let chain = record
        .details
        .get(CHAIN)
        .filter(|chain| matches!(record.action.as_str(), OPENED | CONTINUED) && is_chain(chain))?;
    let given = hasher.name();
    (*chain != given).then(|| format!("it opens a log chained by {chain}, and was checked by {given}"))
}

/// A Merkle hash as the core prints hashes.
pub(crate) fn fingerprint(hash: &tree::Hash) -> Fingerprint {
    Fingerprint::parse(&hex::encode(hash)).expect("32 bytes are 64 hex digits")
}

/// Whether bytes can be the start of a file's first line, record `next`: a file of another kind must not be taken for a torn log.
pub(crate) fn may_be_torn_first_line(next: u64, bytes: &[u8]) -> bool {
    let start = format!("{{\"seq\":{next},\"time\":\"");
    let length = bytes.len().min(start.len());
    bytes[..length] == start.as_bytes()[..length] || bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests;
