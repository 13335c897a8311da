use std::fmt;
use std::time::Duration;

use tapeloom_core::DeviceBuffer;

use crate::{ReduceOp, Result};

/// Collectives on the memory of a device, which the host queues and does not wait for.
///
/// A call belongs to one turn of its buffer's gate (see [`DeviceBuffer`]): it begins on the device when the owner has offered
/// that turn on every rank, and the owner goes on when it is done. Results replace the operands. Turns of one buffer are
/// queued one after the other, without a gap; all ranks queue the same calls in the same order. Nothing here can see whether
/// they do: lengths that differ between ranks end at the deadline.
///
/// When the group fails, it fails the gates of all turns under way, so that no device waits for a rank that is gone; what the
/// buffers hold is then worth nothing, and [`DeviceCollective::check`] says why.
pub trait DeviceCollective: Send + Sync + fmt::Debug {
    /// Whether the calls reach this buffer: whether it lies on this rank's device.
    fn reaches(&self, buffer: &DeviceBuffer) -> bool;

    /// Leaves the reduction of all ranks' numbers in every rank's buffer.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    fn all_reduce(&self, buffer: &DeviceBuffer, op: ReduceOp, turn: u64) -> Result<()>;

    /// Leaves this rank's part of the reduction in its place in the buffer: of `world_size` equal parts in the order of ranks.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); [`Error::Invalid`](crate::Error::Invalid) for a length that has no equal parts.
    fn reduce_scatter(&self, buffer: &DeviceBuffer, op: ReduceOp, turn: u64) -> Result<()>;

    /// Leaves all ranks' parts in every rank's buffer; a rank's own lies in its place already.
    ///
    /// # Errors
    /// As [`DeviceCollective::reduce_scatter`].
    fn all_gather(&self, buffer: &DeviceBuffer, turn: u64) -> Result<()>;

    /// Copies the root's numbers into every rank's buffer.
    ///
    /// # Errors
    /// See [`Error`](crate::Error); [`Error::Invalid`](crate::Error::Invalid) for a root outside the group.
    fn broadcast(&self, buffer: &DeviceBuffer, root: usize, turn: u64) -> Result<()>;

    /// How long a call may take on the device.
    fn deadline(&self) -> Duration;

    /// Why the group has failed, if it has. Ask before results of the device are believed.
    ///
    /// # Errors
    /// The failure.
    fn check(&self) -> Result<()>;
}
