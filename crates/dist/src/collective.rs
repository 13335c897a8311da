use std::fmt;
use std::ops::Range;

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

pub(crate) fn check_root(root: usize, world_size: usize) -> Result<()> {
    if root < world_size {
        return Ok(());
    }
    Err(Error::invalid("root", root, format!("name a rank below {world_size}")))
}
