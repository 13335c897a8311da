use std::ffi::OsString;
use std::time::Duration;

use crate::{Error, Result};

/// What to launch, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchConfig {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Ranks to start.
    pub ranks: usize,
    /// How often to start again after a failure.
    pub max_restarts: usize,
    /// The least ranks to go on with; without it, each attempt has all.
    pub min_ranks: Option<usize>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The first port of rank 0; without it, one that is free.
    pub master_port: Option<u16>,
}

impl LaunchConfig {
    /// How to write [`LaunchConfig::parse`]'s arguments.
    pub const USAGE: &str =
        "--ranks N [--max-restarts N] [--min-ranks N] [--grace-seconds N] [--master-port N] -- program [arguments]";

    /// So many ranks of a command, no restart, 10 s of grace.
    #[must_use]
    pub fn new(command: Vec<OsString>, ranks: usize) -> Self {
        let grace = Duration::from_secs(10);
        Self { command, ranks, max_restarts: 0, min_ranks: None, grace, master_port: None }
    }

    /// Reads arguments as [`LaunchConfig::USAGE`] has them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the argument.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut arguments = arguments.into_iter();
        let mut config = Self::new(Vec::new(), 1);
        while let Some(name) = arguments.next() {
            if name == "--" {
                config.command = arguments.collect();
                break;
            }
            let value = arguments.next().unwrap_or_default();
            let value = value.to_string_lossy();
            match &*name.to_string_lossy() {
                "--ranks" => config.ranks = number("--ranks", &value)?,
                "--max-restarts" => config.max_restarts = number("--max-restarts", &value)?,
                "--min-ranks" => config.min_ranks = Some(number("--min-ranks", &value)?),
                "--grace-seconds" => config.grace = Duration::from_secs(number("--grace-seconds", &value)?),
                "--master-port" => config.master_port = Some(number("--master-port", &value)?),
                other => return Err(Error::invalid("argument", other, format!("write {}", Self::USAGE))),
            }
        }
        config.validate().map(|()| config)
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.command.is_empty() {
            return Err(Error::invalid("command", "(none)", "name a program after --"));
        }
        if self.ranks == 0 {
            return Err(Error::invalid("ranks", 0, "start at least one"));
        }
        if let Some(least) = self.min_ranks.filter(|least| *least == 0 || *least > self.ranks) {
            return Err(Error::invalid("min_ranks", least, format!("choose 1 to {}", self.ranks)));
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::invalid(name, value, "give a whole number"))
}
