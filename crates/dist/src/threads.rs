use std::sync::Arc;
use std::time::Duration;

use crate::collective::{Collective, ReduceOp, check_root, shard_range};
use crate::meeting::{Call, Meeting, Payload};
use crate::{Error, Result};

/// One rank of a group whose ranks are threads of this process.
///
/// Reductions run in the order of ranks, so results are the same to the bit on every rank and in every run. A rank that is
/// dropped, by a panic too, fails the calls of those who wait for it.
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    world_size: usize,
    meeting: Arc<Meeting>,
}

impl Threads {
    /// How long a call waits for the other ranks unless told otherwise.
    pub const DEADLINE: Duration = Duration::from_secs(300);

    /// The ranks of a new group, in order; move one into each thread.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a group of none.
    pub fn group(world_size: usize, deadline: Duration) -> Result<Vec<Self>> {
        if world_size == 0 {
            let remedy = "a group has at least one rank".into();
            return Err(Error::Invalid { field: "world_size", value: "0".into(), remedy });
        }
        let meeting = Arc::new(Meeting::new(world_size, deadline));
        Ok((0..world_size).map(|rank| Self { rank, world_size, meeting: meeting.clone() }).collect())
    }

    fn gather(&self, call: Call, values: &[f32]) -> Result<Vec<Vec<f32>>> {
        let all = self.meeting.exchange(self.rank, call, Payload::F32(values.to_vec()))?;
        let values = |payload: &Payload| match payload {
            Payload::F32(values) => values.clone(),
            // Calls of one name bring one kind.
            Payload::F64(_) => Vec::new(),
        };
        Ok(all.iter().map(values).collect())
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
        let call = Call { name: "all_reduce", op: Some(op), len: Some(buffer.len()), root: None };
        let all = self.gather(call, buffer)?;
        reduce(buffer, &all, op, 0.0, f32::NEG_INFINITY, f32::NAN, self.world_size as f32);
        Ok(())
    }

    fn all_reduce_f64(&self, buffer: &mut [f64], op: ReduceOp) -> Result<()> {
        let call = Call { name: "all_reduce_f64", op: Some(op), len: Some(buffer.len()), root: None };
        let all = self.meeting.exchange(self.rank, call, Payload::F64(buffer.to_vec()))?;
        let values = |payload: &Payload| match payload {
            Payload::F64(values) => values.clone(),
            Payload::F32(_) => Vec::new(),
        };
        let all: Vec<Vec<f64>> = all.iter().map(values).collect();
        reduce(buffer, &all, op, 0.0, f64::NEG_INFINITY, f64::NAN, self.world_size as f64);
        Ok(())
    }

    fn reduce_scatter(&self, buffer: &[f32], op: ReduceOp) -> Result<Vec<f32>> {
        let call = Call { name: "reduce_scatter", op: Some(op), len: Some(buffer.len()), root: None };
        let range = shard_range(buffer.len(), self.rank, self.world_size);
        let parts: Vec<Vec<f32>> = self.gather(call, buffer)?.into_iter().map(|v| v[range.clone()].to_vec()).collect();
        let mut shard = vec![0.0; range.len()];
        reduce(&mut shard, &parts, op, 0.0, f32::NEG_INFINITY, f32::NAN, self.world_size as f32);
        Ok(shard)
    }

    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>> {
        let call = Call { name: "all_gather", op: None, len: None, root: None };
        Ok(self.gather(call, shard)?.concat())
    }

    fn broadcast(&self, buffer: &mut [f32], root: usize) -> Result<()> {
        check_root(root, self.world_size)?;
        let call = Call { name: "broadcast", op: None, len: Some(buffer.len()), root: Some(root) };
        buffer.copy_from_slice(&self.gather(call, buffer)?[root]);
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        let call = Call { name: "barrier", op: None, len: Some(0), root: None };
        self.gather(call, &[]).map(|_| ())
    }

    fn abort(&self, reason: &str) {
        self.meeting.abort(self.rank, reason);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.meeting.leave(self.rank);
    }
}

/// Folds all ranks' values into `out`, in the order of ranks.
fn reduce<T>(out: &mut [T], all: &[Vec<T>], op: ReduceOp, zero: T, lowest: T, nan: T, count: T)
where
    T: Copy + PartialOrd + std::ops::Add<Output = T> + std::ops::Div<Output = T>,
{
    for (i, value) in out.iter_mut().enumerate() {
        let column = all.iter().map(|values| values[i]);
        *value = match op {
            ReduceOp::Sum => column.fold(zero, |a, b| a + b),
            ReduceOp::Mean => column.fold(zero, |a, b| a + b) / count,
            // A number is unlike itself only when it is NaN.
            ReduceOp::Max => column.fold(lowest, |a, b| match a.partial_cmp(&b) {
                Some(order) => {
                    if order.is_ge() {
                        a
                    } else {
                        b
                    }
                }
                None => nan,
            }),
        };
    }
}
