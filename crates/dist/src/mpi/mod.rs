//! Ranks that are processes of an MPI job.

mod engine;
mod header;
mod note;
mod number;
mod poll;

use std::fmt;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::collective::{Collective, ReduceOp, check_length};
use crate::pending::{Pending, Work};
use crate::{Error, Rendezvous, Result, Threads};
use engine::Engine;
use number::Number;

/// One rank of an MPI job (feature `mpi`; needs OpenMPI to build and to run).
///
/// MPI's non-blocking calls carry the data, on a thread of their own that looks at deadline and peers while it waits. Before each
/// call ranks compare what they are about to do, so that a mismatch is an error and no hang. With a [`Rendezvous`] to watch, a rank
/// that is killed, stopped or cut off is noticed in seconds; without one, at the deadline.
///
/// After a failure MPI itself is of no use to the process: all its groups are dead, `MPI_Finalize` is not called, and a new process
/// has to begin. Tapeloom never calls `MPI_Abort`. Two things are OpenMPI's own: `mpirun` ends all ranks when one of them is
/// killed or ends without `MPI_Finalize`, unless it runs with `--enable-recovery`; and OpenMPI ends a process in which one of its
/// transports fails for good, such as TCP on a connection that was reset.
///
/// Results are the same to the bit on every rank; MPI chooses the order of addition. Ranks in errors count in the whole job.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    world_size: usize,
    group: usize,
    client: Arc<Client>,
}

/// This process's way to the thread that holds MPI.
struct Client {
    tasks: Mutex<Sender<Task>>,
    shared: Arc<Shared>,
    /// Buffers to be used again.
    spare: Mutex<Vec<Vec<f32>>>,
    deadline: Duration,
}

type Task = Box<dyn FnOnce(&mut Engine) + Send>;

/// What the thread that holds MPI and the others tell each other.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    watch: Option<Arc<Rendezvous>>,
}

#[derive(Default)]
struct State {
    failure: Option<Error>,
    /// The other ranks have been told of the failure.
    told: bool,
    /// MPI is finalized.
    finished: bool,
}

impl Mpi {
    /// Starts MPI in this process and joins the job; calls fail after `deadline`, or when `watch` sees a rank fail.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a deadline of zero or above [`Threads::LONGEST_DEADLINE`]; [`Error::System`] if MPI was started
    /// before, which a process can do once.
    pub fn join(deadline: Duration, watch: Option<Arc<Rendezvous>>) -> Result<Self> {
        if deadline.is_zero() || deadline > Threads::LONGEST_DEADLINE {
            return Err(Error::invalid("deadline", format!("{deadline:?}"), "choose more than zero and at most a day"));
        }
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), watch });
        let (tasks, todo) = mpsc::channel::<Task>();
        let (sender, started) = mpsc::channel();
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("tapeloom-mpi".to_owned());
        let thread = thread.spawn(move || match Engine::start(theirs.clone(), deadline) {
            Some(engine) => {
                let _sentinel = Sentinel(theirs);
                // The host waits for this very word.
                let _ = sender.send(Some(engine.place()));
                engine.serve(&todo);
            }
            None => drop(sender.send(None)),
        });
        thread.map_err(|e| Error::system("starting a thread", e))?;
        let Ok(Some((rank, world_size))) = started.recv() else {
            return Err(Error::system("starting MPI", "this process has started it before"));
        };
        let client = Client { tasks: Mutex::new(tasks), shared, spare: Mutex::default(), deadline };
        Ok(Self { rank, world_size, group: 0, client: Arc::new(client) })
    }

    fn call<R: Send + 'static>(&self, job: impl FnOnce(&mut Engine) -> Result<R> + Send + 'static) -> Result<R> {
        self.client.push(job)()
    }

    fn all_reduce_of<T: Number>(&self, name: &'static str, buffer: Vec<T>, op: ReduceOp) -> Result<Vec<T>> {
        let group = self.group;
        self.call(move |engine| engine.all_reduce(group, name, buffer, op))
    }
}

impl Client {
    /// Hands a job over; what comes back waits for its end.
    fn push<R: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&mut Engine) -> Result<R> + Send + 'static,
    ) -> Box<dyn FnOnce() -> Result<R> + Send> {
        let place = Arc::new(Mutex::new(None));
        let (theirs, client) = (place.clone(), self.clone());
        let shared = self.shared.clone();
        let task: Task = Box::new(move |engine| {
            let end = job(engine);
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
            drop(shared.lock());
            shared.changed.notify_all();
        });
        // A thread that is gone has left its failure.
        let sent = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).send(task).is_ok();
        Box::new(move || {
            let mut state = client.shared.lock();
            loop {
                if let Some(end) = place.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    return end;
                }
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
                if !sent {
                    return Err(Error::system("calling MPI", "its thread is gone"));
                }
                state = client.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        })
    }

    /// A copy of `values` in a buffer that was used before, where there is one: new memory costs more than the copy.
    fn copy(&self, values: &[f32]) -> Vec<f32> {
        let mut buffer = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(values);
        buffer
    }

    fn keep(&self, buffer: Vec<f32>) {
        const MOST: usize = 4;
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST {
            spare.push(buffer);
        }
    }
}

