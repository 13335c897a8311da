use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Event, Timestamp};

/// Watches a run. Telemetry may be lost, so an observer never blocks for long, never fails and never panics;
/// evidence belongs in a [`Ledger`](crate::Ledger).
pub trait Observer: Send + Sync + fmt::Debug {
    /// Takes note of one event. Called from the training thread.
    fn observe(&self, at: Timestamp, event: &Event);

    /// Writes out what is still held back. Called when a run ends.
    fn flush(&self) {}
}

/// Passes each event on to several observers, in order. Empty, it is the observer that ignores everything.
#[derive(Clone, Debug, Default)]
pub struct Fanout(Vec<Arc<dyn Observer>>);

impl Fanout {
    /// Adds an observer behind the others.
    pub fn add(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(observer);
    }
}

impl Observer for Fanout {
    fn observe(&self, at: Timestamp, event: &Event) {
        self.0.iter().for_each(|observer| observer.observe(at, event));
    }

    fn flush(&self) {
        self.0.iter().for_each(|observer| observer.flush());
    }
}

/// Keeps every event in memory, for tests and for reports at the end of a run.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<(Timestamp, Event)>>);

impl Recorder {
    /// Everything seen so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<(Timestamp, Event)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Recorder {
    fn observe(&self, at: Timestamp, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((at, event.clone()));
    }
}
