use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::collective::{Collective, ReduceOp, check_length, check_root, shard_range};
use crate::element::{Element, Staging, reduce};
use crate::meeting::{Call, Meeting};
use crate::pending::{Pending, Work};
use crate::queue::Queue;
use crate::{Error, Result};

/// One rank of a group whose ranks are threads of this process.
///
/// Reductions run in the order of ranks, so results are the same to the bit on every rank and in every run. Each rank reduces a
/// part of its own, so the time does not grow with the ranks where each has a core. A rank that is dropped, by a panic too,
/// fails the calls of those who wait for it. One thread at a time may call on a rank: a second one ends the group with
/// [`Error::Mismatch`].
#[derive(Debug)]
pub struct Threads {
    /// Before the seat, so that what was started is done before the rank departs.
    queue: Queue,
    seat: Arc<Seat>,
}

/// A rank's place in the group.
#[derive(Debug)]
struct Seat {
    rank: usize,
    table: Arc<Table>,
}

/// What the ranks of a group share.
#[derive(Debug)]
struct Table {
    meeting: Meeting,
    deadline: Duration,
    /// What each rank brought.
    brought: Vec<RwLock<Staging>>,
    /// What each rank made of its part.
    made: Vec<RwLock<Staging>>,
    /// The groups of a split that is under way, by color.
    parts: Mutex<HashMap<usize, Arc<Self>>>,
}

impl Threads {
    /// How long a call waits for the other ranks unless told otherwise.
    pub const DEADLINE: Duration = Duration::from_secs(300);

    /// The longest deadline: a group that waits for more than a day hangs.
    pub const LONGEST_DEADLINE: Duration = Duration::from_secs(24 * 3600);

    /// The ranks of a new group, in order; move one into each thread.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a group of none, and for a deadline of zero or above [`Threads::LONGEST_DEADLINE`].
    pub fn group(world_size: usize, deadline: Duration) -> Result<Vec<Self>> {
        if world_size == 0 {
            return Err(Error::invalid("world_size", 0, "a group has at least one rank"));
        }
        if deadline.is_zero() || deadline > Self::LONGEST_DEADLINE {
            return Err(Error::invalid("deadline", format!("{deadline:?}"), "choose more than zero and at most a day"));
        }
        let table = Arc::new(Table::new(world_size, deadline));
        Ok((0..world_size).map(|rank| Self::at(rank, table.clone())).collect())
    }

    fn at(rank: usize, table: Arc<Table>) -> Self {
        Self { queue: Queue::default(), seat: Arc::new(Seat { rank, table }) }
    }

    /// The rank's seat, when all is done that was started.
    fn seat(&self) -> &Seat {
        self.queue.drain();
        &self.seat
    }
}

impl Seat {
    fn world_size(&self) -> usize {
        self.table.brought.len()
    }

