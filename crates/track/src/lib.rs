//! Observers of a run: what a person, a file or a metrics system sees of it while it trains, and the report at its end.
//!
//! | item | shows a run as | feature |
//! |---|---|---|
//! | [`Console`] | a progress bar on a terminal, plain lines elsewhere | always |
//! | [`Jsonl`], [`read_jsonl`] | one JSON object per event in a file | always |
#![cfg_attr(
    feature = "prometheus",
    doc = "| [`PrometheusObserver`], [`MetricsServer`] | metrics over HTTP | `prometheus` |"
)]
#![cfg_attr(
    not(feature = "prometheus"),
    doc = "| `PrometheusObserver`, `MetricsServer` | metrics over HTTP | `prometheus` |"
)]
#![cfg_attr(feature = "report", doc = "| [`Report`] | one HTML page with tables and plots | `report` |")]
#![cfg_attr(not(feature = "report"), doc = "| `Report` | one HTML page with tables and plots | `report` |")]
//!
//! Observers never fail and never hold up training: what they can't write they drop, and count where that can be asked.
//! Evidence, which may not be dropped, belongs in a [`Ledger`](tapeloom_core::Ledger).
//!
//! ```
//! use std::sync::Arc;
//! use tapeloom_core::{Event, Fanout, Observer, Timestamp};
//! use tapeloom_track::{Console, Jsonl, read_jsonl};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("events.jsonl");
//! let mut observers = Fanout::default();
//! observers.add(Arc::new(Console::stderr()));
//! observers.add(Arc::new(Jsonl::open(&path)?));
//! // A trainer does this:
//! observers.observe(Timestamp::parse("2018-12-31")?, &Event::EpochStarted { epoch: 1 });
//! observers.flush();
//! assert_eq!(read_jsonl(&path)?[0].1, Event::EpochStarted { epoch: 1 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "prometheus")]
mod catalogue;
mod console;
mod error;
mod floats;
mod jsonl;
mod line_writer;
mod lines;
mod progress;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "prometheus")]
mod server;
mod words;

#[cfg(feature = "prometheus")]
pub use catalogue::{CATALOGUE, Metric, MetricKind};
pub use console::Console;
pub use error::{Error, Result};
pub use jsonl::{Jsonl, read_jsonl};
#[cfg(feature = "prometheus")]
pub use prometheus::PrometheusObserver;
#[cfg(feature = "report")]
pub use report::{Axis, Guide, Report, Series, Verdict};
#[cfg(feature = "prometheus")]
pub use server::{MetricsServer, MetricsServerBuilder};
