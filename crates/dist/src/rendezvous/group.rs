use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::RendezvousConfig;
use super::link::{Link, Reader};
use super::message::Message;
use crate::{Error, Result};

/// What the threads of one rank know about the group: one reads each connection, one sends heartbeats, the host's own ask.
#[derive(Debug)]
pub(super) struct Group {
    /// The hub connects all, the others connect to it.
    is_hub: bool,
    /// For all to come, and for what the hub shares.
    deadline: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By rank: connections that are open.
    links: Vec<Option<Arc<Link>>>,
    /// All ranks have come.
    started: bool,
    /// The last word of the hub on who has not come.
    missing: Vec<usize>,
    /// This rank has left.
    leaving: bool,
    /// The hub has left.
    hub_left: bool,
    shares: HashMap<String, VecDeque<Vec<u8>>>,
    failure: Option<Error>,
}

impl Group {
    /// A group without others.
    pub(super) fn alone() -> Arc<Self> {
        let state = State { started: true, ..State::default() };
        Arc::new(Self { is_hub: true, deadline: Duration::ZERO, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// A group of which nobody else is here yet.
    pub(super) fn waiting(is_hub: bool, world_size: usize, config: &RendezvousConfig) -> Result<Arc<Self>> {
        let state = State {
            links: vec![None; world_size],
            missing: if is_hub { (1..world_size).collect() } else { Vec::new() },
            ..State::default()
        };
        let (deadline, heartbeat) = (config.deadline, config.heartbeat);
        let group = Arc::new(Self { is_hub, deadline, state: Mutex::new(state), changed: Condvar::new() });
        let beating = group.clone();
        spawn("tapeloom-heartbeat", move || beating.beat(heartbeat))?;
        Ok(group)
    }

    /// Whether `rank` is still missed.
    pub(super) fn misses(&self, rank: usize) -> bool {
        self.lock().links[rank].is_none()
    }

    /// Takes a connection to `rank` in; false if there is one already.
    pub(super) fn admit(self: &Arc<Self>, rank: usize, link: Link, reader: Reader) -> Result<bool> {
        let link = Arc::new(link);
        {
            let mut state = self.lock();
            if state.links[rank].is_some() || state.started {
                return Ok(false);
            }
            state.links[rank] = Some(link);
            state.missing.retain(|missing| *missing != rank);
        }
        let group = self.clone();
        spawn("tapeloom-rendezvous", move || group.listen(rank, reader))?;
        self.start();
        Ok(true)
    }

    /// Starts the group when all have come.
    fn start(&self) {
        {
            let mut state = self.lock();
            if !self.is_hub || state.started || !state.missing.is_empty() {
                return;
            }
            state.started = true;
        }
        self.tell(&Message::Start);
        self.changed.notify_all();
    }

    /// Waits until all have come, and does `meanwhile` every so often.
    ///
    /// # Errors
    /// The group's failure; [`Error::TimedOut`] after `until`, on the hub for all. The group is left then.
    pub(super) fn wait_for_all(&self, until: Instant, mut meanwhile: impl FnMut() -> Result<()>) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(2);
        // The hub knows who is missing, and its deadline passes at about the same time: it has the first word.
        let until = if self.is_hub { until } else { until + (self.deadline / 4).min(Duration::from_secs(1)) };
        let end = loop {
            if let Err(error) = meanwhile() {
                break Err(error);
            }
            let now = Instant::now();
            let state = self.wait(self.lock(), now + PAUSE);
            if let Some(failure) = &state.failure {
                break Err(failure.clone());
            }
            if state.started {
                return Ok(());
            }
            if now >= until {
                let missing = state.missing.clone();
                drop(state);
                self.fail(self.timed_out(missing.clone()), &Message::TimedOut(missing));
                break self.alive();
            }
        };
        self.leave();
        end
    }

    pub(super) fn alive(&self) -> Result<()> {
        self.lock().failure.clone().map_or(Ok(()), Err)
    }

    /// The next bytes of that name from the hub.
    pub(super) fn shared(&self, name: &str) -> Result<Vec<u8>> {
        let until = Instant::now() + self.deadline;
        let mut state = self.lock();
        loop {
            if let Some(bytes) = state.shares.get_mut(name).and_then(VecDeque::pop_front) {
                return Ok(bytes);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.hub_left {
                return Err(Error::PeerGone { operation: "share", ranks: vec![0] });
            }
            if Instant::now() >= until {
                return Err(Error::TimedOut { operation: "share", missing: vec![0], deadline: self.deadline });
            }
            state = self.wait(state, until);
        }
    }

    pub(super) fn abort(&self, rank: usize, reason: &str) {
        // As long as a reason is, it must pass as a message.
        let reason: String = reason.chars().take(10_000).collect();
        self.fail(Error::Aborted { rank, reason: reason.clone() }, &Message::Abort { rank, reason });
    }

    /// Says good-bye, and gives the others a moment to hear it.
    pub(super) fn leave(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        self.lock().leaving = true;
        self.changed.notify_all();
        for link in self.links() {
            send(&link, &Message::Leave);
            link.finish();
        }
        let until = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while state.links.iter().any(Option::is_some) && Instant::now() < until {
            state = self.wait(state, until);
        }
        state.links.iter().flatten().for_each(|link| link.cut());
    }

    pub(super) fn tell(&self, message: &Message) {
        self.links().iter().for_each(|link| send(link, message));
    }

    /// Writing may take long where a rank stopped reading, so it is not done under the lock.
    fn links(&self) -> Vec<Arc<Link>> {
        self.lock().links.iter().flatten().cloned().collect()
    }

    /// Ends the group for `error`, unless it is over, and tells the others by `message`.
    fn fail(&self, error: Error, message: &Message) {
        {
            let mut state = self.lock();
            if state.failure.is_some() || state.leaving {
                return;
            }
            state.failure = Some(error);
        }
        self.changed.notify_all();
        // A member speaks for itself: what it finds out about others, the hub finds out by itself.
        if self.is_hub || matches!(message, Message::Abort { .. }) {
            self.tell(message);
        }
    }

    fn timed_out(&self, missing: Vec<usize>) -> Error {
        Error::TimedOut { operation: "rendezvous", missing, deadline: self.deadline }
    }

    /// Reads what `rank` says until it says no more.
    fn listen(&self, rank: usize, mut reader: Reader) {
        let left = loop {
            match reader.next() {
                Ok(Some(Message::Leave)) => break true,
                Ok(Some(message)) => self.hear(rank, message),
                // A broken message is a broken connection: nothing that follows can be trusted.
                Ok(None) | Err(_) => break false,
            }
        };
        self.farewell(rank, left);
        reader.close();
    }

    fn hear(&self, from: usize, message: Message) {
        match message {
            // A member speaks for itself alone, and the hub listens to nothing else.
            Message::Abort { reason, .. } if self.is_hub => self.abort(from, &reason),
            _ if self.is_hub => {}
            Message::Beat | Message::Leave => {}
            Message::Missing(missing) => self.lock().missing = missing,
            Message::Start => self.lock().started = true,
            Message::Share { name, bytes } => self.lock().shares.entry(name).or_default().push_back(bytes),
            Message::TimedOut(missing) => self.learn(self.timed_out(missing)),
            Message::Gone(ranks) => self.learn(Error::PeerGone { operation: OPERATION, ranks }),
            Message::Abort { rank, reason } => self.learn(Error::Aborted { rank, reason }),
        }
        self.changed.notify_all();
    }

    /// The first failure is the one that counts.
    fn learn(&self, failure: Error) {
        self.lock().failure.get_or_insert(failure);
    }

    /// `rank` is not connected any more.
    fn farewell(&self, rank: usize, left: bool) {
        let harmless = {
            let mut state = self.lock();
            state.links[rank] = None;
            state.hub_left |= left && !self.is_hub;
            if self.is_hub && !state.started {
                state.missing.push(rank);
                state.missing.sort_unstable();
            }
            // Before the start a rank may come again, and one that leaves later does no harm.
            if state.started { left } else { self.is_hub }
        };
        if !harmless {
            let ranks = vec![rank];
            self.fail(Error::PeerGone { operation: OPERATION, ranks: ranks.clone() }, &Message::Gone(ranks));
        }
        self.changed.notify_all();
    }

    /// Says that this rank lives until it leaves, and to those who wait who is missing.
    fn beat(&self, every: Duration) {
        loop {
            let (links, message) = {
                let state = self.lock();
                let waits = self.is_hub && !state.started;
                let message = if waits { Message::Missing(state.missing.clone()) } else { Message::Beat };
                (state.links.iter().flatten().cloned().collect::<Vec<_>>(), message)
            };
            for link in &links {
                if link.beat(&message).is_err() {
                    link.cut();
                }
            }
            let until = Instant::now() + every;
            let mut state = self.lock();
            while Instant::now() < until {
                if state.leaving {
                    return;
                }
                state = self.wait(state, until);
            }
        }
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let rest = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What fails when a rank is gone outside of a call.
const OPERATION: &str = "heartbeat";

/// A rank that can't be written to is noticed by who reads from it.
fn send(link: &Link, message: &Message) {
    if link.send(message).is_err() {
        link.cut();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    /// The hub of a thousand ranks has a thousand of them.
    const STACK: usize = 256 << 10;
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body);
    thread.map(|_| ()).map_err(|e| Error::system("starting a thread", e))
}
