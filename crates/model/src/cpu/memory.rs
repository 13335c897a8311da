//! Memory that comes back: large buffers are kept for the next operation, since the system takes as long to hand out and
//! clear fresh pages as the cheaper kernels take to fill them.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use burn::tensor::{AllocationProperty, Bytes};
use burn_std::{AccessError, AccessPolicy, AllocationController};

/// Numbers below which the allocator is quick enough.
const SMALL: usize = 1 << 14;
/// Numbers that are kept at most: 1 GiB.
const KEPT: usize = 1 << 28;

static POOL: Mutex<Pool> = Mutex::new(Pool { buffers: Vec::new(), held: 0 });

struct Pool {
    buffers: Vec<Vec<f32>>,
    held: usize,
}

/// A buffer that goes back to the pool.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    /// `len` numbers of any value, to be written before they are read.
    pub(super) fn stale(len: usize) -> Self {
        if len >= SMALL {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |buffer: &Vec<f32>| buffer.len() >= len && buffer.len() <= len + len / 4;
            if let Some(at) = pool.buffers.iter().position(fits) {
                let mut buffer = pool.buffers.swap_remove(at);
                pool.held -= buffer.len();
                buffer.truncate(len);
                return Self(buffer);
            }
        }
        Self(vec![0.0; len])
    }

    pub(super) fn zeros(len: usize) -> Self {
        let mut buffer = Self::stale(len);
        buffer.fill(0.0);
        buffer
    }

    pub(super) fn copy_of(values: &[f32]) -> Self {
        let mut buffer = Self::stale(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    pub(super) fn into_bytes(self) -> Bytes {
        let len = size_of_val(self.0.as_slice());
        // SAFETY: all `len` bytes of the controller's memory are initialised.
        unsafe { Bytes::from_controller(Box::new(self), len) }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.len() >= SMALL {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.held + buffer.len() <= KEPT {
                pool.held += buffer.len();
                pool.buffers.push(buffer);
            }
        }
    }
}

impl AllocationController for Buffer {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Native
    }

    unsafe fn memory_mut(&mut self, _: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let len = size_of_val(self.0.as_slice());
        // SAFETY: the numbers' own bytes; the caller writes initialised bytes only, and any bytes make an `f32`.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let len = size_of_val(self.0.as_slice());
        // SAFETY: the numbers' own bytes.
        Ok(unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_serves_the_next_of_its_size() {
        // A size that no other test asks for.
        let len = 1_234_567;
        let mut first = Buffer::stale(len);
        first.fill(7.0);
        let place = first.as_ptr();
        drop(first.into_bytes());
        let second = Buffer::zeros(len - 100_000);
        assert_eq!((second.as_ptr(), second.len()), (place, len - 100_000));
        assert!(second.iter().all(|x| *x == 0.0));
        assert_ne!(Buffer::stale(len).as_ptr(), place);
    }
}
