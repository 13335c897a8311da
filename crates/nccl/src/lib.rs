//! Collectives of NCCL: [`NcclGroup`], for ranks that hold a GPU each, in one host or in many.
//!
//! NCCL and CUDA's driver are looked up when a group is made; nothing of them is needed to build. What a group promises is in
//! [`Collective`](tapeloom_dist::Collective) and [`DeviceCollective`](tapeloom_dist::DeviceCollective).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tapeloom_dist::{Error, Rendezvous, World};
//! use tapeloom_nccl::{NcclConfig, NcclGroup};
//!
//! // Under torchrun and other launchers, `World::from_launcher()`.
//! let world = World::solo();
//! let token = b"a secret of this run";
//! let rendezvous = Arc::new(Rendezvous::join(&world, token, Duration::from_secs(60))?);
//! match NcclGroup::join(&rendezvous, &NcclConfig::new(world.local_rank)) {
//!     Ok(group) => println!("NCCL {:?}", group.version()),
//!     // It says what is missing: NCCL, the driver, or a device.
//!     Err(Error::System { action, reason }) => println!("{action}: {reason}"),
//!     Err(other) => return Err(other),
//! }
//! # Ok::<(), Error>(())
//! ```
#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "calls of CUDA's driver; each block says why it is sound")]
mod alarm;
#[expect(unsafe_code, reason = "calls of NCCL and of CUDA's driver; each block says why it is sound")]
mod communicator;
mod device;
mod group;
mod host;
#[expect(unsafe_code, reason = "NCCL's functions are looked up by name; each block says why it is sound")]
mod library;

pub use group::{NcclConfig, NcclGroup};
