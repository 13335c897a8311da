use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use tapeloom_core::Timestamp;

use super::header::{Header, Label};
use super::recipient::{FileKey, Recipient};
use super::stream::{Suite, all_threads};
use super::writer::SealWriter;
use crate::disk::AtomicFile;
use crate::keys::{Key, random};
use crate::{Error, Result};

/// Makes sealed files: for whom, under which suite, with what label. See `docs/format/sealed-file.md`.
///
/// Each file has a key of its own, so any number of files can be sealed for one recipient.
#[derive(Clone, Debug)]
pub struct Sealer {
    pub(crate) recipients: Vec<Recipient>,
    label: Label,
    threads: usize,
}

impl Sealer {
    /// Seals for one recipient, with the default suite, on as many threads as the machine runs at once.
    pub fn new(recipient: impl Into<Recipient>) -> Self {
        Self { recipients: vec![recipient.into()], label: Label::default(), threads: all_threads() }
    }

    /// Adds somebody who may open the files.
    #[must_use]
    pub fn recipient(mut self, recipient: impl Into<Recipient>) -> Self {
        self.recipients.push(recipient.into());
        self
    }

    /// Encrypts payloads so.
    #[must_use]
    pub const fn suite(mut self, suite: Suite) -> Self {
        self.label.suite = suite;
        self
    }

    /// Names the tenant. It is bound to the payload; an [`Opener`](crate::Opener) of another tenant refuses the file. Give each
    /// tenant a key of its own as well: [`Key::tenant`].
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.label.tenant = Some(tenant.into());
        self
    }

    /// Says what the files are for.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.label.purpose = Some(purpose.into());
        self
    }

    /// Says what the plaintext is.
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.label.media_type = Some(media_type.into());
        self
    }

    /// Says when the files were sealed.
    #[must_use]
    pub const fn created(mut self, time: Timestamp) -> Self {
        self.label.created = Some(time);
        self
    }

    /// Uses at most so many threads for one file.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Encrypts `bytes` for the blob `name`, under which alone it opens.
    ///
    /// # Errors
    /// [`Error::Random`]; [`Error::Invalid`] for a weak key derivation, too many recipients, or a label that is too long.
    pub fn seal(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let (header, file_key) = self.header(name)?;
        let (stream, prefix) = header.begin_payload(name, &file_key)?;
        let start = [&header.bytes()[..], &prefix].concat();
        let mut out = vec![0; start.len() + stream.suite.sealed_len(bytes.len() as u64) as usize];
        let (front, chunks) = out.split_at_mut(start.len());
        front.copy_from_slice(&start);
        stream.seal(0, bytes, true, chunks, self.threads);
        Ok(out)
    }

    /// Encrypts whatever is written, on the way into `inner`, with a few chunks in memory. Nothing in clear touches `inner`.
    /// The file is whole after [`SealWriter::finish`]; without it, it does not open.
    ///
    /// # Errors
    /// As [`Sealer::seal`]; [`Error::Io`].
    pub fn writer<W: Write>(&self, name: &str, inner: W) -> Result<SealWriter<W>> {
        let (header, file_key) = self.header(name)?;
        let (stream, prefix) = header.begin_payload(name, &file_key)?;
        SealWriter::new(inner, &[&header.bytes()[..], &prefix].concat(), stream, self.threads)
            .map_err(|e| Error::io("write", name, e))
    }

    /// Seals what `plain` gives into a file that appears at `path` whole or not at all, readable by its owner alone.
    ///
    /// # Errors
    /// As [`Sealer::writer`].
    pub fn seal_file(&self, name: &str, mut plain: impl Read, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let file = AtomicFile::create(path)?;
        let mut writer = self.writer(name, &file.file)?;
        let written = std::io::copy(&mut plain, &mut writer).and_then(|_| writer.finish());
        written.map_err(|e| Error::io("write", path, e))?;
        file.commit()
    }

    fn header(&self, name: &str) -> Result<(Header, FileKey)> {
        let mut file_key = FileKey::default();
        random(&mut *file_key)?;
        Ok((Header::new(name, &self.label, &file_key, &self.recipients)?, file_key))
    }
}

impl From<Key> for Sealer {
    fn from(key: Key) -> Self {
        Self::new(key)
    }
}

/// Copies a payload as it is behind another header.
pub(crate) fn replace_header(path: &Path, header: &Header, mut payload: File) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    let copied = file.file.write_all(&header.bytes()).and_then(|()| std::io::copy(&mut payload, &mut file.file));
    copied.map_err(|e| Error::io("write", path, e))?;
    file.commit()
}
