//! How a call waits: it looks at its own end, at the other ranks' notes, at the watch, and at the clock.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use ::mpi::request::StaticScope;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, Destination, MatchedReceiveVec, Source};

use super::Shared;
use super::note::Note;
use crate::Error;

const TAG: i32 = 1;

/// What this rank knows of the others, beside the calls.
pub(super) struct Peers {
    control: SimpleCommunicator,
    me: usize,
    /// When each rank said that it left.
    left: Vec<Option<Instant>>,
    /// When each rank said that its deadline passed.
    late: Vec<Option<Instant>>,
}

/// What a call waits for.
pub(super) struct Wait<'a> {
    pub(super) operation: &'static str,
    /// The ranks that take part, counted in the job.
    pub(super) ranks: &'a [usize],
    pub(super) deadline: Duration,
    pub(super) since: Instant,
    /// Whether others may still be elsewhere; later all are in the call, and it moves data.
    pub(super) gathering: bool,
}

impl Peers {
    /// Notes take a moment on their way; whoever has not answered after so long does not.
    const GRACE: Duration = Duration::from_millis(500);

    pub(super) fn new(control: SimpleCommunicator) -> Self {
        let (me, size) = (control.rank() as usize, control.size() as usize);
        Self { control, me, left: vec![None; size], late: vec![None; size] }
    }

    pub(super) const fn control(&self) -> &SimpleCommunicator {
        &self.control
    }

    pub(super) fn others_left(&self) -> bool {
        self.left.iter().enumerate().all(|(rank, left)| rank == self.me || left.is_some())
    }

    /// Returns when `done` does, or why it never will.
    pub(super) fn wait<T>(
        &mut self,
        shared: &Shared,
        wait: &Wait<'_>,
        mut done: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, Error> {
        const SPIN: Duration = Duration::from_millis(2);
        const NAP: Duration = Duration::from_micros(200);
        self.late.fill(None);
        let mut looks = 0_u32;
        loop {
            if let Some(end) = done(self) {
                return Ok(end);
            }
            looks = looks.wrapping_add(1);
            // The clock and the notes cost more than a look at the call.
            if looks.is_multiple_of(16) {
                self.check(shared, wait)?;
                // Data moves in these looks; for a rank that is elsewhere one look at a time is enough.
                if wait.gathering && wait.since.elapsed() > SPIN {
                    thread::sleep(NAP);
                }
            }
            thread::yield_now();
        }
    }

    /// Why the call won't complete, if so.
    pub(super) fn check(&mut self, shared: &Shared, wait: &Wait<'_>) -> Result<(), Error> {
        self.listen()?;
        if let Some(failure) = shared.lock().failure.clone() {
            return Err(failure);
        }
        if let Some(failure) = shared.watch.as_ref().and_then(|watch| watch.failure()) {
            return Err(failure);
        }
        let gone = |rank: &usize| self.left[*rank].is_some_and(|at| at.elapsed() > Self::GRACE);
        let gone: Vec<usize> = wait.ranks.iter().copied().filter(gone).collect();
        if wait.gathering && !gone.is_empty() {
            return Err(Error::PeerGone { operation: wait.operation, ranks: gone });
        }
        let passed = wait.since.elapsed() > wait.deadline;
        if self.late[self.me].is_none() && (passed || self.late.iter().any(Option::is_some)) {
            self.tell(&Note::Late);
            self.late[self.me] = Some(Instant::now());
        }
        self.verdict(wait)
    }

    /// Takes in what others have said; no call need be under way.
    pub(super) fn listen(&mut self) -> Result<(), Error> {
        while let Some(message) = self.control.any_process().immediate_matched_probe_with_tag(TAG) {
            let (bytes, status) = message.matched_receive_vec::<u8>();
            let from = status.source_rank() as usize;
            match Note::decode(&bytes) {
                Some(Note::Late) => self.late[from] = Some(Instant::now()),
                Some(Note::Left) => self.left[from] = Some(Instant::now()),
                Some(Note::Failed(error)) => return Err(error),
                None => {}
            }
        }
        Ok(())
    }

    /// Tells all other ranks. MPI copies a message as short as this one at once; should a rank be unable to take it, it waits in
    /// memory that stays.
    pub(super) fn tell(&self, note: &Note) {
        let bytes: &'static [u8] = note.encode().leak();
        for rank in (0..self.left.len()).filter(|rank| *rank != self.me) {
            let process = self.control.process_at_rank(rank as i32);
            mem::forget(process.immediate_send_with_tag(StaticScope, bytes, TAG));
        }
    }

    /// Some time after the deadline whoever has not answered is missing, and the first rank that waits says so to all.
    fn verdict(&self, wait: &Wait<'_>) -> Result<(), Error> {
        let Some(asked) = self.late[self.me] else { return Ok(()) };
        let waits = |rank: &&usize| self.late[**rank].is_some();
        let leads = wait.ranks.iter().find(waits) == Some(&self.me);
        let patience = if leads { Self::GRACE } else { 2 * Self::GRACE };
        if asked.elapsed() < patience {
            return Ok(());
        }
        let missing = wait.ranks.iter().copied().filter(|rank| self.late[*rank].is_none()).collect();
        Err(Error::TimedOut { operation: wait.operation, missing, deadline: wait.deadline })
    }
}
