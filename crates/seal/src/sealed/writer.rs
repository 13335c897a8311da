use std::io::{self, Write};

use zeroize::Zeroizing;

use super::stream::Stream;
use crate::aead::TAG;

/// What is sealed at a time: what stays in a core's cache, or enough that threads are worth starting.
const BATCH: usize = 64 << 10;
const BATCH_OF_THREAD: usize = 1 << 20;

/// Seals what is written to it. See [`Sealer::writer`](crate::Sealer::writer).
pub struct SealWriter<W> {
    inner: W,
    stream: Stream,
    threads: usize,
    /// Chunks that are not sealed yet, each with room for its tag. The last byte of them is kept back, for nobody knows yet which
    /// chunk is the last.
    pieces: Zeroizing<Vec<u8>>,
    /// Bytes of plaintext in them.
    filled: usize,
    /// As many as are sealed at a time.
    batch: usize,
    next: u64,
}

impl<W: Write> SealWriter<W> {
    pub(super) fn new(mut inner: W, start: &[u8], stream: Stream, threads: usize) -> io::Result<Self> {
        inner.write_all(start)?;
        let batch = if threads > 1 { BATCH_OF_THREAD * threads.min(64) } else { BATCH };
        // Of its final size from the start: a buffer that grows leaves copies of the plaintext behind.
        let pieces = Zeroizing::new(vec![0; batch + batch / stream.suite.chunk() * TAG]);
        Ok(Self { inner, stream, threads, pieces, filled: 0, batch, next: 0 })
    }

    /// Seals the rest, marks the end, and gives the inner writer back. It is flushed but not synced.
    ///
    /// # Errors
    /// The inner writer's.
    pub fn finish(mut self) -> io::Result<W> {
        let chunk = self.stream.suite.chunk();
        if self.filled == self.batch && self.stream.suite.chunks(self.batch as u64) > (self.batch / chunk) as u64 {
            // The empty chunk that ends whole ones has no room behind them.
            self.put(self.pieces.len(), false)?;
        }
        self.put(self.stream.suite.sealed_len(self.filled as u64) as usize, true)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn put(&mut self, length: usize, is_end: bool) -> io::Result<()> {
        let pieces = &mut self.pieces[..length];
        self.stream.seal_in_place(self.next, pieces, is_end, self.threads);
        self.inner.write_all(pieces)?;
        self.next += (self.filled / self.stream.suite.chunk()) as u64;
        self.filled = 0;
        Ok(())
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.filled == self.batch {
            self.put(self.pieces.len(), false)?;
        }
        let (chunk, inside) = (self.stream.suite.chunk(), self.filled % self.stream.suite.chunk());
        let taken = bytes.len().min(chunk - inside);
        let at = self.filled / chunk * (chunk + TAG) + inside;
        self.pieces[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
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
