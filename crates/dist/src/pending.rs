use std::fmt;

use crate::{Collective, ReduceOp, Result};

/// Work that [`Collective::start`] takes, with its buffer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Work {
    /// As [`Collective::all_reduce`]: gives the buffer back.
    AllReduce {
        /// This rank's values.
        buffer: Vec<f32>,
        /// How they become one.
        op: ReduceOp,
    },
    /// As [`Collective::reduce_scatter`]: gives this rank's shard.
    ReduceScatter {
        /// This rank's values.
        buffer: Vec<f32>,
        /// How they become one.
        op: ReduceOp,
    },
    /// As [`Collective::all_gather`]: gives all shards.
    AllGather {
        /// This rank's shard.
        shard: Vec<f32>,
    },
    /// As [`Collective::broadcast`]: gives the buffer back.
    Broadcast {
        /// What the root sends; elsewhere, room for it.
        buffer: Vec<f32>,
        /// The rank that sends.
        root: usize,
    },
}

/// Work that was started and goes on. Dropping it does not stop the work.
#[must_use = "the values come by `wait`"]
pub struct Pending(State);

enum State {
    Ready(Result<Vec<f32>>),
    Running(Box<dyn FnOnce() -> Result<Vec<f32>> + Send>),
}

impl Work {
    /// Does the work at once, by the calls that wait.
    ///
    /// # Errors
    /// Of the call.
    pub fn run<C: Collective + ?Sized>(self, collective: &C) -> Result<Vec<f32>> {
        match self {
            Self::AllReduce { mut buffer, op } => collective.all_reduce(&mut buffer, op).map(|()| buffer),
            Self::ReduceScatter { buffer, op } => collective.reduce_scatter(&buffer, op),
            Self::AllGather { shard } => collective.all_gather(&shard),
            Self::Broadcast { mut buffer, root } => collective.broadcast(&mut buffer, root).map(|()| buffer),
        }
    }
}

impl Pending {
    /// Work that is done.
    pub const fn ready(end: Result<Vec<f32>>) -> Self {
        Self(State::Ready(end))
    }

    /// Work that goes on; `wait` returns its end. For who writes a provider.
    pub fn running(wait: impl FnOnce() -> Result<Vec<f32>> + Send + 'static) -> Self {
        Self(State::Running(Box::new(wait)))
    }

    /// Returns what came of the work, when it is done; within the provider's deadline.
    ///
    /// # Errors
    /// Of the work.
    pub fn wait(self) -> Result<Vec<f32>> {
        match self.0 {
            State::Ready(end) => end,
            State::Running(wait) => wait(),
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Pending(ready)",
            State::Running(_) => "Pending(running)",
        })
    }
}
