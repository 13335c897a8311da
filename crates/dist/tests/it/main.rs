//! The providers keep the contract, ranks find each other, and both hold when ranks fail.

mod process;
mod rendezvous;
mod threads;
mod world;
