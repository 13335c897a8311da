use std::time::Duration;

use crate::{Error, Result};

/// How patient a [`Rendezvous`](super::Rendezvous) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RendezvousConfig {
    /// How long [`Rendezvous::join`](super::Rendezvous::join) waits for all ranks, and `share` for rank 0.
    pub deadline: Duration,
    /// Every rank says that often that it lives.
    pub heartbeat: Duration,
    /// A rank that says nothing for so long is gone. A rank that ends is noticed at once.
    pub heartbeat_limit: Duration,
}

impl RendezvousConfig {
    pub(super) fn validate(&self) -> Result<()> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        if self.deadline.is_zero() || self.deadline > DAY {
            let remedy = "choose more than zero and at most a day";
            return Err(Error::invalid("deadline", format!("{:?}", self.deadline), remedy));
        }
        if self.heartbeat.is_zero() || self.heartbeat > DAY {
            let remedy = "choose more than zero and at most a day";
            return Err(Error::invalid("heartbeat", format!("{:?}", self.heartbeat), remedy));
        }
        if self.heartbeat_limit < 2 * self.heartbeat || self.heartbeat_limit > DAY {
            let remedy = format!("choose at least two heartbeats of {:?} and at most a day", self.heartbeat);
            return Err(Error::invalid("heartbeat_limit", format!("{:?}", self.heartbeat_limit), remedy));
        }
        Ok(())
    }
}

impl Default for RendezvousConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(300),
            heartbeat: Duration::from_secs(1),
            heartbeat_limit: Duration::from_secs(5),
        }
    }
}
