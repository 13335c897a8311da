//! What a study promises, seen from outside.

mod crash;
mod define_by_run;
mod exchange;
mod grid;
mod journal;
mod ordered;
#[cfg(feature = "postgres")]
mod postgres;
mod pruning;
mod samplers;
mod sampling;
mod space;
mod storages;
mod study;
mod support;
mod takeover;
mod tpe;
