//! The promises of the training engine, shown on small series.

mod checkpoints;
mod cross_validation;
mod determinism;
mod evaluation;
mod failures;
mod faults;
mod loops;
mod options;
mod ranks;
mod recovery;
mod support;
