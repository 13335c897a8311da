use std::fmt;
use std::ops::Range;

use crate::pending::{Pending, Work};
use crate::{DeviceCollective, Error, Result};

/// How numbers of several ranks become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReduceOp {
    /// Added up in the order of ranks.
    Sum,
    /// The sum over the world size.
    Mean,
    /// The largest; NaN on any rank gives NaN.
    Max,
}

/// A group of ranks that meet in calls. Every rank makes the same calls in the same order.
///
/// Every call either completes on all ranks or fails on all of them, at the latest at the provider's deadline. After a
/// failure the group is dead, and each further call returns the same error. An argument that every rank got wrong in the
/// same way, [`Error::Invalid`], leaves the group alive. A rank that ends, by a panic too, fails the calls that need it.
pub trait Collective: Send + Sync + fmt::Debug {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// Ranks in the group.
    fn world_size(&self) -> usize;

    /// Leaves the reduction of all ranks' buffers in every rank's buffer, the same to the bit on every rank.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); the buffer is unspecified then.
    fn all_reduce(&self, buffer: &mut [f32], op: ReduceOp) -> Result<()>;

    /// As [`Collective::all_reduce`], for sums that need double precision, such as losses.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn all_reduce_f64(&self, buffer: &mut [f64], op: ReduceOp) -> Result<()>;

    /// Reduces all ranks' buffers and returns this rank's [shard](shard_range) of the result.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn reduce_scatter(&self, buffer: &[f32], op: ReduceOp) -> Result<Vec<f32>>;

    /// Returns all ranks' shards in the order of ranks; shards may differ in length.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>>;

    /// Copies the root's buffer into every rank's buffer.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); [`Error::Invalid`](crate::Error::Invalid) for a root outside the group.
    fn broadcast(&self, buffer: &mut [f32], root: usize) -> Result<()>;

    /// As [`Collective::reduce_scatter`], into a buffer of the host's.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); [`Error::Invalid`] if `shard` has another length than this rank's shard.
    fn reduce_scatter_into(&self, buffer: &[f32], shard: &mut [f32], op: ReduceOp) -> Result<()> {
        fill(shard, &self.reduce_scatter(buffer, op)?)
    }

    /// As [`Collective::all_gather`], into a buffer of the host's.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); [`Error::Invalid`] if `all` has another length than all shards together.
    fn all_gather_into(&self, shard: &[f32], all: &mut [f32]) -> Result<()> {
        fill(all, &self.all_gather(shard)?)
    }

    /// As [`Collective::reduce_scatter`], in double precision.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn reduce_scatter_f64(&self, buffer: &[f64], op: ReduceOp) -> Result<Vec<f64>> {
        let mut all = buffer.to_vec();
        self.all_reduce_f64(&mut all, op)?;
        Ok(all[shard_range(all.len(), self.rank(), self.world_size())].to_vec())
    }

    /// As [`Collective::all_gather`], in double precision.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn all_gather_f64(&self, shard: &[f64]) -> Result<Vec<f64>> {
        let mut lengths = vec![0.0; self.world_size()];
        lengths[self.rank()] = shard.len() as f64;
        self.all_reduce_f64(&mut lengths, ReduceOp::Sum)?;
        let (before, from) = lengths.split_at(self.rank());
        let before = before.iter().sum::<f64>() as usize;
        let total = before + from.iter().sum::<f64>() as usize;
        let mut all = vec![NOTHING; total];
        all[before..before + shard.len()].copy_from_slice(shard);
        self.all_reduce_f64(&mut all, ReduceOp::Sum)?;
        Ok(all)
    }

    /// As [`Collective::broadcast`], in double precision.
    ///
    /// # Errors
    /// As [`Collective::broadcast`].
    fn broadcast_f64(&self, buffer: &mut [f64], root: usize) -> Result<()> {
        check_root(root, self.world_size())?;
        if self.rank() != root {
            buffer.fill(NOTHING);
        }
        self.all_reduce_f64(buffer, ReduceOp::Sum)
    }

    /// Starts work that goes on while the host does something else; [`Pending::wait`] gives what came of it.
    ///
    /// Work runs in the order in which it was started, and every rank starts the same in the same order. Calls that wait, such as
    /// [`Collective::all_reduce`], run after all work that was started before. The buffer moves in and out, so that a provider needs
    /// no copy of it. By default the work is done before this returns.
    fn start(&self, work: Work) -> Pending {
        Pending::ready(work.run(self))
    }

    /// Parts the ranks: those that give the same `color` form a group of their own, ranked as they are here. All ranks call it.
    ///
    /// The ranks of a host: `split(rank / local_world_size)`; those of the same place on each host: `split(local_rank)`.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); [`Error::Invalid`] from a provider that has no groups within groups, which is the default.
    fn split(&self, color: usize) -> Result<Box<dyn Collective>> {
        Err(Error::invalid("split", color, "this provider has no groups within groups; take another one"))
    }

    /// Returns when every rank has come.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn barrier(&self) -> Result<()>;

    /// The same group on the memory of a device, where the provider works there.
    fn device(&self) -> Option<&dyn DeviceCollective> {
        None
    }

    /// Ends the group: calls that wait and all later ones fail with `reason` on every rank.
    fn abort(&self, reason: &str);
}

/// The part of `0..len` that belongs to `rank`: contiguous, in the order of ranks, lengths differing by at most one.
///
/// # Panics
/// When `rank` is not below `world_size`.
#[must_use]
pub fn shard_range(len: usize, rank: usize, world_size: usize) -> Range<usize> {
    assert!(rank < world_size, "rank {rank} is outside a world of {world_size}");
    let (base, extra) = (len / world_size, len % world_size);
    let start = rank * base + rank.min(extra);
    start..start + base + usize::from(rank < extra)
}

/// Adding it changes no number, not even a zero's sign.
const NOTHING: f64 = -0.0;

fn fill(out: &mut [f32], values: &[f32]) -> Result<()> {
    check_length(out.len(), values.len())?;
    out.copy_from_slice(values);
    Ok(())
}

pub(crate) fn check_length(is: usize, should_be: usize) -> Result<()> {
    if is == should_be {
        return Ok(());
    }
    Err(Error::invalid("length", is, format!("give a buffer for the {should_be} values that come")))
}

pub(crate) fn check_root(root: usize, world_size: usize) -> Result<()> {
    if root < world_size {
        return Ok(());
    }
    Err(Error::invalid("root", root, format!("name a rank below {world_size}")))
}
