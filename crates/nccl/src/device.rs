//! Collectives on device memory.

use std::time::Duration;

use tapeloom_core::{DeviceBuffer, DeviceNumber};
use tapeloom_dist::{DeviceCollective, Error, ReduceOp, Result};

use crate::NcclGroup;
use crate::communicator::{Call, Place};
use crate::library::{DataType, RedOp};

impl NcclGroup {
    fn turn(&self, call: Call, buffer: &DeviceBuffer, turn: u64) -> Result<()> {
        if buffer.ordinal() != self.shared.config.ordinal {
            return Err(invalid("buffer", format!("on device {}", buffer.ordinal()), "give one on the group's device"));
        }
        let parts = matches!(call, Call::ReduceScatter(_) | Call::AllGather);
        if parts && !buffer.len().is_multiple_of(self.shared.world_size) {
            return Err(invalid("buffer", buffer.len(), "give a multiple of the world size"));
        }
        let kind = match buffer.number() {
            DeviceNumber::F32 => DataType::F32,
            DeviceNumber::Bf16 => DataType::Bf16,
            other => return Err(invalid("buffer", format!("{other:?}"), "give f32 or bf16")),
        };
        let place = Place { address: buffer.address(), len: buffer.len(), kind, size: buffer.number().size() };
        self.shared.take_turn(call, place, buffer, turn)
    }
}

impl DeviceCollective for NcclGroup {
    fn reaches(&self, buffer: &DeviceBuffer) -> bool {
        buffer.ordinal() == self.shared.config.ordinal
    }

    fn all_reduce(&self, buffer: &DeviceBuffer, op: ReduceOp, turn: u64) -> Result<()> {
        self.turn(Call::AllReduce(red_op(op)?), buffer, turn)
    }

    fn reduce_scatter(&self, buffer: &DeviceBuffer, op: ReduceOp, turn: u64) -> Result<()> {
        self.turn(Call::ReduceScatter(red_op(op)?), buffer, turn)
    }

    fn all_gather(&self, buffer: &DeviceBuffer, turn: u64) -> Result<()> {
        self.turn(Call::AllGather, buffer, turn)
    }

    fn broadcast(&self, buffer: &DeviceBuffer, root: usize, turn: u64) -> Result<()> {
        check_root(root, self.shared.world_size)?;
        self.turn(Call::Broadcast(root), buffer, turn)
    }

    fn deadline(&self) -> Duration {
        self.shared.config.deadline
    }

    fn check(&self) -> Result<()> {
        self.shared.alive()
    }
}

pub(crate) fn red_op(op: ReduceOp) -> Result<RedOp> {
    match op {
        ReduceOp::Sum => Ok(RedOp::Sum),
        ReduceOp::Mean => Ok(RedOp::Mean),
        ReduceOp::Max => Ok(RedOp::Max),
        other => Err(invalid("op", format!("{other:?}"), "use a sum, a mean or a maximum")),
    }
}

pub(crate) fn check_root(root: usize, world_size: usize) -> Result<()> {
    if root < world_size { Ok(()) } else { Err(invalid("root", root, format!("name a rank below {world_size}"))) }
}

pub(crate) fn invalid(field: &'static str, value: impl ToString, remedy: impl Into<String>) -> Error {
    Error::Invalid { field, value: value.to_string(), remedy: remedy.into() }
}
