//! The promises of the observers, shown on events as a trainer sends them.

mod console;
mod contract;
#[cfg(feature = "prometheus")]
mod exposition;
mod jsonl;
#[cfg(feature = "prometheus")]
mod metrics;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "prometheus")]
mod server;
mod support;
