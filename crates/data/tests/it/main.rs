//! The promises of the data layer, shown on small files.

mod causality;
mod features;
mod frames;
mod robustness;
mod sources;
mod splits;
mod support;
mod validation;
