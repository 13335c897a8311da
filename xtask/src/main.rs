//! Project tasks, run as `cargo xtask <task>`; see `USAGE`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]
#![expect(clippy::disallowed_methods, reason = "cargo says through the environment which cargo it is")]

mod bench;
mod ci;
mod docs;
mod sbom;
mod shell;
mod tidy;
mod tree;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <task>

tasks
  ci [--keep-going] [stage..]   what has to pass before a change lands; all stages, or those named
  ci --list                     the stages, in the order they run
  tidy                          the rules of the house that no compiler checks
  bench [argument..]            criterion benches; arguments go to criterion
  sbom [file]                   what goes into a build, as CycloneDX; to target/sbom.cdx.json without a name
  docs [argument..]             the API reference; arguments go to `cargo doc`, such as --open";

/// What a task says when it fails.
type Failure = String;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let done = match task.as_deref() {
        Some("ci") => ci::run(&rest),
        Some("tidy") => tidy::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("sbom") => sbom::run(&rest),
        Some("docs") => docs::run(&rest),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(format!("no task is named {other:?}\n\n{USAGE}")),
        None => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
