//! From a source of windows to batches on a device, in an order that a seed names.

mod batch;
mod order;

pub use batch::{Batch, target_scale};
pub use order::EpochOrder;
