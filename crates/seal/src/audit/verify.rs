use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tapeloom_core::{Fingerprint, Receipt, Timestamp};

use super::chain::{Entry, Head, Scanned, fingerprint, scan};
use super::files::{all_closed, beside};
use super::hasher::{CLOSED, Hasher, RETIRED};
use super::note::{VerifyingKey, notes};
use super::tree::{self, Tree};
use crate::keys::Key;
use crate::{Error, Result};

/// What a whole, unbroken log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Lines that are there.
    pub records: u64,
    /// Lines of old files that were deleted by retention, as the log itself says.
    pub retired: u64,
    /// Of the first line.
    pub first: Timestamp,
    /// Of the last line.
    pub last: Timestamp,
    /// Of the last line; keep it elsewhere to find a cut tail later.
    pub head: Receipt,
    /// Root of the tree over all lines, the retired ones included.
    pub root: Fingerprint,
    /// Signed checkpoints that fit.
    pub checkpoints: u64,
    /// Microseconds between the two neighbours in the log that are furthest apart. With heartbeats, silence shows here.
    pub longest_silence_us: i64,
}

/// Checks every line of a log, without holding more than one in memory.
///
/// A log that is being written may show its last line half done, which is reported as torn.
///
/// # Errors
/// [`Error::Tampered`] names the first line that was changed, added, removed, moved or torn, and what is wrong with it.
pub fn verify(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Verified> {
    Verifier::new(key).verify(path)
}

/// Checks every line, and that the record of an earlier receipt is still there unchanged.
///
/// # Errors
/// As [`verify`]; [`Error::Tampered`] also when the log ends before the receipt or was rewritten.
pub fn verify_since(path: impl AsRef<Path>, key: Option<&Key>, receipt: &Receipt) -> Result<Verified> {
    Verifier::new(key).receipt(*receipt).verify(path)
}

/// All records of a log, checked.
///
/// # Errors
/// As [`verify`].
pub fn entries(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    Verifier::new(key).verify_each(path, |entry| entries.push(entry))?;
    Ok(entries)
}

/// Checks a log against itself and against what was kept of it elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    key: Option<Key>,
    signer: Option<VerifyingKey>,
    receipts: Vec<Receipt>,
    notes: Vec<String>,
    most_silence_us: Option<i64>,
}

impl Verifier {
    /// Checks a log that is chained with this key, or with none.
    #[must_use]
    pub fn new(key: Option<&Key>) -> Self {
        Self { key: key.cloned(), ..Self::default() }
    }

    /// Checks that the checkpoints beside the log, and those that [`Verifier::checkpoint`] adds, were signed by this key and fit.
    #[must_use]
    pub fn signer(mut self, signer: VerifyingKey) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Checks that this record is still there unchanged.
    #[must_use]
    pub fn receipt(mut self, receipt: Receipt) -> Self {
        self.receipts.push(receipt);
        self
    }

