//! Contracts and plain data that every Tapeloom crate shares.
//!
//! Nothing here knows Burn, DataFusion, an async runtime or the network. Each contract is a small object-safe trait with
//! a standard implementation and a suite in [`contract`] that every provider runs in its tests.
//!
//! | contract | says | standard implementation |
//! |---|---|---|
//! | [`Observer`] | what happened: may drop, never blocks, never fails | [`Recorder`], [`Fanout`] |
//! | [`Ledger`] | evidence: may not drop, its failure stops the run | [`MemoryLedger`], [`Unrecorded`] |
//! | [`BlobStore`] | named bytes, atomic and durable | [`FsStore`], [`MemoryStore`] |
//! | [`WindowSource`] | samples of a time series | [`MatrixWindows`] |
//! | [`Clock`] | the time, as a value | [`SystemClock`], [`ManualClock`] |
//!
//! ```
//! use tapeloom_core::{BlobStore, MemoryStore};
//! let store = MemoryStore::default();
//! store.put("runs/a/config.json", b"{}")?;
//! assert_eq!(store.list("runs/")?, ["runs/a/config.json"]);
//! # Ok::<(), tapeloom_core::Error>(())
//! ```
// One function: whoever hands out an address of device memory promises what lies there.
#![deny(unsafe_code)]

mod blob;
mod clock;
pub mod contract;
mod device_buffer;
mod error;
mod event;
pub mod exact;
mod fingerprint;
mod fs_store;
mod ledger;
mod matrix;
mod observer;
mod philox;
mod run_id;
mod scaler;
mod stop;
mod window;

pub use blob::{BlobStore, Claim, MemoryStore, check_name};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use device_buffer::{DeviceBuffer, DeviceNumber};
pub use error::{Error, Result};
pub use event::{Event, Outcome};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use fs_store::FsStore;
pub use ledger::{Ledger, MemoryLedger, Receipt, Record, Unrecorded};
pub use matrix::{MatrixWindows, Segment};
pub use observer::{Fanout, Observer, Recorder};
pub use philox::{Permutation, Philox, hash_words};
pub use run_id::RunId;
pub use scaler::Scaler;
pub use stop::StopFlag;
pub use window::{Stamp, WindowSource, WindowSpec, check_gather};
