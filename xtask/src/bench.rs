//! `cargo xtask bench`: the criterion benches of the workspace.

use crate::{Failure, shell};

/// Bench targets alone: the test harness of a library would refuse criterion's arguments.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let root = shell::root()?;
    shell::run(shell::cargo(&root).args(["bench", "--workspace", "--bench", "*", "--"]).args(arguments))
}