    /// Brings `values` to a call, hands what all brought to `take`, and leaves.
    fn exchange<T: Element, R>(
        &self,
        call: Call,
        values: &[T],
        take: impl FnOnce(&[RwLockReadGuard<'_, Staging>]) -> R,
    ) -> Result<R> {
        let meeting = &self.table.meeting;
        meeting.enter(self.rank, call)?;
        keep(&self.table.brought[self.rank], values);
        meeting.arrive(self.rank)?;
        let taken = take(&read(&self.table.brought));
        meeting.leave(self.rank);
        Ok(taken)
    }

    fn all_reduce<T: Element>(&self, name: &'static str, buffer: &mut [T], op: ReduceOp) -> Result<()> {
        let table = &*self.table;
        table.meeting.enter(self.rank, Call { name, op: Some(op), len: Some(buffer.len()), root: None })?;
        keep(&table.brought[self.rank], buffer);
        table.meeting.arrive(self.rank)?;
        {
            let mut made = table.made[self.rank].write().unwrap_or_else(PoisonError::into_inner);
            let made = T::of_mut(&mut made);
            let range = self.range(buffer.len());
            made.resize(range.len(), T::default());
            fold(made, &read(&table.brought), range, op);
        }
        table.meeting.regroup(self.rank);
        let mut rest = buffer;
        for made in read(&table.made) {
            let (part, after) = rest.split_at_mut(T::of(&made).len());
            part.copy_from_slice(T::of(&made));
            rest = after;
        }
        table.meeting.leave(self.rank);
        Ok(())
    }

    /// A buffer of the wrong length is this rank's own mistake, and leaves no other rank waiting; so is a bad root below.
    fn reduce_scatter<T: Element>(
        &self,
        name: &'static str,
        buffer: &[T],
        shard: &mut [T],
        op: ReduceOp,
    ) -> Result<()> {
        let call = Call { name, op: Some(op), len: Some(buffer.len()), root: None };
        let range = self.range(buffer.len());
        self.exchange(call, buffer, |all| {
            check_length(shard.len(), range.len())?;
            fold(shard, all, range, op);
            Ok(())
        })?
    }

    fn new_shard<T: Element>(&self, name: &'static str, buffer: &[T], op: ReduceOp) -> Result<Vec<T>> {
        let mut shard = vec![T::default(); self.range(buffer.len()).len()];
        self.reduce_scatter(name, buffer, &mut shard, op).map(|()| shard)
    }

    fn all_gather<T: Element>(&self, name: &'static str, shard: &[T]) -> Result<Vec<T>> {
        let call = Call { name, op: None, len: None, root: None };
        self.exchange(call, shard, |all| all.iter().flat_map(|brought| T::of(brought)).copied().collect())
    }

    fn broadcast<T: Element>(&self, name: &'static str, buffer: &mut [T], root: usize) -> Result<()> {
        let meeting = &self.table.meeting;
        meeting.enter(self.rank, Call { name, op: None, len: Some(buffer.len()), root: Some(root) })?;
        if root == self.rank {
            keep(&self.table.brought[root], buffer);
        }
        meeting.arrive(self.rank)?;
        let known = check_root(root, self.world_size());
        if known.is_ok() && root != self.rank {
            buffer.copy_from_slice(T::of(&read(&self.table.brought[root..=root])[0]));
        }
        meeting.leave(self.rank);
        known
    }

    fn split(&self, color: usize) -> Result<Threads> {
        let meeting = &self.table.meeting;
        meeting.enter(self.rank, Call { name: "split", op: None, len: None, root: None })?;
        keep(&self.table.brought[self.rank], &[color as f64]);
        meeting.arrive(self.rank)?;
        let same: Vec<usize> = {
            let all = read(&self.table.brought);
            (0..all.len()).filter(|rank| f64::of(&all[*rank]) == &[color as f64]).collect()
        };
        let mut parts = self.table.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let part = parts.entry(color).or_insert_with(|| Arc::new(Table::new(same.len(), self.table.deadline))).clone();
        drop(parts);
        meeting.regroup(self.rank);
        self.table.parts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        meeting.leave(self.rank);
        let rank = same.iter().position(|rank| *rank == self.rank).unwrap_or_default();
        Ok(Threads::at(rank, part))
    }

    fn range(&self, len: usize) -> Range<usize> {
        shard_range(len, self.rank, self.world_size())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.meeting.depart(self.rank);
    }
}

impl Table {
    fn new(world_size: usize, deadline: Duration) -> Self {
        let staging = || (0..world_size).map(|_| RwLock::default()).collect();
        Self {
            meeting: Meeting::new(world_size, deadline),
            deadline,
            brought: staging(),
            made: staging(),
            parts: Mutex::default(),
        }
    }
}

fn keep<T: Element>(place: &RwLock<Staging>, values: &[T]) {
    let mut place = place.write().unwrap_or_else(PoisonError::into_inner);
    let place = T::of_mut(&mut place);
    place.clear();
    place.extend_from_slice(values);
}

fn read(places: &[RwLock<Staging>]) -> Vec<RwLockReadGuard<'_, Staging>> {
    places.iter().map(|place| place.read().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Reduces one range of what all brought.
fn fold<T: Element>(out: &mut [T], all: &[RwLockReadGuard<'_, Staging>], range: Range<usize>, op: ReduceOp) {
    reduce(out, all.iter().map(|brought| &T::of(brought)[range.clone()]), op);
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.seat.rank
    }

    fn world_size(&self) -> usize {
        self.seat.world_size()
    }

    fn all_reduce(&self, buffer: &mut [f32], op: ReduceOp) -> Result<()> {
        self.seat().all_reduce("all_reduce", buffer, op)
    }

    fn all_reduce_f64(&self, buffer: &mut [f64], op: ReduceOp) -> Result<()> {
        self.seat().all_reduce("all_reduce_f64", buffer, op)
    }

    fn reduce_scatter(&self, buffer: &[f32], op: ReduceOp) -> Result<Vec<f32>> {
        self.seat().new_shard("reduce_scatter", buffer, op)
    }

    fn reduce_scatter_into(&self, buffer: &[f32], shard: &mut [f32], op: ReduceOp) -> Result<()> {
        self.seat().reduce_scatter("reduce_scatter", buffer, shard, op)
    }

    fn reduce_scatter_f64(&self, buffer: &[f64], op: ReduceOp) -> Result<Vec<f64>> {
        self.seat().new_shard("reduce_scatter_f64", buffer, op)
    }

    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>> {
        self.seat().all_gather("all_gather", shard)
    }

    fn all_gather_f64(&self, shard: &[f64]) -> Result<Vec<f64>> {
        self.seat().all_gather("all_gather_f64", shard)
    }

    fn broadcast(&self, buffer: &mut [f32], root: usize) -> Result<()> {
        self.seat().broadcast("broadcast", buffer, root)
    }

    fn broadcast_f64(&self, buffer: &mut [f64], root: usize) -> Result<()> {
        self.seat().broadcast("broadcast_f64", buffer, root)
    }

    fn start(&self, work: Work) -> Pending {
        let seat = self.seat.clone();
        self.queue.push(move || match work {
            Work::AllReduce { mut buffer, op } => seat.all_reduce("all_reduce", &mut buffer, op).map(|()| buffer),
            Work::ReduceScatter { buffer, op } => seat.new_shard("reduce_scatter", &buffer, op),
            Work::AllGather { shard } => seat.all_gather("all_gather", &shard),
            Work::Broadcast { mut buffer, root } => seat.broadcast("broadcast", &mut buffer, root).map(|()| buffer),
        })
    }

    fn split(&self, color: usize) -> Result<Box<dyn Collective>> {
        Ok(Box::new(self.seat().split(color)?))
    }

    fn barrier(&self) -> Result<()> {
        let call = Call { name: "barrier", op: None, len: None, root: None };
        self.seat().exchange::<f32, _>(call, &[], |_| ())
    }

    fn abort(&self, reason: &str) {
        self.seat.table.meeting.abort(self.seat.rank, reason);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Work that was started ends by itself in a rank that ends well; a broken one lets nobody wait.
        if std::thread::panicking() {
            self.seat.table.meeting.depart(self.seat.rank);
        }
    }
}
