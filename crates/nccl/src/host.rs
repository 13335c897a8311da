//! Collectives on host buffers, through a piece of device memory.

use cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use tapeloom_dist::{Collective, DeviceCollective, Error, ReduceOp, Result, shard_range};

use crate::NcclGroup;
use crate::communicator::{Call, Place, cuda};
use crate::device::{check_root, red_op};
use crate::library::DataType;

/// A number that host buffers hold.
trait Number: DeviceRepr + ValidAsZeroBits + Copy + Default {
    const KIND: DataType;
    fn is_nan(self) -> bool;
    fn nan_or_zero(self) -> Self;
}

impl Number for f32 {
    const KIND: DataType = DataType::F32;

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn nan_or_zero(self) -> Self {
        if self.is_nan() { self } else { 0.0 }
    }
}

impl Number for f64 {
    const KIND: DataType = DataType::F64;

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn nan_or_zero(self) -> Self {
        if self.is_nan() { self } else { 0.0 }
    }
}

impl NcclGroup {
    /// One call on numbers that go to the device and come back.
    fn staged<T: Number>(&self, operation: &'static str, call: Call, numbers: &mut [T]) -> Result<()> {
        let shared = &*self.shared;
        shared.with(|communicator| {
            if numbers.is_empty() {
                // Nothing to carry: ranks do not meet.
                return Ok(());
            }
            let stream = communicator.stream();
            let mut memory = stream.clone_htod(numbers).map_err(cuda("staging a buffer"))?;
            {
                use cudarc::driver::DevicePtrMut;
                let (address, _held) = memory.device_ptr_mut(stream);
                let place = Place { address, len: numbers.len(), kind: T::KIND, size: size_of::<T>() };
                communicator.queue(call, place, shared.rank, shared.world_size)?;
            }
            communicator.drain(operation, shared.config.deadline, &|| shared.failed())?;
            stream.memcpy_dtoh(&memory, numbers).map_err(cuda("reading a result"))?;
            communicator.drain(operation, shared.config.deadline, &|| shared.failed())
        })
    }

    fn reduce<T: Number>(&self, operation: &'static str, numbers: &mut [T], op: ReduceOp) -> Result<()> {
        let mut nan: Vec<T> = Vec::new();
        if op == ReduceOp::Max {
            // NCCL's maximum passes over NaN; its sum does not.
            nan = numbers.iter().map(|x| x.nan_or_zero()).collect();
            self.staged(operation, Call::AllReduce(red_op(ReduceOp::Sum)?), &mut nan)?;
        }
        self.staged(operation, Call::AllReduce(red_op(op)?), numbers)?;
        numbers.iter_mut().zip(nan).filter(|(_, nan)| nan.is_nan()).for_each(|(x, nan)| *x = nan);
        Ok(())
    }

    /// The longest of the ranks' lengths, and all of them.
    fn lengths(&self, len: usize) -> Result<Vec<usize>> {
        let mut all = vec![0.0_f64; self.shared.world_size];
        all[self.shared.rank] = len as f64;
        self.staged("all_gather", Call::AllGather, &mut all)?;
        Ok(all.into_iter().map(|len| len as usize).collect())
    }
}

impl Collective for NcclGroup {
    fn rank(&self) -> usize {
        self.shared.rank
    }

    fn world_size(&self) -> usize {
        self.shared.world_size
    }

    fn all_reduce(&self, buffer: &mut [f32], op: ReduceOp) -> Result<()> {
        self.reduce("all_reduce", buffer, op)
    }

    fn all_reduce_f64(&self, buffer: &mut [f64], op: ReduceOp) -> Result<()> {
        self.reduce("all_reduce_f64", buffer, op)
    }

    fn reduce_scatter(&self, buffer: &[f32], op: ReduceOp) -> Result<Vec<f32>> {
        // NCCL's parts are of one length; ours differ by one where the length is no multiple.
        let mut all = buffer.to_vec();
        self.reduce("reduce_scatter", &mut all, op)?;
        Ok(all[shard_range(buffer.len(), self.shared.rank, self.shared.world_size)].to_vec())
    }

    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>> {
        let lengths = self.lengths(shard.len())?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut all = vec![0.0; longest * lengths.len()];
        all[self.shared.rank * longest..][..shard.len()].copy_from_slice(shard);
        self.staged("all_gather", Call::AllGather, &mut all)?;
        let parts = lengths.iter().enumerate().flat_map(|(rank, len)| &all[rank * longest..][..*len]);
        Ok(parts.copied().collect())
    }

    fn broadcast(&self, buffer: &mut [f32], root: usize) -> Result<()> {
        check_root(root, self.shared.world_size)?;
        self.staged("broadcast", Call::Broadcast(root), buffer)
    }

    fn split(&self, color: usize) -> Result<Box<dyn Collective>> {
        Ok(Box::new(self.part(color)?))
    }

    fn barrier(&self) -> Result<()> {
        self.staged("barrier", Call::AllReduce(red_op(ReduceOp::Sum)?), &mut [0.0_f32])
    }

    fn device(&self) -> Option<&dyn DeviceCollective> {
        self.shared.config.on_device.then_some(self as &dyn DeviceCollective)
    }

    fn abort(&self, reason: &str) {
        self.shared.fail(Error::Aborted { rank: self.shared.rank, reason: reason.to_owned() });
    }
}
