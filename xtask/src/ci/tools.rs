//! Checks by programs that a machine may lack. What is not there is skipped, and the table says so.

use std::path::Path;

use super::Outcome;
use crate::{Failure, shell};

pub(super) fn typos(root: &Path) -> Result<Outcome, Failure> {
    if !shell::has(root, "typos", &["--version"])? {
        return Ok(Outcome::Skipped("typos is not installed; pip install -r .ci/requirements.txt".to_owned()));
    }
    shell::run(&mut shell::command(root, "typos"))?;
    Ok(Outcome::Passed)
}

pub(super) fn actionlint(root: &Path) -> Result<Outcome, Failure> {
    if !shell::has(root, "actionlint", &["--version"])? {
        return Ok(Outcome::Skipped("actionlint is not installed; pip install -r .ci/requirements.txt".to_owned()));
    }
    shell::run(&mut shell::command(root, "actionlint"))?;
    Ok(Outcome::Passed)
}

/// Another program reads what we sealed.
pub(super) fn age(root: &Path) -> Result<Outcome, Failure> {
    if !shell::has(root, "age", &["--version"])? || !shell::has(root, "age-keygen", &["--version"])? {
        return Ok(Outcome::Skipped("age is not installed; apt-get install age".to_owned()));
    }
    let arguments = ["test", "-p", "tapeloom-seal", "--test", "it", "--", "--ignored", "--exact"];
    shell::run(shell::cargo(root).args(arguments).arg("age::the_program_age_reads_the_payload"))?;
    Ok(Outcome::Passed)
}

/// The other backend of the ciphers needs a C compiler, which a machine that builds Rust has.
pub(super) fn ring(root: &Path) -> Result<Outcome, Failure> {
    shell::run(shell::cargo(root).args(["test", "-p", "tapeloom-seal", "--features", "ring"]))?;
    Ok(Outcome::Passed)
}

/// Processes on this host, started and killed. All tests: with the name of one, Cargo would not build the example that they start.
pub(super) fn launch(root: &Path) -> Result<Outcome, Failure> {
    shell::run(shell::cargo(root).args(["test", "-p", "tapeloom-dist", "--features", "launch"]))?;
    Ok(Outcome::Passed)
}

/// Ranks of an MPI job on this host.
pub(super) fn mpi(root: &Path) -> Result<Outcome, Failure> {
    if !shell::has(root, "mpirun", &["--version"])? || !shell::has(root, "mpicc", &["--version"])? {
        let how = "OpenMPI is not installed; apt-get install openmpi-bin libopenmpi-dev libclang-dev";
        return Ok(Outcome::Skipped(how.to_owned()));
    }
    shell::run(shell::cargo(root).args(["test", "-p", "tapeloom-dist", "--features", "mpi", "mpi"]))?;
    Ok(Outcome::Passed)
}

/// Needs NVIDIA's compiler, and no card.
pub(super) fn kernels(root: &Path) -> Result<Outcome, Failure> {
    const SCRIPT: &str = "crates/model/tests/kernels.py";
    if !shell::has(root, "python3", &[SCRIPT, "--there"])? {
        return Ok(Outcome::Skipped("NVRTC is not installed; pip install -r .ci/nvrtc.txt".to_owned()));
    }
    shell::run(shell::command(root, "python3").arg(SCRIPT))?;
    Ok(Outcome::Passed)
}

/// SQLite is built from its source; PostgreSQL needs a server, whose address `TAPELOOM_POSTGRES` holds.
pub(super) fn storages(root: &Path) -> Result<Outcome, Failure> {
    let tests =
        ["test", "--locked", "--package", "tapeloom-tune", "--features", "sqlite,postgres", "--test", "it", "--"];
    shell::run(shell::cargo(root).args(tests))?;
    if std::env::var_os("TAPELOOM_POSTGRES").is_none() {
        return Ok(Outcome::Skipped("PostgreSQL, as TAPELOOM_POSTGRES names no server; the rest passed".to_owned()));
    }
    shell::run(shell::cargo(root).args(tests).args(["postgres::", "--ignored"]))?;
    Ok(Outcome::Passed)
}

/// Advisories need their database, and with it the network; the rest is checked without.
pub(super) fn deny(root: &Path) -> Result<Outcome, Failure> {
    if !shell::has(root, "cargo-deny", &["--version"])? {
        return Ok(Outcome::Skipped("cargo-deny is not installed; cargo install --locked cargo-deny".to_owned()));
    }
    shell::run(shell::command(root, "cargo-deny").args(["check", "bans", "licenses", "sources"]))?;
    if shell::run(shell::command(root, "cargo-deny").args(["fetch", "db"])).is_err() {
        return Ok(Outcome::Skipped("advisories, as their database cannot be fetched; the rest passed".to_owned()));
    }
    shell::run(shell::command(root, "cargo-deny").args(["check", "--disable-fetch", "advisories"]))?;
    Ok(Outcome::Passed)
}
