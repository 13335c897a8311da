//! Starts the ranks of this host, as torchrun does: any program, told by variables where it stands.
//!
//! Each rank runs under a keeper, a small process of the launcher's own program, which leads a process group and holds the end of a
//! pipe. Whatever way the launcher ends, `kill -9` too, the pipe closes, and the keeper kills its group. A keeper that is killed is
//! noticed by the launcher, which kills the group. Only when both are killed in the same moment, or when a rank moves to a process
//! group of its own, is a rank left alone.

mod attempt;
mod config;
mod keeper;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{Error, Result};
use attempt::Attempt;

pub use config::LaunchConfig;
pub use keeper::{KEEP, keep};

/// Gets each line that a rank writes: its rank, whether it is of standard error, and the line without its end.
pub type OnLine = Arc<dyn Fn(usize, bool, &str) + Send + Sync>;

/// How a launch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    /// 0, or the exit status of the rank that failed first; 128 and the signal where one ended it.
    pub code: u8,
    /// How often the ranks were started again.
    pub restarts: usize,
    /// Ranks of the last attempt.
    pub ranks: usize,
}

/// Signals that the launcher passes on.
#[derive(Clone, Debug)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Catches SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// [`Error::System`] if the system lets nobody catch them.
    pub fn catch() -> Result<Self> {
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register_usize(signal, last.clone(), signal as usize)
                .map_err(|e| Error::system("catching signals", e))?;
        }
        Ok(Self(last))
    }

    fn take(&self) -> Option<i32> {
        Some(self.0.swap(0, Ordering::AcqRel)).filter(|signal| *signal != 0).map(|signal| signal as i32)
    }
}

/// Starts all ranks, and again when one fails, until they succeed or the restarts are used up.
///
/// A failing rank ends the others: SIGTERM, then SIGKILL after the grace period. The program resumes from its own last
/// checkpoint; `TORCHELASTIC_RESTART_COUNT` tells it that it was restarted. With `min_ranks` the ranks that failed are left out of the
/// next attempt, down to that many. A signal that `signals` caught goes to all ranks and ends the launch.
///
/// `program` is the launcher's own, whose main function hands arguments that begin with [`KEEP`] to [`keep`].
///
/// # Errors
/// [`Error::Invalid`] for a config that can't be; [`Error::System`] if a process can't be started.
pub fn launch(config: &LaunchConfig, program: &Path, signals: &Signals, on_line: &OnLine) -> Result<Launched> {
    config.validate()?;
    let mut ranks = config.ranks;
    let mut restarts = 0;
    loop {
        let end = Attempt::start(config, program, ranks, restarts, on_line)?.wait(signals);
        if end.code == 0 || end.signalled || restarts == config.max_restarts {
            return Ok(Launched { code: end.code, restarts, ranks });
        }
        if let Some(least) = config.min_ranks {
            ranks = (ranks - end.failed).max(least);
        }
        restarts += 1;
    }
}
