use std::sync::Arc;
use std::time::Duration;

use crate::collective::{Collective, ReduceOp, check_root, shard_range};
use crate::element::{Element, reduce};
use crate::meeting::{Call, Meeting, Payload};
use crate::{Error, Result};

/// One rank of a group whose ranks are threads of this process.
///
/// Reductions run in the order of ranks, so results are the same to the bit on every rank and in every run. A rank that is
/// dropped, by a panic too, fails the calls of those who wait for it. One thread at a time may call on a rank: a second one
/// ends the group with [`Error::Mismatch`].
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    world_size: usize,
    meeting: Arc<Meeting>,
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
        let meeting = Arc::new(Meeting::new(world_size, deadline));
        Ok((0..world_size).map(|rank| Self { rank, world_size, meeting: meeting.clone() }).collect())
    }

    fn exchange<T: Element>(&self, call: Call, values: &[T]) -> Result<Arc<Vec<Payload>>> {
        self.meeting.exchange(self.rank, call, T::pack(values.to_vec()))
    }

    fn reduce_all<T: Element>(&self, name: &'static str, buffer: &mut [T], op: ReduceOp) -> Result<()> {
        let call = Call { name, op: Some(op), len: Some(buffer.len()), root: None };
        let all = self.exchange(call, buffer)?;
        reduce(buffer, all.iter().map(T::unpack), op);
        Ok(())
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn all_reduce(&self, buffer: &mut [f32], op: ReduceOp) -> Result<()> {
        self.reduce_all("all_reduce", buffer, op)
    }

    fn all_reduce_f64(&self, buffer: &mut [f64], op: ReduceOp) -> Result<()> {
        self.reduce_all("all_reduce_f64", buffer, op)
    }

    fn reduce_scatter(&self, buffer: &[f32], op: ReduceOp) -> Result<Vec<f32>> {
        let call = Call { name: "reduce_scatter", op: Some(op), len: Some(buffer.len()), root: None };
        let all = self.exchange(call, buffer)?;
        let range = shard_range(buffer.len(), self.rank, self.world_size);
        let mut shard = vec![0.0; range.len()];
        reduce(&mut shard, all.iter().map(|payload| &f32::unpack(payload)[range.clone()]), op);
        Ok(shard)
    }

    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>> {
        let call = Call { name: "all_gather", op: None, len: None, root: None };
        let all = self.exchange(call, shard)?;
        Ok(all.iter().flat_map(f32::unpack).copied().collect())
    }

    fn broadcast(&self, buffer: &mut [f32], root: usize) -> Result<()> {
        let call = Call { name: "broadcast", op: None, len: Some(buffer.len()), root: Some(root) };
        // The root is checked after the meeting, so that a rank with a bad one leaves no other rank waiting.
        let mine = if root == self.rank { &*buffer } else { &[] };
        let all = self.exchange(call, mine)?;
        check_root(root, self.world_size)?;
        buffer.copy_from_slice(f32::unpack(&all[root]));
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        let call = Call { name: "barrier", op: None, len: None, root: None };
        self.exchange::<f32>(call, &[]).map(|_| ())
    }

    fn abort(&self, reason: &str) {
        self.meeting.abort(self.rank, reason);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.meeting.depart(self.rank);
    }
}
