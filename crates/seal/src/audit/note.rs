//! Signed checkpoints of the tree: C2SP `signed-note` with Ed25519, around a C2SP `tlog-checkpoint`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};
use tapeloom_core::Fingerprint;
use zeroize::Zeroizing;

use super::tree::Hash;
use crate::keys::Key;
use crate::{Error, Result};

/// The algorithm byte of Ed25519 in a signed note's key.
const ED25519: u8 = 1;
/// Before each signature line.
const DASH: &str = "\u{2014} ";
/// What a note takes at most; more is no note of ours.
const MAX_NOTE: usize = 16 << 10;

/// How much a log held, in one hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Records.
    pub size: u64,
    /// Root of the tree over their lines.
    pub root: Fingerprint,
}

impl Checkpoint {
    /// What is signed.
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

/// Signs checkpoints. Keep it where the log's writer can't be made to give it away: whoever has it can sign another history.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key from 32 secret random bytes, under a name that notes carry.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or holds white space or `+`.
    pub fn new(name: impl Into<String>, seed: &Key) -> Result<Self> {
        let name = check_name(name.into())?;
        Ok(Self { name, key: ed25519_dalek::SigningKey::from_bytes(seed.expose()) })
    }

    /// Reads a key file as [`Key::load_or_create`] does, and makes one where there is none.
    ///
    /// # Errors
    /// As [`Key::load_or_create`] and [`SigningKey::new`].
    pub fn load_or_create(name: impl Into<String>, path: impl AsRef<Path>) -> Result<Self> {
        Self::new(name, &Key::load_or_create(path)?)
    }

    /// The public half.
    #[must_use]
    pub fn verifying(&self) -> VerifyingKey {
        VerifyingKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A signed note.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let text = checkpoint.text();
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let line = STANDARD.encode([&self.verifying().hash()[..], &signature].concat());
        format!("{text}\n{DASH}{} {line}\n", self.name)
    }

    /// Adds this key's signature to a note that somebody else signed, as a witness. Check first that the note extends what you
    /// saw before: [`ConsistencyProof::verify`](crate::ConsistencyProof::verify).
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is no note of a checkpoint.
    pub fn cosign(&self, note: &str) -> Result<String> {
        let (checkpoint, _) = parse(note)?;
        let ours = self.sign(&checkpoint);
        let line = ours.lines().last().unwrap_or_default();
        Ok(format!("{note}{line}\n"))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.verifying())
    }
}

/// Checks signatures of checkpoints. Prints and parses as the verifier key of a signed note: `name+hash+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// The checkpoint in a note that this key signed.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is no such note, or its signature does not hold.
    pub fn open(&self, note: &str) -> Result<Checkpoint> {
        let (checkpoint, signatures) = parse(note)?;
        let is_ours = |name: &str, bytes: &[u8]| name == self.name && bytes[..4] == self.hash();
        let ours = signatures.iter().find(|(name, bytes)| is_ours(name, bytes));
        let (_, bytes) = ours.ok_or_else(|| damaged("it is not signed by the key that was given"))?;
        let signature =
            ed25519_dalek::Signature::from_slice(&bytes[4..]).map_err(|_| damaged("its signature is unreadable"))?;
        let text = checkpoint.text();
        self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| damaged("its signature does not hold"))?;
        Ok(checkpoint)
    }

    fn hash(&self) -> [u8; 4] {
        let digest =
            Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]).chain_update(self.key.as_bytes());
        let digest = digest.finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

impl std::fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = STANDARD.encode([&[ED25519][..], self.key.as_bytes()].concat());
        write!(f, "{}+{}+{key}", self.name, crate::hex::encode(&self.hash()))
    }
}

impl std::str::FromStr for VerifyingKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid("verifier key", format!("{text:?}"), "give what SigningKey::verifying prints: name+hash+key")
        };
        let (name, rest) = text.split_once('+').ok_or_else(bad)?;
        let (hash, key) = rest.split_once('+').ok_or_else(bad)?;
        let key = STANDARD.decode(key).ok().filter(|key| key.first() == Some(&ED25519)).ok_or_else(bad)?;
        let key = key[1..].try_into().ok().and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(key).ok());
        let key = Self { name: check_name(name.to_owned())?, key: key.ok_or_else(bad)? };
        if crate::hex::encode(&key.hash()) == hash { Ok(key) } else { Err(bad()) }
    }
}

fn check_name(name: String) -> Result<String> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+' || c.is_control()) {
        return Err(Error::invalid("signer name", format!("{name:?}"), "use letters, digits, '.', '/' and '-'"));
    }
    Ok(name)
}

fn damaged(detail: &str) -> Error {
    Error::damaged("the checkpoint", detail)
}

type Signatures = Vec<(String, Zeroizing<Vec<u8>>)>;

