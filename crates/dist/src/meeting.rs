use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::collective::ReduceOp;
use crate::{Error, Result};

/// What a rank asks for; all ranks must ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) op: Option<ReduceOp>,
    /// Absent where ranks may bring different lengths.
    pub(crate) len: Option<usize>,
    pub(crate) root: Option<usize>,
}

/// What a rank brings along.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Where the threads of a group meet: each brings a payload, all leave with everyone's.
#[derive(Debug)]
pub(crate) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
    world_size: usize,
    deadline: Duration,
}

#[derive(Debug, Default)]
struct State {
    call: Option<Call>,
    brought: Vec<Option<Payload>>,
    /// Set when all have come, until all have left.
    complete: Option<Arc<Vec<Payload>>>,
    inside: usize,
    gone: Vec<bool>,
    failure: Option<Error>,
}

impl Meeting {
    pub(crate) fn new(world_size: usize, deadline: Duration) -> Self {
        let state = State { brought: vec![None; world_size], gone: vec![false; world_size], ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), world_size, deadline }
    }

    /// Brings a payload and returns everyone's, in the order of ranks.
    pub(crate) fn exchange(&self, rank: usize, call: Call, payload: Payload) -> Result<Arc<Vec<Payload>>> {
        let until = Instant::now() + self.deadline;
        let mut state = self.lock();
        // The meeting before may not have emptied yet.
        while state.failure.is_none() && state.complete.is_some() {
            state = self.wait(state, until, call);
        }
        if let Some(expected) = state.call.filter(|expected| *expected != call && state.failure.is_none()) {
            let (found, expected) = (format!("{call:?}"), format!("{expected:?}"));
            self.fail(&mut state, Error::Mismatch { rank, found, expected });
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.call = Some(call);
        state.brought[rank] = Some(payload);
        if state.brought.iter().all(Option::is_some) {
            let all = state.brought.iter_mut().filter_map(Option::take).collect();
            state.complete = Some(Arc::new(all));
            state.inside = self.world_size;
            self.changed.notify_all();
        }
        loop {
            if let Some(all) = state.complete.clone() {
                state.inside -= 1;
                if state.inside == 0 {
                    state.complete = None;
                    state.call = None;
                    self.changed.notify_all();
                }
                return Ok(all);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let missing = missing(&state);
            let gone: Vec<usize> = missing.into_iter().filter(|r| state.gone[*r]).collect();
            if gone.is_empty() {
                state = self.wait(state, until, call);
            } else {
                self.fail(&mut state, Error::PeerGone { operation: call.name, ranks: gone });
            }
        }
    }

    pub(crate) fn abort(&self, rank: usize, reason: &str) {
        self.fail(&mut self.lock(), Error::Aborted { rank, reason: reason.to_owned() });
    }

    /// A rank leaves for good; those who wait for it must not.
    pub(crate) fn leave(&self, rank: usize) {
        self.lock().gone[rank] = true;
        self.changed.notify_all();
    }

    fn fail(&self, state: &mut State, error: Error) {
        state.failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits for a change; fails the group when the deadline passes.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, until: Instant, call: Call) -> MutexGuard<'a, State> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let mut state = state;
            let missing = missing(&state);
            let seconds = self.deadline.as_secs();
            self.fail(&mut state, Error::TimedOut { operation: call.name, missing, seconds });
            return state;
        }
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(state: &State) -> Vec<usize> {
    (0..state.brought.len()).filter(|r| state.brought[*r].is_none()).collect()
}
