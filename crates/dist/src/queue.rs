use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::pending::Pending;
use crate::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// Work of one rank that runs beside it, in the order in which it was started, on a thread that starts with the first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    worker: Mutex<Option<(Sender<Job>, JoinHandle<()>)>>,
    open: Arc<Open>,
}

/// How much was started and is not done.
#[derive(Debug, Default)]
struct Open {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Queue {
    pub(crate) fn push(&self, job: impl FnOnce() -> Result<Vec<f32>> + Send + 'static) -> Pending {
        let (sender, receiver) = mpsc::channel();
        let open = self.open.clone();
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = match &*worker {
            Some((jobs, _)) => jobs,
            None => match start() {
                Ok(started) => &worker.insert(started).0,
                Err(error) => return Pending::ready(Err(error)),
            },
        };
        let ticket = Ticket::new(open);
        let job: Job = Box::new(move || {
            let _ticket = ticket;
            // Who dropped the handle does not want to know.
            let _ = sender.send(job());
        });
        // A job that finds nobody is dropped, and its waiter learns of it.
        let _ = jobs.send(job);
        Pending::running(move || receiver.recv().unwrap_or_else(|_| Err(broken())))
    }

    /// Returns when all that was started is done.
    pub(crate) fn drain(&self) {
        let mut count = self.open.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count > 0 {
            count = self.open.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.worker.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            drop(jobs);
            // A job that panicked has told its waiter.
            let _ = thread.join();
        }
    }
}

/// Work that is not done: counted until it is dropped, by a panic too.
struct Ticket(Arc<Open>);

impl Ticket {
    fn new(open: Arc<Open>) -> Self {
        *open.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(open)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}

fn start() -> Result<(Sender<Job>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let thread = thread::Builder::new().name("tapeloom-collective".to_owned());
    let thread = thread.spawn(move || receiver.into_iter().for_each(|job| job()));
    thread.map(|thread| (sender, thread)).map_err(|e| Error::system("starting a thread", e))
}

fn broken() -> Error {
    Error::system("work beside the rank", "its thread is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panics_is_an_error_and_holds_nobody_up() {
        let queue = Queue::default();
        let broken = queue.push(|| panic!("a fault"));
        let after = queue.push(|| Ok(vec![1.0]));
        assert!(broken.wait().is_err());
        queue.drain();
        assert!(after.wait().is_err(), "what was to follow is not done");
    }
}
