use std::fs::File;
use std::path::Path;

use serde::Serialize;
use tapeloom_core::{Receipt, Timestamp};

use crate::chain::{Entry, scan};
use crate::hasher::Hasher;
use crate::keys::Key;
use crate::{Error, Result};

/// What a whole, unbroken log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Lines.
    pub records: u64,
    /// Of the first line.
    pub first: Timestamp,
    /// Of the last line.
    pub last: Timestamp,
    /// Of the last line; keep it elsewhere to find a cut tail later.
    pub head: Receipt,
}

/// Checks every line of a log, without holding more than one in memory.
///
/// A log that is being written may show its last line half done, which is reported as torn.
///
/// # Errors
/// [`Error::Tampered`] names the first line that was changed, added, removed, moved or torn, and what is wrong with it.
pub fn verify(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Verified> {
    verify_entries(path.as_ref(), key, |_| {})
}

/// Checks every line, and that the record of an earlier receipt is still there unchanged.
///
/// # Errors
/// As [`verify`]; [`Error::Tampered`] also when the log ends before the receipt or was rewritten.
pub fn verify_since(path: impl AsRef<Path>, key: Option<&Key>, receipt: &Receipt) -> Result<Verified> {
    let mut found = None;
    let verified = verify_entries(path.as_ref(), key, |entry| {
        if entry.sequence == receipt.sequence {
            found = Some(entry.hash);
        }
    })?;
    let problem = match found {
        Some(hash) if hash == receipt.hash => return Ok(verified),
        Some(_) => "it is another record than the receipt's: the log was rewritten",
        None => "the log ends before the receipt's record: its tail was cut off",
    };
    let path = path.as_ref().to_owned();
    Err(Error::Tampered { path, line: receipt.sequence.saturating_add(1), detail: problem.into() })
}

/// All records of a log, checked.
///
/// # Errors
/// As [`verify`].
pub fn entries(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    verify_entries(path.as_ref(), key, |entry| entries.push(entry))?;
    Ok(entries)
}

fn verify_entries(path: &Path, key: Option<&Key>, mut each: impl FnMut(Entry)) -> Result<Verified> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut first = None;
    let scanned = scan(path, &file, &Hasher::new(key), |entry| {
        first.get_or_insert(entry.time);
        each(entry);
    })?;
    let line = scanned.head.next + 1;
    let tampered = |detail: &str| Error::Tampered { path: path.to_owned(), line, detail: detail.into() };
    if !scanned.torn.is_empty() {
        return Err(tampered("it is torn: open the log for writing to set the torn bytes aside"));
    }
    let (Some(first), Some(hash)) = (first, scanned.head.hash) else {
        return Err(tampered("the log is empty"));
    };
    let head = Receipt { sequence: scanned.head.next - 1, hash };
    Ok(Verified { records: scanned.head.next, first, last: scanned.head.time, head })
}
