use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream, result};
use tapeloom_dist::Result;

use crate::communicator::cuda;

/// Tells gates on the device that their exchange has failed, past all that waits in other queues.
#[derive(Debug)]
pub(crate) struct Alarm(Arc<CudaStream>);

impl Alarm {
    pub(crate) fn new(context: &Arc<CudaContext>) -> Result<Self> {
        context.new_stream().map(Self).map_err(cuda("making a stream"))
    }

    /// Sets the word at `address`.
    pub(crate) fn ring(&self, address: u64) {
        if self.0.context().bind_to_thread().is_err() {
            return;
        }
        // SAFETY: the word is device memory as whoever made the gate promised, and the host's word stays until the copy is done.
        unsafe {
            let word = [1_u64];
            let copied = result::memcpy_htod_async(address, &word, self.0.cu_stream());
            if copied.is_ok() {
                let _ = result::stream::synchronize(self.0.cu_stream());
            }
        }
    }
}
