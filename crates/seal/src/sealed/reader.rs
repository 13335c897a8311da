use std::io::{self, Read, Seek, SeekFrom};

use zeroize::Zeroizing;

use super::opener::changed_chunk;
use super::stream::Stream;
use crate::aead::TAG;
use crate::{Error, Result};

/// Reads a sealed file at any place, one chunk in memory. Every byte it gives is authentic. See
/// [`Opener::reader`](crate::Opener::reader).
pub struct SealedReader<R> {
    name: String,
    inner: R,
    stream: Stream,
    /// Where the chunks begin.
    chunks: u64,
    length: u64,
    position: u64,
    /// Number of the chunk at hand.
    cached: Option<u64>,
    /// Its plaintext, and its tag behind it.
    piece: Zeroizing<Vec<u8>>,
    warning: Option<String>,
}

impl<R: Read + Seek> SealedReader<R> {
    pub(super) fn new(
        name: &str,
        inner: R,
        stream: Stream,
        chunks: u64,
        length: u64,
        warning: Option<String>,
    ) -> Result<Self> {
        let piece = Zeroizing::new(vec![0; stream.suite.chunk() + TAG]);
        let name = name.to_owned();
        let mut reader = Self { name, inner, stream, chunks, length, position: 0, cached: None, piece, warning };
        // The last chunk proves the length.
        reader.load(reader.stream.suite.chunks(length) - 1)?;
        Ok(reader)
    }

    /// Bytes of plaintext.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// Whether the file holds no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What somebody should know about how the file was sealed, such as a weak key derivation.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The bytes of a range, all or none.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a chunk that was changed; [`Error::Invalid`] for a range beyond the end; [`Error::Io`].
    pub fn read_range(&mut self, start: u64, length: usize) -> Result<Vec<u8>> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            let remedy = format!("{} holds {} bytes", self.name, self.length);
            return Err(Error::invalid("range", format!("{start}+{length}"), remedy));
        }
        let (mut out, mut at) = (Vec::with_capacity(length), start);
        while out.len() < length {
            let part = self.part(at)?;
            let taken = part.len().min(length - out.len());
            out.extend_from_slice(&part[..taken]);
            at += taken as u64;
        }
        Ok(out)
    }

    /// What the chunk of this position holds from there on.
    fn part(&mut self, at: u64) -> Result<&[u8]> {
        let chunk = self.stream.suite.chunk() as u64;
        self.load(at / chunk)?;
        let end = chunk.min(self.length - at / chunk * chunk) as usize;
        Ok(&self.piece[(at % chunk) as usize..end])
    }

    fn load(&mut self, number: u64) -> Result<()> {
        if self.cached == Some(number) {
            return Ok(());
        }
        self.cached = None;
        let chunk = self.stream.suite.chunk() as u64;
        let plain = chunk.min(self.length - number * chunk) as usize;
        let piece = &mut self.piece[..plain + TAG];
        let from = SeekFrom::Start(self.chunks + number * (chunk + TAG as u64));
        let read = self.inner.seek(from).and_then(|_| self.inner.read_exact(piece));
        read.map_err(|e| Error::io("read", &self.name, e))?;
        let is_last = number + 1 == self.stream.suite.chunks(self.length);
        if !self.stream.open_in_place(number, piece, is_last) {
            return Err(changed_chunk(&self.name, number, &self.stream, self.length));
        }
        self.cached = Some(number);
        Ok(())
    }
}

impl<R: Read + Seek> Read for SealedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.length {
            return Ok(0);
        }
        let part = self.part(self.position).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        let taken = part.len().min(out.len());
        out[..taken].copy_from_slice(&part[..taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl<R: Read + Seek> Seek for SealedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

impl<R> std::fmt::Debug for SealedReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedReader").field("name", &self.name).field("length", &self.length).finish_non_exhaustive()
    }
}
