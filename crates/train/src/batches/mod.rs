//! From a source of windows to batches on a device, in an order that a seed names.

mod batch;
mod cut;
mod loader;
mod order;
mod supply;
mod weights;

pub(crate) use batch::Samples;
pub use batch::{Batch, target_scale};
pub(crate) use cut::Cut;
pub(crate) use loader::{Direct, Feed, Loader};
pub use order::EpochOrder;
pub(crate) use supply::{Resident, Supply};
pub(crate) use weights::sample_weights;
