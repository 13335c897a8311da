//! The promises of the training engine, shown on small series.

mod checkpoints;
mod determinism;
mod evaluation;
mod failures;
mod loops;
mod support;
