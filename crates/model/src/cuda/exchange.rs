//! One flat row that a collective works on from a queue of its own, and the gate between the queues.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use burn::backend::{CubeDevice, DispatchDevice};
use burn::tensor::{Bytes, DType, Device};
use burn_cubecl::ops::numeric::zeros;
use burn_cubecl::tensor::CubeTensor;
use cubecl::cuda::CudaRuntime;
use cubecl_runtime::runtime::Runtime;
use tapeloom_core::{DeviceBuffer, DeviceNumber};

use super::covers;
use super::launch::{Launch, Source, empty, plain, source};
use super::update::{GROUP, blocks, size};
use crate::{Error, Result};

const PACK: Source = source!("exchange", "pack");
const UNPACK: Source = source!("exchange", "unpack");
const OFFER: Source = source!("exchange", "offer");
const AWAIT: Source = source!("exchange", "await_guest");

const THREADS: usize = 256;

/// The row, its gate, and both as a guest sees them.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    numbers: CubeTensor,
    gate: CubeTensor,
    buffer: DeviceBuffer,
}

impl Flat {
    /// `len` zeros; none where the device has no kernels for it.
    pub(crate) fn new(device: &Device, len: usize, bf16: bool) -> Result<Option<Self>> {
        let DispatchDevice::Cube(device) = device.clone().without_autodiff().as_dispatch().clone() else {
            return Ok(None);
        };
        let CubeDevice::Cuda(cuda) = &device else { return Ok(None) };
        if !covers(&device, DType::F32) {
            return Ok(None);
        }
        let (dtype, number) = if bf16 { (DType::BF16, DeviceNumber::Bf16) } else { (DType::F32, DeviceNumber::F32) };
        let numbers = zeros(device.clone(), [len].into(), dtype);
        let words = device.client().create(Bytes::from_bytes_vec(vec![0; 3 * 8]));
        let gate = CubeTensor::new_contiguous(device.client(), device.clone(), [3].into(), words, DType::U64);
        let hold = |tensor: &CubeTensor| {
            tensor.client.get_resource::<<CudaRuntime as Runtime>::Server>(tensor.handle.clone()).map_err(refused)
        };
        let (held_numbers, held_gate) = (hold(&numbers)?, hold(&gate)?);
        let addresses = (held_numbers.resource().ptr, held_gate.resource().ptr);
        // Nobody looks inside; behind a lock they may be shared.
        let owner = Arc::new(Mutex::new((held_numbers, held_gate)));
        // SAFETY: CubeCL neither frees nor moves what a `ManagedResource` stands for, and `owner` holds one of each. Between
        // `offer` and `wait` no launch of this crate names the row.
        let buffer = unsafe { DeviceBuffer::new(addresses.0, len, number, addresses.1, cuda.index, owner) };
        Ok(Some(Self { numbers, gate, buffer }))
    }

    pub(crate) const fn buffer(&self) -> &DeviceBuffer {
        &self.buffer
    }

    /// Copies rows into their places.
    pub(crate) fn put(&self, rows: Vec<(usize, CubeTensor)>) {
        let rows: Vec<_> = rows.into_iter().map(|(start, row)| (start, plain(row))).collect();
        for group in rows.chunks(GROUP) {
            self.rows(PACK, group)
                .reads(group.iter().map(|(_, row)| row))
                .writes([&self.numbers])
                .numbers(group.iter().map(|(start, _)| *start))
                .numbers(group.iter().map(|(_, row)| size(row)))
                .run(&self.numbers.client, grid(group));
        }
    }

    /// Copies numbers from their places into rows, which change where they lie.
    pub(crate) fn fill(&self, rows: Vec<(usize, CubeTensor)>) -> Vec<CubeTensor> {
        let rows: Vec<_> = rows.into_iter().map(|(start, row)| (start, plain(row))).collect();
        for group in rows.chunks(GROUP) {
            self.rows(UNPACK, group)
                .updates(group.iter().map(|(_, row)| row))
                .reads([&self.numbers, &self.gate])
                .numbers(group.iter().map(|(start, _)| *start))
                .numbers(group.iter().map(|(_, row)| size(row)))
                .run(&self.numbers.client, grid(group));
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Copies of the numbers at these places, of these lengths.
    pub(crate) fn take(&self, places: &[(usize, usize)]) -> Vec<CubeTensor> {
        self.fill(places.iter().map(|(start, len)| (*start, empty(&self.numbers, [*len], DType::F32))).collect())
    }

    /// The row is the guest's from here on.
    pub(crate) fn offer(&self) {
        Launch::new(OFFER, 1).updates([&self.gate]).number(1_usize).run(&self.gate.client, [1; 3]);
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let done = burn_cubecl::cubecl::future::block_on(self.gate.client.sync());
        done.map_err(|error| Error::Device { action: "wait for the device", source: format!("{error:?}").into() })
    }

    /// The device goes no further until the guest is done, or gives up after `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let nanoseconds = usize::try_from(limit.as_nanos()).unwrap_or(usize::MAX >> 1);
        Launch::new(AWAIT, 1).updates([&self.gate]).number(nanoseconds).run(&self.gate.client, [1; 3]);
    }

    fn rows(&self, source: Source, group: &[(usize, CubeTensor)]) -> Launch {
        Launch::new(source, THREADS).define("COUNT", group.len()).flag("FLAT_BF16", self.numbers.dtype == DType::BF16)
    }
}

fn grid(group: &[(usize, CubeTensor)]) -> [usize; 3] {
    [blocks(group.iter().map(|(_, row)| row)), 1, 1]
}

fn refused(error: impl fmt::Debug) -> Error {
    Error::Device { action: "name the memory of a buffer", source: format!("{error:?}").into() }
}
