//! The contract suites: call [`sampler`] and [`storage`] from a test of each provider.

mod samplers;
mod storages;

pub use samplers::sampler;
pub use storages::storage;
