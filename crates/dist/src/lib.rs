//! How ranks meet: the [`Collective`] contract, and its providers inside one process.
//!
//! [`Solo`] is the group of one. [`Threads`] is a group of threads, for tests and for several devices of one host. Providers
//! that cross processes and machines implement the same trait and run the same [`contract`] suite.
//!
//! ```
//! use std::time::Duration;
//! use tapeloom_dist::{Collective, ReduceOp, Threads};
//!
//! let ranks = Threads::group(2, Duration::from_secs(5))?;
//! std::thread::scope(|scope| {
//!     for rank in ranks {
//!         scope.spawn(move || {
//!             let mut gradient = [rank.rank() as f32 + 1.0, 10.0];
//!             rank.all_reduce(&mut gradient, ReduceOp::Mean).expect("both ranks are here");
//!             assert_eq!(gradient, [1.5, 10.0]);
//!         });
//!     }
//! });
//! # Ok::<(), tapeloom_dist::Error>(())
//! ```
#![forbid(unsafe_code)]

mod collective;
pub mod contract;
mod device;
mod element;
mod error;
#[cfg(all(unix, feature = "launch"))]
pub mod launch;
mod meeting;
#[cfg(feature = "mpi")]
mod mpi;
mod pending;
mod queue;
mod rendezvous;
mod solo;
mod threads;
mod world;

pub use collective::{Collective, ReduceOp, shard_range};
pub use device::DeviceCollective;
pub use error::{Error, Result};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use pending::{Pending, Work};
pub use rendezvous::{Rendezvous, RendezvousConfig};
pub use solo::Solo;
pub use threads::Threads;
pub use world::World;
