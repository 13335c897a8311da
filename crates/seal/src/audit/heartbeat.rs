use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tapeloom_core::Record;

use super::log::AuditLog;

/// Writes `log.heartbeat` into a log now and then, so that a log that was switched off differs from one in which nothing
/// happened. Stops when dropped.
#[derive(Debug)]
pub struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    is_failing: Arc<AtomicBool>,
}

impl Heartbeat {
    /// Starts a thread that writes one every so often, the first at once. [`Verifier::most_silence_us`] finds gaps later.
    ///
    /// [`Verifier::most_silence_us`]: crate::Verifier::most_silence_us
    #[must_use]
    pub fn start(log: Arc<AuditLog>, every: Duration) -> Self {
        let (stop, stopped) = channel();
        let is_failing = Arc::new(AtomicBool::new(false));
        let flag = is_failing.clone();
        let thread = std::thread::spawn(move || {
            loop {
                let beat = log.write(&Record::new("tapeloom", "log.heartbeat", "audit log"));
                flag.store(beat.is_err(), Ordering::Relaxed);
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread), is_failing }
    }

    /// Whether the newest one could not be written: for an alert, and for whoever has to stop when logging does.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
