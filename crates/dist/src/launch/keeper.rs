use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use rustix::process::{Signal, getpid, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{Error, Result};

/// The first argument of a launcher's program that is started as a keeper.
pub const KEEP: &str = "--keep-rank";

/// Runs a rank, and kills it when the launcher is gone: the body of a process that [`launch`](super::launch) starts.
/// Takes the arguments after [`KEEP`], and gives the exit status of the process.
///
/// # Errors
/// [`Error::Invalid`] without a program; [`Error::System`] if it can't be started.
pub fn keep(command: impl IntoIterator<Item = OsString>) -> Result<u8> {
    let mut command = command.into_iter();
    let program = command.next().ok_or_else(|| Error::invalid("command", "(none)", "name a program"))?;
    // The rank decides what a signal means; its keeper waits for its end.
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|e| Error::system("catching signals", e))?;
    }
    let rank = Command::new(&program).args(command).stdin(Stdio::null()).spawn();
    let mut rank = rank.map_err(|e| Error::system(format!("starting {}", program.display()), e))?;
    thread::spawn(|| {
        // Nobody writes: this returns when the launcher's end of the pipe closes.
        let _ = std::io::stdin().read(&mut [0]);
        let _ = kill_process_group(getpid(), Signal::KILL);
    });
    rank.wait().map(code).map_err(|e| Error::system("waiting for a rank", e))
}

/// As shells have it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