/// The last group of the process leaves the job in good order, unless it is dead.
impl Drop for Client {
    fn drop(&mut self) {
        let task: Task = Box::new(Engine::leave);
        if self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).send(task).is_err() {
            return;
        }
        let until = Instant::now() + self.deadline;
        let mut state = self.shared.lock();
        while !state.finished && state.failure.is_none() && Instant::now() < until {
            state = self.shared.wait(state, until);
        }
    }
}

/// A bug on the thread that holds MPI leaves nobody waiting.
struct Sentinel(Arc<Shared>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(Error::system("calling MPI", "its thread panicked"));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let rest = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The first failure is the one that counts.
    fn fail(&self, error: Error) -> Error {
        let failure = self.lock().failure.get_or_insert(error).clone();
        self.changed.notify_all();
        failure
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn all_reduce(&self, buffer: &mut [f32], op: ReduceOp) -> Result<()> {
        let reduced = self.all_reduce_of("all_reduce", self.client.copy(buffer), op)?;
        buffer.copy_from_slice(&reduced);
        self.client.keep(reduced);
        Ok(())
    }

    fn all_reduce_f64(&self, buffer: &mut [f64], op: ReduceOp) -> Result<()> {
        buffer.copy_from_slice(&self.all_reduce_of("all_reduce_f64", buffer.to_vec(), op)?);
        Ok(())
    }

    fn reduce_scatter(&self, buffer: &[f32], op: ReduceOp) -> Result<Vec<f32>> {
        let (group, buffer) = (self.group, self.client.copy(buffer));
        self.call(move |engine| engine.reduce_scatter(group, "reduce_scatter", buffer, op))
    }

    fn reduce_scatter_f64(&self, buffer: &[f64], op: ReduceOp) -> Result<Vec<f64>> {
        let (group, buffer) = (self.group, buffer.to_vec());
        self.call(move |engine| engine.reduce_scatter(group, "reduce_scatter_f64", buffer, op))
    }

    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>> {
        let (group, shard) = (self.group, self.client.copy(shard));
        self.call(move |engine| engine.all_gather(group, "all_gather", shard))
    }

    fn all_gather_into(&self, shard: &[f32], all: &mut [f32]) -> Result<()> {
        let gathered = self.all_gather(shard)?;
        check_length(all.len(), gathered.len())?;
        all.copy_from_slice(&gathered);
        self.client.keep(gathered);
        Ok(())
    }

    fn all_gather_f64(&self, shard: &[f64]) -> Result<Vec<f64>> {
        let (group, shard) = (self.group, shard.to_vec());
        self.call(move |engine| engine.all_gather(group, "all_gather_f64", shard))
    }

    fn broadcast(&self, buffer: &mut [f32], root: usize) -> Result<()> {
        let (group, copy) = (self.group, self.client.copy(buffer));
        let sent = self.call(move |engine| engine.broadcast(group, "broadcast", copy, root))?;
        buffer.copy_from_slice(&sent);
        self.client.keep(sent);
        Ok(())
    }

    fn broadcast_f64(&self, buffer: &mut [f64], root: usize) -> Result<()> {
        let (group, copy) = (self.group, buffer.to_vec());
        buffer.copy_from_slice(&self.call(move |engine| engine.broadcast(group, "broadcast_f64", copy, root))?);
        Ok(())
    }

    fn start(&self, work: Work) -> Pending {
        let group = self.group;
        Pending::running(self.client.push(move |engine| match work {
            Work::AllReduce { buffer, op } => engine.all_reduce(group, "all_reduce", buffer, op),
            Work::ReduceScatter { buffer, op } => engine.reduce_scatter(group, "reduce_scatter", buffer, op),
            Work::AllGather { shard } => engine.all_gather(group, "all_gather", shard),
            Work::Broadcast { buffer, root } => engine.broadcast(group, "broadcast", buffer, root),
        }))
    }

    fn split(&self, color: usize) -> Result<Box<dyn Collective>> {
        let group = self.group;
        let (group, rank, world_size) = self.call(move |engine| engine.split(group, color))?;
        Ok(Box::new(Self { rank, world_size, group, client: self.client.clone() }))
    }

    fn barrier(&self) -> Result<()> {
        let group = self.group;
        self.call(move |engine| engine.barrier(group))
    }

    fn abort(&self, reason: &str) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let shared = &self.client.shared;
        shared.fail(Error::Aborted { rank: self.rank, reason: reason.to_owned() });
        // The host may end the process next, and the others are to hear why.
        let until = Instant::now() + PATIENCE;
        let mut state = shared.lock();
        while !state.told && Instant::now() < until {
            state = shared.wait(state, until);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
