use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::collective::ReduceOp;
use crate::{Error, Result};

/// Where the threads of a group meet: each brings a payload, all leave with everyone's.
#[derive(Debug)]
pub(crate) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
    deadline: Duration,
}

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
#[derive(Debug)]
pub(crate) enum Payload {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

#[derive(Debug)]
struct State {
    call: Option<Call>,
    brought: Vec<Option<Payload>>,
    /// Set when all have come, until all have left.
    complete: Option<Arc<Vec<Payload>>>,
    left: Vec<bool>,
    gone: Vec<bool>,
    failure: Option<Error>,
}

impl Meeting {
    pub(crate) fn new(world_size: usize, deadline: Duration) -> Self {
        let state = State {
            call: None,
            brought: (0..world_size).map(|_| None).collect(),
            complete: None,
            left: vec![false; world_size],
            gone: vec![false; world_size],
            failure: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), deadline }
    }

    /// Brings a payload and returns everyone's, in the order of ranks.
    pub(crate) fn exchange(&self, rank: usize, call: Call, payload: Payload) -> Result<Arc<Vec<Payload>>> {
        let until = Instant::now() + self.deadline;
        let mut state = self.lock();
        // The meeting before may not have emptied yet.
        while state.failure.is_none() && state.complete.is_some() {
            state = self.wait(state, until, call);
        }
        if let Some(error) = state.objection(rank, call) {
            self.fail(&mut state, error);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.call = Some(call);
        state.brought[rank] = Some(payload);
        if state.brought.iter().all(Option::is_some) {
            let all = state.brought.iter_mut().filter_map(Option::take).collect();
            state.complete = Some(Arc::new(all));
            self.changed.notify_all();
        }
        loop {
            // A complete meeting is complete for all, even if the group dies before the last one has left.
            if let Some(all) = state.complete.clone() {
                if state.leave(rank) {
                    self.changed.notify_all();
                }
                return Ok(all);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let gone: Vec<usize> = state.missing().into_iter().filter(|r| state.gone[*r]).collect();
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
    pub(crate) fn depart(&self, rank: usize) {
        self.lock().gone[rank] = true;
        self.changed.notify_all();
    }

    /// Ends the group; the first failure is the one that every rank sees.
    fn fail(&self, state: &mut State, error: Error) {
        state.failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits for a change; fails the group when the deadline passes.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, until: Instant, call: Call) -> MutexGuard<'a, State> {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            let missing = state.missing();
            self.fail(&mut state, Error::TimedOut { operation: call.name, missing, deadline: self.deadline });
            return state;
        }
        self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes `rank` out of a complete meeting; true when it was the last one.
    fn leave(&mut self, rank: usize) -> bool {
        self.left[rank] = true;
        let empty = self.left.iter().all(|left| *left);
        if empty {
            self.left.fill(false);
            self.complete = None;
            self.call = None;
        }
        empty
    }

    /// Why this call can't join the meeting, if it can't.
    fn objection(&self, rank: usize, call: Call) -> Option<Error> {
        let expected = self.call?;
        if self.brought[rank].is_some() {
            let (found, expected) = (format!("{call} from a second thread"), "one call at a time".to_owned());
            return Some(Error::Mismatch { rank, found, expected });
        }
        (expected != call).then(|| Error::Mismatch { rank, found: call.to_string(), expected: expected.to_string() })
    }

    /// The ranks that others wait for.
    fn missing(&self) -> Vec<usize> {
        let here =
            |rank: &usize| if self.complete.is_some() { self.left[*rank] } else { self.brought[*rank].is_some() };
        (0..self.brought.len()).filter(|rank| !here(rank)).collect()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.op.iter().try_for_each(|op| write!(f, " {op:?}"))?;
        self.len.iter().try_for_each(|len| write!(f, " of {len} values"))?;
        self.root.iter().try_for_each(|root| write!(f, " from rank {root}"))
    }
}
