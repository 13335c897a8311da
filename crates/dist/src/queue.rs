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
        open.add();
        let job: Job = Box::new(move || {
            // Who dropped the handle does not want to know.
            let _ = sender.send(job());
            open.done();
        });
        if jobs.send(job).is_err() {
            self.open.done();
        }
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

impl Open {
    fn add(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn done(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.changed.notify_all();
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
