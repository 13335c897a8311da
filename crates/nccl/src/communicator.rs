//! One communicator and the stream that its calls are queued on.

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaContext, CudaStream, DevicePtrMut, DriverError, sys};
use tapeloom_dist::{Error, Result};

use crate::library::{Comm, DataType, Library, RedOp, UniqueId};

/// How often a thread that waits for NCCL or the device looks.
const LOOK: Duration = Duration::from_micros(50);
/// How long a rank that leaves waits for the others.
const PARTING: Duration = Duration::from_secs(5);

/// Lets this thread look at events while another one records a graph, which CUDA otherwise takes for a fault of the recording.
pub(crate) fn stand_aside() {
    let mut mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
    // SAFETY: it swaps one number of this thread. Where it is refused, recordings are refused too, which their owners expect.
    let _ = unsafe { sys::cuThreadExchangeStreamCaptureMode(&mut mode) };
}

/// A rank's communicator. Its owner lets one thread at a time make calls.
pub(crate) struct Communicator {
    nccl: Arc<Library>,
    comm: Comm,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    ended: bool,
}

// SAFETY: NCCL lets any thread use a communicator, one at a time; the owner keeps it behind a lock.
unsafe impl Send for Communicator {}

impl fmt::Debug for Communicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Communicator").field("ordinal", &self.context.ordinal()).finish_non_exhaustive()
    }
}

/// What is done with numbers in the memory of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    AllReduce(RedOp),
    ReduceScatter(RedOp),
    AllGather,
    Broadcast(usize),
}

/// Where the numbers lie, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) address: u64,
    pub(crate) len: usize,
    pub(crate) kind: DataType,
    /// Bytes of one number.
    pub(crate) size: usize,
}

impl Communicator {
    /// Joins the group, which waits for all ranks. `failure` is asked meanwhile.
    pub(crate) fn join(
        nccl: Arc<Library>,
        id: UniqueId,
        (rank, world_size): (usize, usize),
        ordinal: usize,
        deadline: Duration,
        failure: &dyn Fn() -> Option<Error>,
    ) -> Result<Self> {
        // SAFETY: it only looks for the library.
        if !unsafe { sys::is_culib_present() } {
            let reason = "libcuda was not found; install NVIDIA's driver".into();
            return Err(Error::System { action: "opening CUDA's driver".into(), reason });
        }
        let context = CudaContext::new(ordinal).map_err(cuda("opening a device of CUDA"))?;
        // The highest priority gives the stream a queue of the hardware that launches of others do not stand in.
        let stream = context.new_stream_with_priority(i32::MIN).or_else(|_| context.new_stream());
        let stream = stream.map_err(cuda("making a stream"))?;
        let comm = nccl.init(id, rank, world_size)?;
        let joined = Self { nccl, comm, context, stream, ended: false };
        joined.settle("joining the group", deadline, failure)?;
        Ok(joined)
    }

    /// Queues a call on the stream, results in the place of the operands.
    pub(crate) fn queue(&self, call: Call, place: Place, rank: usize, world_size: usize) -> Result<()> {
        let (nccl, stream) = (&self.nccl, self.stream.cu_stream().cast::<c_void>());
        let part = place.len / world_size;
        let at = place.address as *mut c_void;
        let mine = (place.address + (rank * part * place.size) as u64) as *mut c_void;
        // SAFETY: the place is device memory of this context, as whoever made it promised; the communicator and the stream are
        // alive, and the parts end where the place does.
        let status = unsafe {
            match call {
                Call::AllReduce(op) => (nccl.all_reduce)(at, at, place.len, place.kind, op, self.comm, stream),
                Call::ReduceScatter(op) => (nccl.reduce_scatter)(at, mine, part, place.kind, op, self.comm, stream),
                Call::AllGather => (nccl.all_gather)(mine, at, part, place.kind, self.comm, stream),
                Call::Broadcast(root) => {
                    (nccl.broadcast)(at, at, place.len, place.kind, root as i32, self.comm, stream)
                }
            }
        };
        nccl.done("queueing a collective", status)
    }

