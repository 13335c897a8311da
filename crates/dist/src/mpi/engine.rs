use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::request::{LocalScope, Request, scope};
use ::mpi::topology::{Color, SimpleCommunicator};
use ::mpi::traits::{Communicator, CommunicatorCollectives, Equivalence, Root};

use super::header::{self, Header, WORDS};
use super::note::Note;
use super::number::Number;
use super::poll::{Peers, Wait};
use super::{Shared, Task};
use crate::collective::{ReduceOp, check_root, shard_range};
use crate::element::Staging;
use crate::meeting::Call;
use crate::{Error, Result};

/// MPI of this process, on the one thread that calls it.
pub(super) struct Engine {
    /// Finalizes MPI when it goes.
    universe: Option<Universe>,
    peers: Option<Peers>,
    groups: Vec<Group>,
    shared: Arc<Shared>,
    deadline: Duration,
    /// What the last call left: buffers take turns.
    spare: Staging,
}

struct Group {
    comm: SimpleCommunicator,
    /// The ranks in the whole job.
    ranks: Vec<usize>,
}

impl Engine {
    /// `None` if MPI was started before.
    pub(super) fn start(shared: Arc<Shared>, deadline: Duration) -> Option<Self> {
        let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled)?;
        let world = universe.world();
        let control = world.duplicate();
        let group = Group { ranks: (0..world.size() as usize).collect(), comm: world };
        let (universe, peers) = (Some(universe), Some(Peers::new(control)));
        Some(Self { universe, peers, groups: vec![group], shared, deadline, spare: Staging::default() })
    }

    /// Rank and world size.
    pub(super) fn place(&self) -> (usize, usize) {
        let world = &self.groups[0].comm;
        (world.rank() as usize, world.size() as usize)
    }

    /// Works until the process leaves the job; listens to the other ranks in between.
    pub(super) fn serve(mut self, tasks: &Receiver<Task>) {
        const LISTEN: Duration = Duration::from_millis(10);
        loop {
            match tasks.recv_timeout(LISTEN) {
                Ok(task) => task(&mut self),
                Err(RecvTimeoutError::Timeout) => {
                    let heard = self.peers.as_mut().map_or(Ok(()), Peers::listen);
                    let failure = heard.err().or_else(|| self.shared.lock().failure.clone());
                    if let Some(failure) = failure {
                        self.end(failure);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.universe.is_none() {
                return;
            }
        }
    }

    pub(super) fn all_reduce<T: Number>(
        &mut self,
        group: usize,
        name: &'static str,
        buffer: Vec<T>,
        op: ReduceOp,
    ) -> Result<Vec<T>> {
        self.agree(group, &Call { name, op: Some(op), len: Some(buffer.len()), root: None }, 0)?;
        self.reduced(group, name, buffer, op, Shape::Whole)
    }

    pub(super) fn reduce_scatter<T: Number>(
        &mut self,
        group: usize,
        name: &'static str,
        mut buffer: Vec<T>,
        op: ReduceOp,
    ) -> Result<Vec<T>> {
        let len = buffer.len();
        self.agree(group, &Call { name, op: Some(op), len: Some(len), root: None }, 0)?;
        let comm = &self.groups[group].comm;
        let (rank, world) = (comm.rank() as usize, comm.size() as usize);
        let own = shard_range(len, rank, world).len();
        // MPI's blocks are of one length; ours differ by one at most.
        if !len.is_multiple_of(world) {
            let block = len.div_ceil(world);
            buffer = (0..world).flat_map(|rank| padded(&buffer[shard_range(len, rank, world)], block)).collect();
        }
        let mut shard = self.reduced(group, name, buffer, op, Shape::Shard)?;
        shard.truncate(own);
        Ok(shard)
    }

    pub(super) fn all_gather<T: Number>(&mut self, group: usize, name: &'static str, shard: Vec<T>) -> Result<Vec<T>> {
        let call = Call { name, op: None, len: None, root: None };
        let headers = self.agree(group, &call, shard.len() as u64)?;
        let lengths: Vec<usize> = headers.iter().map(|header| header[3] as usize).collect();
        let block = lengths.iter().copied().max().unwrap_or(0);
        if block == 0 || lengths.len() == 1 {
            return Ok(shard);
        }
        within_limit(block.saturating_mul(lengths.len()))?;
        let shard: Vec<T> = padded(&shard, block).collect();
        let mut all = vec![T::default(); block * lengths.len()];
        self.run(group, name, false, |comm, scope| comm.immediate_all_gather_into(scope, &shard[..], &mut all[..]));
        if lengths.iter().all(|len| *len == block) {
            return Ok(all);
        }
        Ok(all.chunks(block).zip(lengths).flat_map(|(block, len)| &block[..len]).copied().collect())
    }

    pub(super) fn broadcast<T: Number>(
        &mut self,
        group: usize,
        name: &'static str,
        mut buffer: Vec<T>,
        root: usize,
    ) -> Result<Vec<T>> {
        self.agree(group, &Call { name, op: None, len: Some(buffer.len()), root: Some(root) }, 0)?;
        check_root(root, self.groups[group].ranks.len())?;
        if !buffer.is_empty() && self.groups[group].ranks.len() > 1 {
            let from = root as i32;
            self.run(group, name, false, |comm, scope| {
                comm.process_at_rank(from).immediate_broadcast_into(scope, &mut buffer[..])
            });
        }
        Ok(buffer)
    }

    pub(super) fn barrier(&mut self, group: usize) -> Result<()> {
        // That all have compared their calls means that all have come.
        self.agree(group, &Call { name: "barrier", op: None, len: None, root: None }, 0).map(|_| ())
    }

    /// The number of the new group, and this rank's place in it.
    pub(super) fn split(&mut self, group: usize, color: usize) -> Result<(usize, usize, usize)> {
        let headers = self.agree(group, &Call { name: "split", op: None, len: None, root: None }, color as u64)?;
        let parent = &self.groups[group];
        let same = headers.iter().zip(&parent.ranks).filter(|(header, _)| header[3] == color as u64);
        let ranks: Vec<usize> = same.map(|(_, rank)| *rank).collect();
        // MPI's colors are small numbers: the first rank of each part has one of its own.
        let first = headers.iter().position(|header| header[3] == color as u64).unwrap_or(0);
        // All are in this call, so it does not wait for anybody.
        let comm = parent.comm.split_by_color(Color::with_value(first as i32));
        let comm = comm.ok_or_else(|| Error::system("splitting the group", "MPI gave no group"))?;
        let place = (self.groups.len(), comm.rank() as usize, comm.size() as usize);
        self.groups.push(Group { comm, ranks });
        Ok(place)
    }

    /// Leaves the job when all do.
    pub(super) fn leave(&mut self) {
        let Some(peers) = &mut self.peers else { return };
        peers.tell(&Note::Left);
        let wait = Wait {
            operation: "barrier",
            ranks: &self.groups[0].ranks,
            deadline: self.deadline,
            since: Instant::now(),
            gathering: false,
        };
        let mut barrier = Some(peers.control().immediate_barrier());
        let end = peers.wait(&self.shared, &wait, |peers| {
            if let Some(Err(again)) = barrier.take().map(Request::test) {
                barrier = Some(again);
            }
            // Notes that nobody has read are in the way of a good end.
            (barrier.is_none() && peers.others_left()).then_some(())
        });
        if let Err(error) = end {
            mem::forget(barrier);
            die(peers, &self.shared, error);
        }
        self.groups.clear();
        self.peers = None;
        self.universe = None;
        self.shared.lock().finished = true;
        self.shared.changed.notify_all();
    }

    /// Compares what all are about to do; all are in the call then.
    fn agree(&mut self, group: usize, call: &Call, own: u64) -> Result<Vec<Header>> {
        // The same on all ranks, or a mismatch on those that are left.
        within_limit(call.len.unwrap_or(0))?;
        let size = self.groups[group].ranks.len();
        let mine = header::encode(call, own);
        if size == 1 {
            return Ok(vec![mine]);
        }
        let mut all = vec![0_u64; WORDS * size];
        self.run(group, call.name, true, |comm, scope| comm.immediate_all_gather_into(scope, &mine[..], &mut all[..]));
        let headers = all.as_chunks().0.to_vec();
        match header::compare(&headers, &self.groups[group].ranks) {
            Ok(()) => Ok(headers),
            Err(error) => self.end(error),
        }
    }

    /// What the ranks brought, as one; leaves the old buffer for the next call.
    fn reduced<T: Number>(
        &mut self,
        group: usize,
        name: &'static str,
        buffer: Vec<T>,
        op: ReduceOp,
        shape: Shape,
    ) -> Result<Vec<T>> {
        let world = self.groups[group].ranks.len();
        if world == 1 || buffer.is_empty() {
            return Ok(buffer);
        }
        let len = if shape == Shape::Whole { buffer.len() } else { buffer.len() / world };
        if op == ReduceOp::Max {
            let keys: Vec<T::Key> = buffer.iter().map(|value| value.key()).collect();
            let mut largest = vec![T::Key::default(); len];
            let how = SystemOperation::max();
            self.run(group, name, false, |comm, scope| shape.start(comm, scope, &keys, &mut largest, how));
            return Ok(largest.into_iter().map(T::of_key).collect());
        }
        let mut sum = mem::take(T::of_mut(&mut self.spare));
        sum.resize(len, T::default());
        let how = SystemOperation::sum();
        self.run(group, name, false, |comm, scope| shape.start(comm, scope, &buffer, &mut sum, how));
        *T::of_mut(&mut self.spare) = buffer;
        if op == ReduceOp::Mean {
            let count = T::from_count(world);
            sum.iter_mut().for_each(|value| *value = *value / count);
        }
        Ok(sum)
    }

    /// Starts a call of MPI and returns when it is done. If it never will be, this does not return: MPI keeps the buffers.
    fn run<'a, R: ?Sized + 'a>(
        &mut self,
        group: usize,
        operation: &'static str,
        gathering: bool,
        start: impl for<'b> FnOnce(&SimpleCommunicator, &'b LocalScope<'a>) -> Request<'a, R, &'b LocalScope<'a>>,
    ) {
        let Some(peers) = &mut self.peers else { return };
        let Group { comm, ranks } = &self.groups[group];
        let wait = Wait { operation, ranks, deadline: self.deadline, since: Instant::now(), gathering };
        scope(|scope| {
            let mut request = Some(start(comm, scope));
            let end = peers.wait(&self.shared, &wait, |_| match request.take().map(Request::test) {
                Some(Err(again)) => {
                    request = Some(again);
                    None
                }
                Some(Ok(_)) | None => Some(()),
            });
            if let Err(error) = end {
                mem::forget(request);
                die(peers, &self.shared, error);
            }
        });
    }

    fn end(&mut self, error: Error) -> ! {
        match &mut self.peers {
            Some(peers) => die(peers, &self.shared, error),
            None => rest(),
        }
    }
}

/// What a reduction leaves on each rank.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Whole,
    Shard,
}

impl Shape {
    fn start<'a, 'b, E: Equivalence>(
        self,
        comm: &SimpleCommunicator,
        scope: &'b LocalScope<'a>,
        from: &'a [E],
        into: &'a mut [E],
        how: SystemOperation,
    ) -> Request<'a, [E], &'b LocalScope<'a>> {
        match self {
            Self::Whole => comm.immediate_all_reduce_into(scope, from, into, how),
            Self::Shard => comm.immediate_reduce_scatter_block_into(scope, from, into, how),
        }
    }
}

/// Tells the host and the other ranks, and leaves this thread where it is, with the buffers that MPI may still write to.
fn die(peers: &mut Peers, shared: &Shared, error: Error) -> ! {
    /// For the notes to leave: MPI sends them while it is asked for others.
    const FLUSH: Duration = Duration::from_millis(300);
    let failure = shared.fail(error);
    peers.tell(&Note::Failed(failure));
    let since = Instant::now();
    while since.elapsed() < FLUSH {
        // What others say now changes nothing.
        let _ = peers.listen();
        thread::sleep(Duration::from_millis(1));
    }
    shared.lock().told = true;
    shared.changed.notify_all();
    rest()
}

fn rest() -> ! {
    loop {
        thread::park();
    }
}

fn within_limit(len: usize) -> Result<()> {
    if len <= i32::MAX as usize {
        return Ok(());
    }
    Err(Error::invalid("length", len, format!("MPI counts to {}: cut the buffer into buckets", i32::MAX)))
}

/// The values, and zeros up to `len`.
fn padded<T: Number>(values: &[T], len: usize) -> impl Iterator<Item = T> {
    let rest = len - values.len();
    values.iter().copied().chain(std::iter::repeat_n(T::default(), rest))
}
