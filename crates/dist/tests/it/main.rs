//! The providers keep the contract, ranks find each other, and both hold when ranks fail.

#[cfg(feature = "launch")]
mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod process;
mod rendezvous;
mod threads;
mod world;
