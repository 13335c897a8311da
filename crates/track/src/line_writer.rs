use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Lines that may wait for the disk; more are lost and counted.
const QUEUE: usize = 8192;
/// Bytes gathered for one write.
const CHUNK: usize = 64 * 1024;
/// How long a line may stay in memory.
const IDLE: Duration = Duration::from_secs(1);
/// How long [`LineWriter::flush`] waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands lines to a thread that writes them, and counts those that it can't hand over or write.
#[derive(Debug)]
pub(crate) struct LineWriter {
    lost: Arc<AtomicU64>,
    queue: Option<SyncSender<Message>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where lines go: all of `bytes` or nothing of them.
pub(crate) trait Sink: Send {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl LineWriter {
    pub(crate) fn start(sink: Box<dyn Sink>) -> Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        let (queue, messages) = sync_channel(QUEUE);
        let worker = Worker { sink, pending: Vec::new(), lines: 0, oldest: None, lost: Arc::clone(&lost) };
        let thread = std::thread::Builder::new()
            .name("tapeloom-jsonl".into())
            .spawn(move || worker.run(&messages))
            .map_err(|source| Error::Spawn { what: "the thread of the event log", source })?;
        Ok(Self { lost, queue: Some(queue), thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// Never waits.
    pub(crate) fn write(&self, line: Vec<u8>) {
        let refused = |queue: &SyncSender<Message>| queue.try_send(Message::Line(line)).is_err();
        if self.queue.as_ref().is_none_or(refused) {
            self.lose(1);
        }
    }

    pub(crate) fn flush(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (done, wait) = sync_channel(1);
        let mut message = Message::Flush(done);
        let Some(queue) = &self.queue else { return };
        loop {
            match queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < deadline => {
                    message = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return,
            }
        }
        let _ = wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        // The closed queue is what ends the worker, after it has written what is left.
        self.queue = None;
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    sink: Box<dyn Sink>,
    pending: Vec<u8>,
    lines: u64,
    oldest: Option<Instant>,
    lost: Arc<AtomicU64>,
}

impl Worker {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let age = self.oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed());
            match messages.recv_timeout(IDLE.saturating_sub(age)) {
                Ok(Message::Line(line)) => {
                    self.pending.extend_from_slice(&line);
                    self.lines += 1;
                    self.oldest.get_or_insert_with(Instant::now);
                    if self.pending.len() >= CHUNK {
                        self.write();
                    }
                }
                Ok(Message::Flush(done)) => {
                    self.write();
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
        }
    }

    fn write(&mut self) {
        if !self.pending.is_empty() && self.sink.append(&self.pending).is_err() {
            self.lost.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.pending.clear();
        self.lines = 0;
        self.oldest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FullDisk;

    impl Sink for FullDisk {
        fn append(&mut self, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_full_disk_costs_lines_and_never_an_error() -> Result<()> {
        let writer = LineWriter::start(Box::new(FullDisk))?;
        (0..3).for_each(|_| writer.write(b"x\n".to_vec()));
        writer.flush();
        assert_eq!(writer.lost(), 3);
        Ok(())
    }

    struct Stuck(Receiver<()>);

    impl Sink for Stuck {
        fn append(&mut self, _: &[u8]) -> std::io::Result<()> {
            let _ = self.0.recv();
            Ok(())
        }
    }

    #[test]
    fn a_stuck_disk_fills_the_queue_and_then_loses_without_waiting() -> Result<()> {
        let (release, stuck) = sync_channel::<()>(0);
        let writer = LineWriter::start(Box::new(Stuck(stuck)))?;
        let (started, lines) = (Instant::now(), 2 * QUEUE as u64);
        // Long lines, so that the worker asks the disk after a few of them.
        (0..lines).for_each(|_| writer.write(vec![b'x'; CHUNK / 4]));
        assert!((lines - QUEUE as u64 - 8..=lines - QUEUE as u64).contains(&writer.lost()), "lost {}", writer.lost());
        assert!(started.elapsed() < PATIENCE, "writing waited for the disk");
        drop(release);
        Ok(())
    }

    struct Kept(std::sync::mpsc::Sender<Vec<u8>>);

    impl Sink for Kept {
        fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            self.0.send(bytes.to_vec()).map_err(std::io::Error::other)
        }
    }

    #[test]
    fn a_line_reaches_the_disk_without_a_flush() -> Result<()> {
        let (kept, lines) = std::sync::mpsc::channel();
        let writer = LineWriter::start(Box::new(Kept(kept)))?;
        writer.write(b"x\n".to_vec());
        assert_eq!(lines.recv_timeout(20 * IDLE).ok(), Some(b"x\n".to_vec()));
        Ok(())
    }
}