    /// Makes a call of this size once on memory of its own, and waits for it. At a first call NCCL connects ranks, loads kernels and
    /// allocates, which may wait for the whole device: no stream may be held at a gate then.
    pub(crate) fn rehearse(
        &self,
        call: Call,
        place: Place,
        (rank, world_size): (usize, usize),
        deadline: Duration,
        failure: &dyn Fn() -> Option<Error>,
    ) -> Result<()> {
        let mut memory = self.stream.alloc_zeros::<u8>(place.len * place.size).map_err(cuda("rehearsing a call"))?;
        let (address, _held) = memory.device_ptr_mut(&self.stream);
        self.queue(call, Place { address, ..place }, rank, world_size)?;
        self.drain("rehearsing a call", deadline, failure)
    }

    /// Waits until NCCL has put all that was asked for on the stream.
    pub(crate) fn settle(
        &self,
        operation: &'static str,
        deadline: Duration,
        failure: &dyn Fn() -> Option<Error>,
    ) -> Result<()> {
        self.until(operation, deadline, failure, || self.nccl.is_settled(self.comm))
    }

    /// Waits until the stream is empty.
    pub(crate) fn drain(
        &self,
        operation: &'static str,
        deadline: Duration,
        failure: &dyn Fn() -> Option<Error>,
    ) -> Result<()> {
        self.until(operation, deadline, failure, || {
            // What NCCL still prepares is not on the stream yet.
            if !self.nccl.is_settled(self.comm)? {
                return Ok(false);
            }
            // SAFETY: the stream is alive.
            match unsafe { sys::cuStreamQuery(self.stream.cu_stream()) } {
                sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
                other => other.result().map(|()| true).map_err(cuda("waiting for a collective")),
            }
        })
    }

    fn until(
        &self,
        operation: &'static str,
        deadline: Duration,
        failure: &dyn Fn() -> Option<Error>,
        done: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            if done()? {
                return Ok(());
            }
            if let Some(error) = failure() {
                return Err(error);
            }
            if start.elapsed() > deadline {
                // NCCL does not say who is missing.
                return Err(Error::TimedOut { operation, missing: Vec::new(), deadline });
            }
            if start.elapsed() > LOOK {
                thread::sleep(LOOK);
            } else {
                thread::yield_now();
            }
        }
    }

    /// The stream stops here until the word at `address` is `value` or more.
    pub(crate) fn wait_for(&self, address: u64, value: u64) -> Result<()> {
        let flags = sys::CUstreamWaitValue_flags_enum::CU_STREAM_WAIT_VALUE_GEQ as u32;
        // SAFETY: the stream is alive, and the word is device memory as whoever made the gate promised.
        unsafe { sys::cuStreamWaitValue64_v2(self.stream.cu_stream(), address, value, flags) }
            .result()
            .map_err(cuda("waiting for a turn"))
    }

    /// The stream writes `value` to the word at `address` when it has come so far.
    pub(crate) fn write(&self, address: u64, value: u64) -> Result<()> {
        // SAFETY: as in `wait_for`.
        unsafe { sys::cuStreamWriteValue64_v2(self.stream.cu_stream(), address, value, 0) }
            .result()
            .map_err(cuda("ending a turn"))
    }

    /// An error that NCCL has come upon by itself.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.nccl.is_settled(self.comm).err()
    }

    pub(crate) const fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }

    pub(crate) const fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Makes the device's context this thread's.
    pub(crate) fn enter(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(cuda("entering the device's context"))
    }

    /// Ends the communicator at once: collectives on the device stop where they are.
    pub(crate) fn abort(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            // SAFETY: it was alive until now, and nothing is called on it after.
            let _ = unsafe { (self.nccl.abort)(self.comm) };
        }
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        if self.ended || self.enter().is_err() {
            return;
        }
        // Peers may still read from this rank's memory, so it leaves as NCCL asks, unless that takes too long.
        let left = self.drain("leaving the group", PARTING, &|| None).and_then(|()| {
            // SAFETY: the communicator is alive.
            let status = unsafe { (self.nccl.finalize)(self.comm) };
            self.nccl.done("leaving the group", status)?;
            self.settle("leaving the group", PARTING, &|| None)
        });
        if left.is_err() {
            return self.abort();
        }
        self.ended = true;
        // SAFETY: it was alive until now, and nothing is called on it after.
        let _ = unsafe { (self.nccl.destroy)(self.comm) };
    }
}

pub(crate) fn cuda(action: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| Error::System { action: action.into(), reason: format!("{error:?}") }
}