    /// Checks that the log still is what this signed note says. Needs a signer.
    #[must_use]
    pub fn checkpoint(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Refuses a log that was silent for longer.
    #[must_use]
    pub const fn most_silence_us(mut self, most: i64) -> Self {
        self.most_silence_us = Some(most);
        self
    }

    /// Checks a log, all its files.
    ///
    /// # Errors
    /// [`Error::Tampered`] names file and line of the first fault; [`Error::Damaged`] for a checkpoint that is none;
    /// [`Error::Invalid`] for a checkpoint without a signer.
    pub fn verify(&self, path: impl AsRef<Path>) -> Result<Verified> {
        self.verify_each(path, |_| {})
    }

    fn verify_each(&self, path: impl AsRef<Path>, mut each: impl FnMut(Entry)) -> Result<Verified> {
        let path = path.as_ref();
        let mut checkpoints = self.checkpoints(path)?;
        let all = checkpoints.len() as u64;
        let mut receipts = self.receipts.clone();
        let (mut first, mut last, mut silence) = (None, None::<Timestamp>, 0);
        let mut problem = None;
        let mut tree = None;
        let mut files = FileLines::default();
        let walk = walk_from(path, &Hasher::new(self.key.as_ref()), |entry, line, file, base| {
            let tree = tree.get_or_insert_with(|| base.tree.clone());
            tree.push(tree::leaf(line));
            files.count(file);
            first.get_or_insert(entry.time);
            if let Some(last) = last {
                let gap = entry.time.micros() - last.micros();
                if self.most_silence_us.is_some_and(|most| gap > most) {
                    problem.get_or_insert_with(|| files.fault(format!("the log was silent for {gap} us before it")));
                }
                silence = silence.max(gap);
            }
            last = Some(entry.time);
            receipts.retain(|receipt| {
                if receipt.sequence == entry.sequence && receipt.hash != entry.hash {
                    let text = "it is another record than the receipt's: the log was rewritten";
                    problem.get_or_insert_with(|| files.fault(text.into()));
                }
                receipt.sequence != entry.sequence
            });
            checkpoints.retain(|(size, root)| {
                if *size == tree.size() && fingerprint(&tree.root()) != *root {
                    let text =
                        format!("the lines up to it are not those of the checkpoint of {size}: the log was rewritten");
                    problem.get_or_insert_with(|| files.fault(text));
                }
                *size != tree.size()
            });
            each(entry);
        })?;
        if let Some((path, line, detail)) = problem {
            return Err(Error::Tampered { path, line, detail });
        }
        let kept = walk.retired;
        let (line, head) = (walk.current.as_ref().map_or(1, |current| current.lines + 1), walk.head);
        let tampered = |line, detail: String| Error::Tampered { path: path.to_owned(), line, detail };
        match &walk.current {
            None if head.next == 0 => return Err(Error::io("open", path, std::io::ErrorKind::NotFound.into())),
            None => {
                return Err(tampered(
                    1,
                    "the file that is written is missing: open the log for writing to begin it".into(),
                ));
            }
            Some(current) if !current.torn.is_empty() => {
                return Err(tampered(line, "it is torn: open the log for writing to set the torn bytes aside".into()));
            }
            Some(current) if current.lines == 0 => return Err(tampered(1, "the log is empty".into())),
            Some(_) => {}
        }
        if let Some(receipt) = receipts.iter().find(|receipt| receipt.sequence >= kept) {
            let detail = "the log ends before the receipt's record: its tail was cut off".into();
            return Err(tampered(receipt.sequence.saturating_add(1), detail));
        }
        if let Some((size, _)) = checkpoints.iter().find(|(size, _)| *size > head.next) {
            let detail = format!("the log ends before the checkpoint of {size} records: its tail was cut off");
            return Err(tampered(line, detail));
        }
        // Checkpoints and receipts of before what is retired can be checked no more; a root of later covers them.
        let unchecked = checkpoints.len() as u64;
        let (Some(first), Some(hash)) = (first, head.hash) else {
            return Err(tampered(1, "the log is empty".into()));
        };
        Ok(Verified {
            records: head.next - kept,
            retired: kept,
            first,
            last: head.time,
            head: Receipt { sequence: head.next - 1, hash },
            root: head.root(),
            checkpoints: all - unchecked,
            longest_silence_us: silence,
        })
    }

    /// Size and root of every checkpoint there is, their signatures checked.
    fn checkpoints(&self, path: &Path) -> Result<Vec<(u64, Fingerprint)>> {
        let Some(signer) = &self.signer else {
            let needs = "a note is proof of nothing without the public key of its signer";
            return if self.notes.is_empty() { Ok(Vec::new()) } else { Err(Error::invalid("signer", "none", needs)) };
        };
        let file = beside(path, "checkpoints");
        let text = match fs::read_to_string(&file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|e| Error::io("read", &file, e))?,
        };
        let (beside, _) = notes(&text);
        let mut found = Vec::new();
        let mut origin = None;
        for note in beside.iter().chain(&self.notes) {
            let checkpoint = signer.open(note)?;
            if *origin.get_or_insert_with(|| checkpoint.origin.clone()) != checkpoint.origin {
                return Err(Error::damaged("the checkpoint", "it is of another log"));
            }
            found.push((checkpoint.size, checkpoint.root));
        }
        Ok(found)
    }
}

