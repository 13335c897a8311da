use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What the numbers of a [`DeviceBuffer`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceNumber {
    /// IEEE 754 single precision.
    F32,
    /// The upper half of single precision.
    Bf16,
}

impl DeviceNumber {
    /// Bytes of one number.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// Numbers in the memory of a CUDA device, with the gate at which their owner and a guest take turns.
///
/// The owner is a library with a queue of its own (Burn); the guest works on the same memory from another queue (a
/// collective). Neither can wait for the other's queue, so both look at three words of 64 bits in the device's memory:
///
/// | word | written by | says |
/// |---|---|---|
/// | 0 | the owner | turns that it has offered: the numbers are there for the guest |
/// | 1 | the guest | turns that it has done: the numbers are the owner's again |
/// | 2 | either | not 0: the exchange has failed, nobody waits any more, and the numbers are worth nothing |
///
/// Turns count from 1. No thread of the host waits for any of it. A clone keeps the memory where it is.
#[derive(Clone)]
pub struct DeviceBuffer {
    address: u64,
    len: usize,
    number: DeviceNumber,
    gate: u64,
    ordinal: usize,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl DeviceBuffer {
    /// Names `len` numbers at `address` and a gate of three words at `gate`, both in the memory of the CUDA device `ordinal`
    /// and addressed in its primary context. `owner` keeps both where they are.
    ///
    /// # Safety
    /// As long as `owner` lives, both ranges must be valid device memory, and between the offer of a turn and its end nothing
    /// but the guest may touch the numbers.
    #[expect(unsafe_code, reason = "whoever names an address has to promise what lies there")]
    #[must_use]
    pub unsafe fn new(
        address: u64,
        len: usize,
        number: DeviceNumber,
        gate: u64,
        ordinal: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { address, len, number, gate, ordinal, _owner: owner }
    }

    /// Where the first number lies.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Numbers.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no number.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they are.
    #[must_use]
    pub const fn number(&self) -> DeviceNumber {
        self.number
    }

    /// Where the three words of the gate lie.
    #[must_use]
    pub const fn gate(&self) -> u64 {
        self.gate
    }

    /// The CUDA device, as the driver counts.
    #[must_use]
    pub const fn ordinal(&self) -> usize {
        self.ordinal
    }
}

impl fmt::Debug for DeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, number, ordinal, .. } = self;
        f.debug_struct("DeviceBuffer")
            .field("len", len)
            .field("number", number)
            .field("ordinal", ordinal)
            .finish_non_exhaustive()
    }
}
