//! Receipts that hold offline: C2SP `tlog-proof` for one record, and consistency proofs between two checkpoints.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chain::fingerprint;
use super::note::{Checkpoint, VerifyingKey, parse};
use super::tree::{self, Hash};
use super::verify::tree_of;
use crate::keys::Key;
use crate::{Error, Result};

const MAGIC: &str = "c2sp.org/tlog-proof@v1";
/// Of a tree of any size.
const MAX_PATH: usize = 64;

/// Shows that one line is in a log at a checkpoint, to anyone who has the signer's public key and not the log. Its text is a
/// C2SP `tlog-proof@v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    path: Vec<Hash>,
    note: String,
}

/// A line of a log and the proof that it is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The line as written, without its end.
    pub line: String,
    /// Of that line.
    pub proof: Proof,
}

/// Takes the record of a sequence number out of a log, with a proof for whoever trusts the checkpoint of `note`.
///
/// # Errors
/// As [`verify`](crate::verify); [`Error::Invalid`] for a record that is not there, or a checkpoint of another log or of fewer
/// records.
pub fn prove(path: impl AsRef<Path>, key: Option<&Key>, sequence: u64, note: &str) -> Result<Evidence> {
    let (checkpoint, _) = parse(note)?;
    let mut found = None;
    let (tree, head) = tree_of(path.as_ref(), key, |entry, line| {
        if entry.sequence == sequence {
            found = Some(String::from_utf8_lossy(line).into_owned());
        }
    })?;
    let no_such = |why: String| Error::invalid("record", sequence, why);
    let line = found
        .ok_or_else(|| no_such(format!("the log holds {} to {}", tree.base.size(), head.next.saturating_sub(1))))?;
    if sequence >= checkpoint.size {
        return Err(no_such(format!("the checkpoint holds {} records: take a later one", checkpoint.size)));
    }
    check_same(&tree, &checkpoint, &head.origin())?;
    let path = tree.inclusion(sequence, checkpoint.size);
    let path = path.ok_or_else(|| no_such("the records around it were retired".into()))?;
    Ok(Evidence { line, proof: Proof { index: sequence, path, note: note.to_owned() } })
}

fn check_same(tree: &tree::Tree, checkpoint: &Checkpoint, origin: &str) -> Result<()> {
    let is_same = checkpoint.origin == origin
        && checkpoint.size <= tree.size()
        && tree.root(checkpoint.size).is_none_or(|root| fingerprint(&root) == checkpoint.root);
    let remedy = "it is of another log, of a log that was rewritten, or of more records than there are";
    if is_same { Ok(()) } else { Err(Error::invalid("checkpoint", checkpoint.size, remedy)) }
}

impl Proof {
    /// Checks that `line` is the record of this proof, under a checkpoint that `signer` signed, and gives the checkpoint.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn verify(&self, line: &str, signer: &VerifyingKey) -> Result<Checkpoint> {
        let checkpoint = signer.open(&self.note)?;
        let leaf = tree::leaf(line.as_bytes());
        if tree::includes(&leaf, self.index, checkpoint.size, &self.path, checkpoint.root.as_bytes()) {
            return Ok(checkpoint);
        }
        Err(Error::damaged("the proof", "the line is not the record that it speaks of"))
    }

    /// The record's sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.index
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{MAGIC}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl std::str::FromStr for Proof {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::damaged("the proof", format!("it is no {MAGIC}"));
        let (front, note) = text.split_once("\n\n").ok_or_else(bad)?;
        let mut lines = front.split('\n').peekable();
        if lines.next() != Some(MAGIC) {
            return Err(bad());
        }
        // Of meaning to others.
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or_else(bad)?;
        let parsed: u64 = index.parse().map_err(|_| bad())?;
        let path: Option<Vec<Hash>> = lines.map(|line| STANDARD.decode(line).ok()?.try_into().ok()).collect();
        let path = path.filter(|path| path.len() <= MAX_PATH && parsed.to_string() == index).ok_or_else(bad)?;
        parse(note)?;
        Ok(Self { index: parsed, path, note: note.to_owned() })
    }
}

/// Shows that one checkpoint's log is the start of another one's: nothing before it was changed or left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof(Vec<Hash>);

/// What shows that the log of `old` records is the start of that of `new`.
///
/// # Errors
/// As [`verify`](crate::verify); [`Error::Invalid`] for sizes that the log does not have, or has no more.
pub fn prove_consistency(path: impl AsRef<Path>, key: Option<&Key>, old: u64, new: u64) -> Result<ConsistencyProof> {
    let (tree, _) = tree_of(path.as_ref(), key, |_, _| {})?;
    let bad = |why: &str| Error::invalid("sizes", format!("{old} and {new}"), why);
    if old == 0 || old > new || new > tree.size() {
        return Err(bad(&format!("give 1 <= old <= new <= {}", tree.size())));
    }
    tree.consistency(old, new).map(ConsistencyProof).ok_or_else(|| bad("the records around the older one were retired"))
}

impl ConsistencyProof {
    /// Checks that `new` goes on from `old`. Open both with the signer's key first.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn verify(&self, old: &Checkpoint, new: &Checkpoint) -> Result<()> {
        let is_same_log = old.origin == new.origin;
        if is_same_log && tree::extends(old.size, new.size, &self.0, old.root.as_bytes(), new.root.as_bytes()) {
            return Ok(());
        }
        Err(Error::damaged("the checkpoint", "it does not go on from the one before: the log was rewritten"))
    }
}
