use std::io::{self, Write};

use zeroize::Zeroizing;

use super::stream::Stream;
use crate::aead::TAG;

/// What one thread seals at a time.
const BATCH: usize = 1 << 20;

/// Seals what is written to it. See [`Sealer::writer`](crate::Sealer::writer).
pub struct SealWriter<W> {
    inner: W,
    stream: Stream,
    threads: usize,
    /// Not yet sealed. It keeps its last byte back, for nobody knows yet which chunk is the last.
    plain: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
    batch: usize,
    next: u64,
}

impl<W: Write> SealWriter<W> {
    pub(super) fn new(mut inner: W, start: &[u8], stream: Stream, threads: usize) -> io::Result<Self> {
        inner.write_all(start)?;
        let batch = BATCH * threads.clamp(1, 64);
        // Of its final size from the start: a buffer that grows leaves copies of the plaintext behind.
        let plain = Zeroizing::new(Vec::with_capacity(batch + 1));
        Ok(Self { inner, stream, threads, plain, sealed: Vec::new(), batch, next: 0 })
    }

    /// Seals the rest, marks the end, and gives the inner writer back. It is flushed but not synced.
    ///
    /// # Errors
    /// The inner writer's.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn put(&mut self, is_end: bool) -> io::Result<()> {
        let plain = &self.plain[..if is_end { self.plain.len() } else { self.batch }];
        let chunk = self.stream.suite.chunk();
        let length = if is_end {
            self.stream.suite.sealed_len(plain.len() as u64) as usize
        } else {
            plain.len() + plain.len() / chunk * TAG
        };
        self.sealed.clear();
        self.sealed.resize(length, 0);
        self.stream.seal(self.next, plain, is_end, &mut self.sealed, self.threads);
        self.inner.write_all(&self.sealed)?;
        self.next += (plain.len() / chunk) as u64;
        let sealed = plain.len();
        self.plain.copy_within(sealed.., 0);
        let rest = self.plain.len() - sealed;
        self.plain.truncate(rest);
        Ok(())
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.batch + 1 - self.plain.len());
        self.plain.extend_from_slice(&bytes[..taken]);
        if self.plain.len() > self.batch {
            self.put(false)?;
        }
        Ok(taken)
    }

    /// What is not a whole batch stays in memory until [`SealWriter::finish`].
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> std::fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealWriter").field("chunks", &self.next).finish_non_exhaustive()
    }
}