/// The checkpoint and the signatures of a note, none of them checked.
pub(crate) fn parse(note: &str) -> Result<(Checkpoint, Signatures)> {
    let bad = || damaged("it is no signed note");
    if note.len() > MAX_NOTE || note.contains(|c: char| c.is_control() && c != '\n') {
        return Err(bad());
    }
    let (text, signatures) = note.split_once("\n\n").ok_or_else(bad)?;
    let lines: Vec<&str> = text.split('\n').collect();
    let [origin, size, root] = lines[..] else { return Err(bad()) };
    let parsed: u64 = size.parse().map_err(|_| bad())?;
    let root: Hash = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or_else(bad)?;
    if origin.is_empty() || parsed.to_string() != size {
        return Err(bad());
    }
    let signature = |line: &str| {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() > 4)?;
        Some((name.to_owned(), Zeroizing::new(bytes)))
    };
    let signatures = signatures.strip_suffix('\n').ok_or_else(bad)?;
    let signatures = signatures.split('\n').map(signature).collect::<Option<Vec<_>>>().ok_or_else(bad)?;
    let root = Fingerprint::parse(&crate::hex::encode(&root)).map_err(|_| bad())?;
    Ok((Checkpoint { origin: origin.to_owned(), size: parsed, root }, signatures))
}

/// The notes of a file that holds one after the other, a blank line behind each. What a crash left unfinished at the end is no note.
pub(crate) fn notes(text: &str) -> (Vec<String>, usize) {
    let (mut notes, mut whole) = (Vec::new(), 0);
    let mut blanks = 0;
    let mut note = String::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line == "\n" {
            blanks += 1;
        }
        if line == "\n" && blanks == 2 {
            notes.push(std::mem::take(&mut note));
            (blanks, whole) = (0, at);
        } else {
            note.push_str(line);
        }
    }
    (notes, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        id: u32,
        key: String,
        message: String,
        signature: String,
        valid: bool,
    }

    #[test]
    fn wycheproof_agrees_on_ed25519() -> std::result::Result<(), serde_json::Error> {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/data/wycheproof-ed25519.json"))?;
        for vector in &vectors {
            let bytes = |hex: &str| crate::hex::decode(hex).expect("hex");
            let key: [u8; 32] = bytes(&vector.key).try_into().expect("32 bytes");
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key);
            let signature = ed25519_dalek::Signature::from_slice(&bytes(&vector.signature));
            let holds = match (key, signature) {
                (Ok(key), Ok(signature)) => key.verify_strict(&bytes(&vector.message), &signature).is_ok(),
                _ => false,
            };
            assert_eq!(holds, vector.valid, "{}", vector.id);
        }
        assert_eq!(vectors.len(), 151);
        Ok(())
    }

    #[test]
    fn a_note_is_read_by_its_key_alone_and_unchanged_alone() -> Result<()> {
        let (ours, theirs) =
            (SigningKey::new("log.example/a", &Key::generate()?)?, SigningKey::new("w", &Key::generate()?)?);
        let checkpoint = Checkpoint { origin: "tapeloom.audit/1".into(), size: 7, root: Fingerprint::of(b"x") };
        let note = ours.sign(&checkpoint);
        assert_eq!(ours.verifying().open(&note)?, checkpoint);
        assert!(theirs.verifying().open(&note).is_err());
        let both = theirs.cosign(&note)?;
        assert_eq!((ours.verifying().open(&both)?, theirs.verifying().open(&both)?), (checkpoint.clone(), checkpoint));
        for at in 0..note.len() {
            let mut bad = note.clone().into_bytes();
            bad[at] ^= 1;
            if let Ok(bad) = String::from_utf8(bad) {
                assert!(ours.verifying().open(&bad).is_err(), "{at}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_public_key_reads_as_it_prints() -> Result<()> {
        // The example of the signed-note specification.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifyingKey = text.parse()?;
        assert_eq!(key.to_string(), text);
        let ours = SigningKey::new("a", &Key::from_bytes([7; 32]))?;
        assert_eq!(ours.verifying().to_string().parse::<VerifyingKey>()?, ours.verifying());
        assert!(format!("{ours:?}").starts_with("SigningKey(a+"));
        for bad in [
            "",
            "a",
            "a+b+c",
            &text.replace("c74f", "c74e"),
            "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
        }
        Ok(())
    }

    #[test]
    fn notes_of_a_file_are_told_apart_and_a_torn_one_is_left_out() -> Result<()> {
        let key = SigningKey::new("a", &Key::from_bytes([7; 32]))?;
        let note = |size| key.sign(&Checkpoint { origin: "o".into(), size, root: Fingerprint::of(b"x") });
        let whole = format!("{}\n{}\n", note(1), note(2));
        assert_eq!(notes(&whole), (vec![note(1), note(2)], whole.len()));
        let torn = format!("{whole}{}", &note(3)[..20]);
        assert_eq!(notes(&torn), (vec![note(1), note(2)], whole.len()));
        Ok(())
    }
}
