//! Numbers that the kernels of a recorded step read from memory, and the recording itself.

use std::thread::{self, ThreadId};

use burn::backend::DispatchDevice;
use burn::tensor::{Bytes, DType, Device};
use burn_cubecl::cubecl::client::{Client, Graph as Recorded};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use super::covers;
use crate::{Error, Result};

/// Words of 64 bits on the device, whole numbers or bits of doubles.
#[derive(Clone, Debug)]
pub(crate) struct Words(CubeTensor);

impl Words {
    pub(crate) fn new(device: &Device, count: usize) -> Option<Self> {
        match device.clone().without_autodiff().as_dispatch() {
            DispatchDevice::Cube(device) if covers(device, DType::F32) => {
                Some(Self(empty_device_contiguous_dtype(device.client(), device.clone(), [count].into(), DType::U64)))
            }
            _ => None,
        }
    }

    pub(crate) fn write(&self, words: impl Iterator<Item = u64>) {
        let bytes = words.flat_map(u64::to_le_bytes).collect();
        self.client().write(&self.0.handle, Bytes::from_bytes_vec(bytes));
    }

    pub(super) const fn tensor(&self) -> &CubeTensor {
        &self.0
    }

    const fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn prepare(&self) -> Result<()> {
        self.client().graph_prepare().map_err(refused("prepare for a recording"))
    }

    pub(crate) fn abandon(&self) {
        // It says that nothing was recorded, which is what is wanted.
        let _ = self.client().stop_capture();
    }

    pub(crate) fn record<R>(&self, step: impl FnOnce() -> R) -> Result<(R, Graph)> {
        self.client().start_capture().map_err(refused("begin a recording"))?;
        let result = step();
        let recorded = self.client().stop_capture().map_err(refused("record a step"))?;
        Ok((result, Graph { recorded, thread: thread::current().id() }))
    }
}

/// A recorded step.
#[derive(Debug)]
pub(crate) struct Graph {
    recorded: Recorded,
    thread: ThreadId,
}

impl Graph {
    pub(crate) fn is_of_this_thread(&self) -> bool {
        self.thread == thread::current().id()
    }

    pub(crate) fn replay(&self) -> Result<()> {
        // SAFETY: CubeCL guards every page that the recording touched for as long as the recording lives, so no other
        // tensor can have come to lie there. What it reads and writes by name belongs to who recorded it, on this thread's
        // queue, and `is_of_this_thread` is asked first.
        unsafe { self.recorded.replay() }.map_err(refused("replay a step"))
    }
}

fn refused<E: std::fmt::Debug>(action: &'static str) -> impl Fn(E) -> Error {
    move |e| Error::Device { action, source: format!("{e:?}").into() }
}