/// Which line of which file is being read.
#[derive(Default)]
struct FileLines {
    file: PathBuf,
    line: u64,
}

impl FileLines {
    fn count(&mut self, file: &Path) {
        if self.file != file {
            *self = Self { file: file.to_owned(), line: 0 };
        }
        self.line += 1;
    }

    fn fault(&self, detail: String) -> (PathBuf, u64, String) {
        (self.file.clone(), self.line, detail)
    }
}

/// What a walk through all files of a log found.
pub(crate) struct Walk {
    pub(crate) head: Head,
    /// Records that were before the first file that is there.
    pub(crate) retired: u64,
    /// The file that is written; none when a crash came before it was begun.
    pub(crate) current: Option<Scanned>,
}

/// Checks every line of every file, oldest first.
pub(crate) fn walk(path: &Path, hasher: &Hasher, mut each: impl FnMut(Entry, &[u8])) -> Result<Walk> {
    walk_from(path, hasher, |entry, line, _, _| each(entry, line))
}

/// As [`walk`]; also tells the file, and where the log stood before its first line that is there.
pub(crate) fn walk_from(
    path: &Path,
    hasher: &Hasher,
    mut each: impl FnMut(Entry, &[u8], &Path, &Head),
) -> Result<Walk> {
    let closed = all_closed(path)?;
    let base = base(closed.first().map_or(path, PathBuf::as_path))?;
    let retired = base.next;
    let (mut head, mut is_excused) = (base.clone(), retired == 0);
    let mut visit = |file: &Path, head: Head| -> Result<(Scanned, String)> {
        let opened = File::open(file).map_err(|e| Error::io("open", file, e))?;
        let mut action = String::new();
        let scanned = scan(file, &opened, hasher, head, |entry, line| {
            let record = &entry.record;
            is_excused |= record.action == RETIRED && record.details.get("through") == Some(&retired.to_string());
            action.clone_from(&record.action);
            each(entry, line, file, &base);
        })?;
        Ok((scanned, action))
    };
    for file in &closed {
        let (scanned, action) = visit(file, head)?;
        let tampered =
            |detail: &str| Error::Tampered { path: file.clone(), line: scanned.lines + 1, detail: detail.into() };
        if !scanned.torn.is_empty() {
            return Err(tampered("it is no whole line, in a file that was closed"));
        }
        if action != CLOSED {
            return Err(tampered("the file ends without the record that closes it: its tail was cut off"));
        }
        head = scanned.head;
    }
    let current = match visit(path, head.clone()) {
        Err(Error::Io { action: "open", source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        scanned => {
            let (scanned, _) = scanned?;
            head = scanned.head.clone();
            Some(scanned)
        }
    };
    if !is_excused {
        let detail = format!("the {retired} records before it are missing, and no record says that they were retired");
        return Err(Error::Tampered {
            path: closed.first().map_or(path, PathBuf::as_path).to_owned(),
            line: 1,
            detail,
        });
    }
    Ok(Walk { head, retired, current })
}

/// Where the log stood before the first of its files that is there.
fn base(first: &Path) -> Result<Head> {
    let file = match File::open(first) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Head::default()),
        file => file.map_err(|e| Error::io("open", first, e))?,
    };
    let mut line = Vec::new();
    let read = std::io::BufRead::read_until(
        &mut std::io::BufReader::new(std::io::Read::take(file, 1 << 20)),
        b'\n',
        &mut line,
    );
    read.map_err(|e| Error::io("read", first, e))?;
    Ok(Head::before(line.trim_ascii_end()).unwrap_or_default())
}

/// The whole tree of a log, every line checked.
pub(crate) fn tree_of(path: &Path, key: Option<&Key>, mut each: impl FnMut(&Entry, &[u8])) -> Result<(Tree, Head)> {
    let mut leaves = Vec::new();
    let mut base = None;
    let walk = walk_from(path, &Hasher::new(key), |entry, line, _, before| {
        base.get_or_insert_with(|| before.tree.clone());
        leaves.push(tree::leaf(line));
        each(&entry, line);
    })?;
    Ok((Tree { base: base.unwrap_or_default(), leaves }, walk.head))
}
