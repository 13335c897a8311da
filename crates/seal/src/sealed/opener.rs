use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::header::{Header, MAGIC, SealedInfo};
use super::reader::SealedReader;
use super::recipient::{Entry, FileKey};
use super::sealer::{Sealer, replace_header};
use super::stream::{Stream, all_threads};
use super::v1;
use crate::keys::{Kdf, KdfLimits, Key, Passphrase};
use crate::{Error, Result};

/// Opens sealed files with the keys and passphrases it was given, for one tenant or for none.
#[derive(Clone, Debug)]
pub struct Opener {
    keys: Vec<Key>,
    passphrases: Vec<Passphrase>,
    tenant: Option<String>,
    limits: KdfLimits,
    threads: usize,
}

/// What a header gave to somebody who may open it.
pub(crate) struct Unlocked {
    pub(crate) header: Header,
    pub(crate) file_key: FileKey,
    kdf: Option<Kdf>,
}

impl Opener {
    /// Opens with a key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { keys: vec![key], ..Self::empty() }
    }

    /// Opens with a passphrase.
    #[must_use]
    pub fn with_passphrase(passphrase: Passphrase) -> Self {
        Self { passphrases: vec![passphrase], ..Self::empty() }
    }

    fn empty() -> Self {
        let (keys, passphrases, tenant) = (Vec::new(), Vec::new(), None);
        Self { keys, passphrases, tenant, limits: KdfLimits::default(), threads: all_threads() }
    }

    /// Adds a key, such as one that was in use before a rotation.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds a passphrase.
    #[must_use]
    pub fn passphrase(mut self, passphrase: Passphrase) -> Self {
        self.passphrases.push(passphrase);
        self
    }

    /// Opens files of this tenant, and no others. Without it, files that name no tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets the most that a file may ask for when a passphrase is tried.
    #[must_use]
    pub const fn limits(mut self, limits: KdfLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Uses at most so many threads for one file.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// What a sealed file says of itself. Nothing of it is proven.
    ///
    /// # Errors
    /// [`Error::Damaged`] for bytes that are no sealed file of this version.
    pub fn inspect(name: &str, sealed: impl Read) -> Result<SealedInfo> {
        Header::read(name, sealed).map(|header| header.info())
    }

    /// Decrypts a whole file that was sealed for this name. Nothing is released unless all of it is authentic.
    ///
    /// # Errors
    /// [`Error::WrongKey`], [`Error::WrongTenant`], [`Error::Damaged`]; [`Error::Invalid`] for a key derivation that costs too
    /// much.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        if sealed.starts_with(v1::MAGIC) {
            return self.open_v1(name, sealed);
        }
        let unlocked = self.unlock(name, sealed)?;
        let rest = &sealed[unlocked.header.len()..];
        let cut_short = || Error::damaged(name, "the payload is cut short");
        let suite = unlocked.header.label.suite;
        let (prefix, chunks) = rest.split_at_checked(suite.prefix()).ok_or_else(cut_short)?;
        let stream = unlocked.stream(name, prefix)?;
        let length = suite.plain_len(chunks.len() as u64).ok_or_else(cut_short)?;
        let mut out = vec![0; length as usize];
        let opened = stream.open(0, chunks, true, &mut out, self.threads);
        opened.map_err(|chunk| changed_chunk(name, chunk, &stream, length))?;
        Ok(out)
    }

    /// Reads a file part by part: any range, without the rest of it. Its end is proven first, so a file that was cut is refused.
    ///
    /// # Errors
    /// As [`Opener::open`]; [`Error::Io`].
    pub fn reader<R: Read + Seek>(&self, name: &str, mut sealed: R) -> Result<SealedReader<R>> {
        let io = |e| Error::io("read", name, e);
        let start = sealed.stream_position().map_err(io)?;
        let unlocked = self.unlock(name, &mut sealed)?;
        let mut prefix = vec![0; unlocked.header.label.suite.prefix()];
        sealed.read_exact(&mut prefix).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::damaged(name, "the payload is cut short"),
            _ => io(e),
        })?;
        let chunks = start + (unlocked.header.len() + prefix.len()) as u64;
        let end = sealed.seek(SeekFrom::End(0)).map_err(io)?;
        let length = unlocked.header.label.suite.plain_len(end.saturating_sub(chunks));
        let length = length.ok_or_else(|| Error::damaged(name, "the payload is cut short"))?;
        SealedReader::new(name, sealed, unlocked.stream(name, &prefix)?, chunks, length, unlocked.warning())
    }

    /// Seals the file's own key anew for the recipients of `sealer`, who replace those it had. The payload stays as it is, byte
    /// for byte; the file is replaced whole or not at all. What somebody knew of the file before, they still know.
    ///
    /// # Errors
    /// As [`Opener::open`], the payload's damage excepted: it is not looked at.
    pub fn rewrap_file(&self, name: &str, path: impl AsRef<Path>, sealer: &Sealer) -> Result<()> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let unlocked = self.unlock(name, &mut file)?;
        let header = unlocked.header.rewrapped(name, &unlocked.file_key, &sealer.recipients)?;
        file.seek(SeekFrom::Start(unlocked.header.len() as u64)).map_err(|e| Error::io("read", path, e))?;
        replace_header(path, &header, file)
    }

    /// As [`Opener::rewrap_file`], for bytes.
    ///
    /// # Errors
    /// As [`Opener::rewrap_file`].
    pub fn rewrap(&self, name: &str, sealed: &[u8], sealer: &Sealer) -> Result<Vec<u8>> {
        let unlocked = self.unlock(name, sealed)?;
        let header = unlocked.header.rewrapped(name, &unlocked.file_key, &sealer.recipients)?;
        Ok([&header.bytes()[..], &sealed[unlocked.header.len()..]].concat())
    }

    /// The 16 bytes that the age format calls the file key of this file's payload, when it is of the ChaCha suite: with it and
    /// a header of that format any program for age reads the payload.
    ///
    /// # Errors
    /// As [`Opener::open`]; [`Error::Invalid`] for the other suite.
    pub fn age_file_key(&self, name: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<[u8; 16]>> {
        let unlocked = self.unlock(name, sealed)?;
        if unlocked.header.label.suite != super::Suite::ChaCha20Poly1305 {
            let suite = format!("{:?}", unlocked.header.label.suite);
            return Err(Error::invalid("suite", suite, "age reads payloads of ChaCha20-Poly1305 alone"));
        }
        Ok(unlocked.header.age_file_key(name, &unlocked.file_key))
    }

    pub(crate) fn unlock(&self, name: &str, sealed: impl Read) -> Result<Unlocked> {
        let header = Header::read(name, sealed)?;
        if header.label.tenant != self.tenant {
            let (sealed_for, given) = (header.label.tenant.clone(), self.tenant.clone());
            return Err(Error::WrongTenant { name: name.to_owned(), sealed_for, given });
        }
        let (file_key, kdf) = self.unwrap(name, &header.entries, &header.fixed_hash())?;
        if !header.is_authentic(&file_key) {
            return Err(Error::damaged(name, "its header was changed"));
        }
        Ok(Unlocked { header, file_key, kdf })
    }

    /// The file key out of the first entry that opens with a key or passphrase at hand.
    pub(crate) fn unwrap(&self, name: &str, entries: &[Entry], fixed: &[u8; 32]) -> Result<(FileKey, Option<Kdf>)> {
        for entry in entries {
            // Keys first: they cost nothing.
            if let Some(unwrapped) = self.keys.iter().find_map(|key| entry.unwrap_with_key(key, fixed)) {
                let damaged = || Error::damaged(name, "its header was changed: the wrapped key does not open");
                return unwrapped.map(|file_key| (file_key, None)).ok_or_else(damaged);
            }
        }
        for entry in entries {
            for passphrase in &self.passphrases {
                if let Some((key, kdf)) = entry.unwrap_with_passphrase(passphrase, fixed, &self.limits)? {
                    return Ok((key, Some(kdf)));
                }
            }
        }
        let given = self.keys.iter().map(|key| format!("key {}", key.id()));
        let given = given.chain(self.passphrases.iter().map(|_| "a passphrase".to_owned())).collect::<Vec<_>>();
        let sealed_with = entries.iter().map(Entry::name).collect::<Vec<_>>().join(", ");
        Err(Error::WrongKey { name: name.to_owned(), sealed_with, given: given.join(", ") })
    }

    fn open_v1(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        if self.tenant.is_some() {
            return Err(Error::WrongTenant { name: name.to_owned(), sealed_for: None, given: self.tenant.clone() });
        }
        let mut last = Error::WrongKey { name: name.to_owned(), sealed_with: "a key".into(), given: "none".into() };
        for key in &self.keys {
            match v1::open(name, sealed, key) {
                Err(error @ Error::WrongKey { .. }) => last = error,
                other => return other,
            }
        }
        Err(last)
    }
}

impl Unlocked {
    fn stream(&self, name: &str, prefix: &[u8]) -> Result<Stream> {
        let stream = self.header.resume_payload(name, &self.file_key, prefix);
        let damaged = "the payload belongs to another key or name, or its start was changed";
        stream.ok_or_else(|| Error::damaged(name, damaged))
    }

    fn warning(&self) -> Option<String> {
        self.kdf.and_then(Kdf::weakness)
    }
}

pub(super) fn changed_chunk(name: &str, chunk: u64, stream: &Stream, length: u64) -> Error {
    let is_last = chunk + 1 == stream.suite.chunks(length);
    Error::damaged(
        name,
        match (chunk, is_last) {
            (0, true) => "chunk 0 was changed, or it belongs to another key or name".into(),
            (0, false) => "chunk 0 was changed, or the payload belongs to another key or name".into(),
            (_, true) => format!("chunk {chunk}, the last, was changed, or the payload was cut short or added to"),
            _ => format!("chunk {chunk} was changed"),
        },
    )
}

const _: () = assert!(MAGIC.len() == v1::MAGIC.len());
