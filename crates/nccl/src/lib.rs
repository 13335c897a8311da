//! Collectives of NCCL: [`NcclGroup`], for ranks that hold a GPU each, in one host or in many.
//!
//! NCCL and CUDA's driver are looked up when a group is made; nothing of them is needed to build. What a group promises is in
//! [`Collective`](tapeloom_dist::Collective) and [`DeviceCollective`](tapeloom_dist::DeviceCollective).
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tapeloom_dist::{Collective, ReduceOp, Rendezvous, World};
//! use tapeloom_nccl::{NcclConfig, NcclGroup};
//!
//! // As torchrun and other launchers start it: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.
//! let world = World::from_launcher()?;
//! let rendezvous = Arc::new(Rendezvous::join(&world, b"a secret of this run", Duration::from_secs(60))?);
//! let group = NcclGroup::join(&rendezvous, &NcclConfig::new(world.local_rank))?;
//! let mut sums = [1.0, 2.0];
//! group.all_reduce(&mut sums, ReduceOp::Sum)?;
//! # Ok::<(), tapeloom_dist::Error>(())
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
