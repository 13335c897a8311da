use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::keeper::{KEEP, code};
use super::{LaunchConfig, OnLine, Signals};
use crate::{Error, Rendezvous, Result};

/// One start of all ranks.
pub(super) struct Attempt {
    ranks: Vec<Rank>,
    logs: Vec<JoinHandle<()>>,
    grace: Duration,
}

struct Rank {
    keeper: Child,
    group: Pid,
    ended: Option<u8>,
}

/// How an attempt ended.
pub(super) struct End {
    pub(super) code: u8,
    /// Ranks that failed by themselves.
    pub(super) failed: usize,
    /// A signal was passed on.
    pub(super) signalled: bool,
}

impl Attempt {
    pub(super) fn start(
        config: &LaunchConfig,
        program: &Path,
        ranks: usize,
        restarts: usize,
        on_line: &OnLine,
    ) -> Result<Self> {
        let port = config.master_port.map_or_else(free_port, Ok)?;
        let mut attempt = Self { ranks: Vec::new(), logs: Vec::new(), grace: config.grace };
        for rank in 0..ranks {
            let mut keeper = Command::new(program);
            keeper.arg(KEEP).args(&config.command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            for name in ["RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK"] {
                keeper.env(name, if name == "GROUP_RANK" { 0 } else { rank }.to_string());
            }
            for name in ["WORLD_SIZE", "LOCAL_WORLD_SIZE", "ROLE_WORLD_SIZE"] {
                keeper.env(name, ranks.to_string());
            }
            keeper.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            keeper.env("TORCHELASTIC_RESTART_COUNT", restarts.to_string());
            keeper.env("TORCHELASTIC_MAX_RESTARTS", config.max_restarts.to_string());
            keeper.env("TORCHELASTIC_RUN_ID", format!("launch-{}", std::process::id()));
            // Also what an outer launcher may have left.
            keeper.env_remove("TORCHELASTIC_USE_AGENT_STORE");
            // A drop on the way out ends those that have started.
            let mut keeper = keeper.process_group(0).spawn().map_err(|e| Error::system("starting a rank", e))?;
            attempt.logs.extend(keeper.stdout.take().map(|out| log(out, rank, false, on_line)));
            attempt.logs.extend(keeper.stderr.take().map(|out| log(out, rank, true, on_line)));
            attempt.ranks.push(Rank { group: Pid::from_child(&keeper), keeper, ended: None });
        }
        Ok(attempt)
    }

    /// Returns when all have ended. The first that fails ends the others.
    pub(super) fn wait(mut self, signals: &Signals) -> End {
        const LOOK: Duration = Duration::from_millis(10);
        let mut end = End { code: 0, failed: 0, signalled: false };
        let mut kill_at = None;
        loop {
            let failures: Vec<u8> = self.ranks.iter_mut().filter_map(Rank::look).filter(|code| *code != 0).collect();
            if let Some(first) = failures.first() {
                // Ranks that end because they were told to have not failed.
                if kill_at.is_none() {
                    end.code = *first;
                    end.failed += failures.len();
                    self.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + self.grace);
                } else if end.signalled && end.code == 0 {
                    end.code = *first;
                }
            }
            if self.ranks.iter().all(|rank| rank.ended.is_some()) {
                break;
            }
            if let Some(signal) = signals.take().and_then(Signal::from_named_raw) {
                end.signalled = true;
                self.signal(signal);
                kill_at.get_or_insert_with(|| Instant::now() + self.grace);
            }
            if kill_at.is_some_and(|at| Instant::now() > at) {
                self.signal(Signal::KILL);
            }
            thread::sleep(LOOK);
        }
        self.signal(Signal::KILL);
        for log in self.logs.drain(..) {
            // A log thread ends with the pipe; one that panicked printed why.
            let _ = log.join();
        }
        end
    }

    /// To whole groups: also to what a rank has started, and to what it has left behind.
    fn signal(&self, signal: Signal) {
        for rank in &self.ranks {
            if rank.ended.is_none() || signal == Signal::KILL {
                // It may have ended by itself.
                let _ = kill_process_group(rank.group, signal);
            }
        }
    }
}

/// No way out leaves a rank behind.
impl Drop for Attempt {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        for rank in &mut self.ranks {
            let _ = rank.keeper.wait();
        }
    }
}

impl Rank {
    /// Its exit status, when it has just ended.
    fn look(&mut self) -> Option<u8> {
        if self.ended.is_some() {
            return None;
        }
        let status = self.keeper.try_wait().ok()??;
        self.ended = Some(code(status));
        // A keeper that was killed leaves its rank.
        let _ = kill_process_group(self.group, Signal::KILL);
        self.ended
    }
}

fn log(out: impl Read + Send + 'static, rank: usize, is_error: bool, on_line: &OnLine) -> JoinHandle<()> {
    let on_line = on_line.clone();
    thread::spawn(move || {
        // Any bytes may come; a line is shown as far as it is text.
        for line in BufReader::new(out).split(b'\n').map_while(|line| line.ok()) {
            on_line(rank, is_error, String::from_utf8_lossy(&line).trim_end_matches('\r'));
        }
    })
}

/// A port with free ones after it, as far as one look can tell.
fn free_port() -> Result<u16> {
    let probe = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = probe.map_err(|e| Error::system("looking for a free port", e))?.port();
    Ok(port.min(u16::MAX - Rendezvous::PORTS))
}
