//! Starts the ranks of this host and keeps them: `launch --ranks 4 --max-restarts 3 -- train --config run.toml`.
//!
//! torchrun, `srun`, `mpirun` and Kubeflow start the same program; this needs nothing else.

use std::process::ExitCode;
use std::sync::Arc;

use tapeloom_dist::launch::{KEEP, LaunchConfig, OnLine, Signals, keep, launch};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a launcher passes on what its ranks write")]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let end = if arguments.next_if(|first| first == KEEP).is_some() {
        keep(arguments)
    } else {
        let on_line: OnLine =
            Arc::new(
                |rank, is_error, line| {
                    if is_error { eprintln!("[rank {rank}] {line}") } else { println!("[rank {rank}] {line}") }
                },
            );
        run(arguments, &on_line)
    };
    match end {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("launch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = std::ffi::OsString>, on_line: &OnLine) -> tapeloom_dist::Result<u8> {
    let config = LaunchConfig::parse(arguments)?;
    let program = std::env::current_exe().map_err(|e| tapeloom_dist::Error::System {
        action: "finding the launcher's own program".to_owned(),
        reason: e.to_string(),
    })?;
    let launched = launch(&config, &program, &Signals::catch()?, on_line)?;
    if launched.restarts > 0 {
        on_line(0, true, &format!("{} ranks, restarted {} times", launched.ranks, launched.restarts));
    }
    Ok(launched.code)
}
