use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use super::Checkpointer;
use crate::{Error, Result};

/// Encodes and writes one set; runs on the writer's thread.
pub(super) type Job<'a> = Box<dyn FnOnce(&Checkpointer) -> Result<u64> + Send + 'a>;

/// Writes checkpoint sets on a thread of its own, one after the other, so that a step waits for none of them.
pub(crate) struct Writer<'a> {
    jobs: Sender<(Saved, Job<'a>)>,
    done: Receiver<(Saved, Result<u64>)>,
    under_way: usize,
}

/// A set that was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) set: String,
    pub(crate) epoch: u64,
    /// Time that the training thread spent on it.
    pub(crate) seconds: f64,
}

impl<'a> Writer<'a> {
    /// Starts the thread. It ends when the writer is dropped, after it has written what it was given.
    pub(crate) fn start<'scope>(scope: &'scope Scope<'scope, 'a>, checkpointer: &'a Checkpointer) -> Self {
        let (jobs, orders) = channel::<(Saved, Job<'a>)>();
        let (results, done) = channel();
        scope.spawn(move || {
            for (saved, job) in orders {
                if results.send((saved, job(checkpointer))).is_err() {
                    return;
                }
            }
        });
        Self { jobs, done, under_way: 0 }
    }

    /// Whether nothing is being written.
    pub(crate) const fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Hands a set over.
    pub(crate) fn submit(&mut self, saved: Saved, job: Job<'a>) -> Result<()> {
        self.jobs.send((saved, job)).map_err(|_| gone())?;
        self.under_way += 1;
        Ok(())
    }

    /// The next set that has become durable, or failed to; none when there is no news.
    pub(crate) fn poll(&mut self) -> Option<(Saved, Result<u64>)> {
        let news = self.done.try_recv().ok()?;
        self.under_way -= 1;
        Some(news)
    }

    /// Waits for the next set; none when there is nothing to wait for.
    pub(crate) fn wait(&mut self) -> Result<Option<(Saved, Result<u64>)>> {
        if self.is_idle() {
            return Ok(None);
        }
        let news = self.done.recv().map_err(|_| gone())?;
        self.under_way -= 1;
        Ok(Some(news))
    }
}

fn gone() -> Error {
    let detail = "its thread ended; the panic's message is above";
    tapeloom_core::Error::provider("the checkpoint writer is gone", detail).into()
}
