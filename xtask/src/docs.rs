//! `cargo xtask docs`: the API reference.

use std::path::Path;

use crate::{Failure, shell};

/// Arguments go to `cargo doc`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    build(&shell::root()?, arguments)
}

/// Builds the reference of our own crates; a warning is a failure.
pub(crate) fn build(root: &Path, arguments: &[String]) -> Result<(), Failure> {
    let mut cargo = shell::cargo(root);
    cargo.args(["doc", "--workspace", "--no-deps", "--locked"]).args(arguments).env("RUSTDOCFLAGS", "-D warnings");
    shell::run(&mut cargo)
}
