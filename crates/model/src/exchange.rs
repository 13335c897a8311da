use std::time::Duration;

use burn::tensor::{Device, Tensor};
use tapeloom_core::DeviceBuffer;

use crate::Result;

#[cfg(not(feature = "cuda"))]
use absent::Flat;
#[cfg(feature = "cuda")]
use {crate::cuda::Flat, burn::backend::Cube};

/// A flat row of numbers on a device that a collective works on in the middle of a step, without the host.
///
/// The step copies its gradients into the row ([`Exchange::put`]), offers it, and waits for the collective **on the device**;
/// what comes back is copied out again. All of it can be part of a recorded step. The host queues the collective's side with
/// [`Exchange::buffer`]; one [`Exchange::offer`] is one turn of that buffer's gate.
#[derive(Clone, Debug)]
pub struct Exchange {
    flat: Flat,
}

impl Exchange {
    /// `len` numbers, in f32 or in bf16; none where there are no kernels for the device, which so far are there for CUDA.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) when the device refuses the memory.
    pub fn new(device: &Device, len: usize, bf16: bool) -> Result<Option<Self>> {
        Ok(Flat::new(device, len, bf16)?.map(|flat| Self { flat }))
    }

    /// The row as a collective sees it.
    #[must_use]
    pub const fn buffer(&self) -> &DeviceBuffer {
        self.flat.buffer()
    }

    /// Copies rows of f32 numbers to their places in the row.
    pub fn put(&self, rows: Vec<(usize, Tensor<1>)>) {
        #[cfg(feature = "cuda")]
        self.flat.put(rows.into_iter().map(|(start, row)| (start, cube(row))).collect());
        #[cfg(not(feature = "cuda"))]
        self.flat.put(rows);
    }

    /// The row is the collective's from here on, until [`Exchange::wait`].
    pub fn offer(&self) {
        self.flat.offer();
    }

    /// Waits until the device has done all that was asked of it.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) when it has failed.
    pub fn sync(&self) -> Result<()> {
        self.flat.sync()
    }

    /// The device goes no further until the collective is done with the row. After `limit` it gives up: the exchange has failed,
    /// now and for good, and what is taken from it is NaN.
    pub fn wait(&self, limit: Duration) {
        self.flat.wait(limit);
    }

    /// The numbers from these places on, of these lengths, in f32.
    #[must_use]
    pub fn take(&self, places: &[(usize, usize)]) -> Vec<Tensor<1>> {
        #[cfg(feature = "cuda")]
        return self.flat.take(places).into_iter().map(Tensor::from_primitive::<Cube>).collect();
        #[cfg(not(feature = "cuda"))]
        self.flat.take(places)
    }

    /// As [`Exchange::take`], into rows that are there already, which come back in the same order. They change where they lie, so
    /// that clones of them change too, except where a row had gaps.
    #[must_use]
    pub fn fill(&self, rows: Vec<(usize, Tensor<1>)>) -> Vec<Tensor<1>> {
        #[cfg(feature = "cuda")]
        return {
            let rows = rows.into_iter().map(|(start, row)| (start, cube(row))).collect();
            self.flat.fill(rows).into_iter().map(Tensor::from_primitive::<Cube>).collect()
        };
        #[cfg(not(feature = "cuda"))]
        self.flat.fill(rows)
    }
}

#[cfg(feature = "cuda")]
fn cube(row: Tensor<1>) -> burn::backend::tensor::FloatTensor<Cube> {
    row.try_into_primitive::<Cube>().expect("a step's rows lie on the device of its exchange")
}

/// A build without a device that exchanges.
#[cfg(not(feature = "cuda"))]
mod absent {
    use super::{Device, DeviceBuffer, Duration, Result, Tensor};

    #[derive(Clone, Debug)]
    pub(super) enum Flat {}

    impl Flat {
        pub(super) const fn new(_: &Device, _: usize, _: bool) -> Result<Option<Self>> {
            Ok(None)
        }

        pub(super) const fn buffer(&self) -> &DeviceBuffer {
            match *self {}
        }

        pub(super) fn put(&self, _: Vec<(usize, Tensor<1>)>) {
            match *self {}
        }

        pub(super) const fn offer(&self) {
            match *self {}
        }

        pub(super) const fn sync(&self) -> Result<()> {
            match *self {}
        }

        pub(super) const fn wait(&self, _: Duration) {
            match *self {}
        }

        pub(super) const fn take(&self, _: &[(usize, usize)]) -> Vec<Tensor<1>> {
            match *self {}
        }

        pub(super) fn fill(&self, _: Vec<(usize, Tensor<1>)>) -> Vec<Tensor<1>> {
            match *self {}
        }
    }
}
