use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::collective::ReduceOp;
use crate::{Error, Result};

/// Where the threads of a group meet for a call: they enter, arrive with what they bring, and leave when they have taken what
/// they came for.
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

/// How far a rank is in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Outside,
    Entered,
    Arrived,
    Regrouped,
    Left,
}

#[derive(Debug)]
struct State {
    call: Option<Call>,
    stages: Vec<Stage>,
    /// All have arrived, and not all have left.
    complete: bool,
    gone: Vec<bool>,
    failure: Option<Error>,
}

impl Meeting {
    pub(crate) fn new(world_size: usize, deadline: Duration) -> Self {
        let state = State {
            call: None,
            stages: vec![Stage::Outside; world_size],
            complete: false,
            gone: vec![false; world_size],
            failure: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), deadline }
    }

    /// Begins a call, when the one before has emptied.
    pub(crate) fn enter(&self, rank: usize, call: Call) -> Result<()> {
        let until = Instant::now() + self.deadline;
        let mut state = self.lock();
        while state.failure.is_none() && state.complete {
            state = self.wait(state, until, call);
        }
        if let Some(error) = state.objection(rank, call) {
            self.fail(&mut state, error);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.call = Some(call);
        state.stages[rank] = Stage::Entered;
        Ok(())
    }

    /// Returns when all have come with what they bring. From then on the call completes on all ranks: none can fail in it.
    pub(crate) fn arrive(&self, rank: usize) -> Result<()> {
        let until = Instant::now() + self.deadline;
        let mut state = self.lock();
        state.stages[rank] = Stage::Arrived;
        // What a rank brings after the group died is for nobody.
        if state.failure.is_none() && state.stages.iter().all(|stage| *stage == Stage::Arrived) {
            state.complete = true;
            self.changed.notify_all();
        }
        loop {
            if state.complete {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let Some(call) = state.call else { return Ok(()) };
            let gone: Vec<usize> = state.missing().into_iter().filter(|r| state.gone[*r]).collect();
            if gone.is_empty() {
                state = self.wait(state, until, call);
            } else {
                self.fail(&mut state, Error::PeerGone { operation: call.name, ranks: gone });
            }
        }
    }

    /// Returns when all have made their part. All are in the call, so nothing is waited for but their work.
    pub(crate) fn regroup(&self, rank: usize) {
        let mut state = self.lock();
        state.stages[rank] = Stage::Regrouped;
        self.changed.notify_all();
        while !state.stages.iter().all(|stage| matches!(stage, Stage::Regrouped | Stage::Left)) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes `rank` out of the call; the last one makes room for the next.
    pub(crate) fn leave(&self, rank: usize) {
        let mut state = self.lock();
        state.stages[rank] = Stage::Left;
        if state.stages.iter().all(|stage| *stage == Stage::Left) {
            state.stages.fill(Stage::Outside);
            state.complete = false;
            state.call = None;
            self.changed.notify_all();
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
    /// Why this call can't join the meeting, if it can't.
    fn objection(&self, rank: usize, call: Call) -> Option<Error> {
        let expected = self.call?;
        if self.stages[rank] != Stage::Outside {
            let (found, expected) = (format!("{call} from a second thread"), "one call at a time".to_owned());
            return Some(Error::Mismatch { rank, found, expected });
        }
        (expected != call).then(|| Error::Mismatch { rank, found: call.to_string(), expected: expected.to_string() })
    }

    /// The ranks that others wait for.
    fn missing(&self) -> Vec<usize> {
        let here = if self.complete { Stage::Left } else { Stage::Arrived };
        (0..self.stages.len()).filter(|rank| self.stages[*rank] != here).collect()
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
