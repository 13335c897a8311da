use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cudarc::driver::CudaEvent;
use tapeloom_core::DeviceBuffer;
use tapeloom_dist::{Collective, Error, Rendezvous, Result};

use crate::alarm::Alarm;
use crate::communicator::{Call, Communicator, Place, cuda, stand_aside};
use crate::library::{DataType, Library, UniqueId};

/// How a group is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NcclConfig {
    /// The CUDA device of this rank, as the driver counts; as a rule the local rank.
    pub ordinal: usize,
    /// How long a call may take, joining included.
    pub deadline: Duration,
    /// Whether the trainer may have gradients reduced in device memory, in the middle of a step, instead of through host buffers: about nine times
    /// the speed for a small model on two GPUs. Default false: where many collectives on one buffer are queued without a read
    /// between them, which the trainer does not do, the last of them have been seen not to end before the deadline.
    pub on_device: bool,
    /// Where NCCL is, instead of where the system's loader looks.
    pub library: Option<PathBuf>,
}

impl NcclConfig {
    /// The device `ordinal`, with a deadline of five minutes.
    #[must_use]
    pub const fn new(ordinal: usize) -> Self {
        Self { ordinal, deadline: Duration::from_secs(300), on_device: false, library: None }
    }
}

/// One rank of a group that NCCL carries; one process (or thread) for each GPU.
///
/// It implements [`Collective`](tapeloom_dist::Collective) on host buffers, which it stages on the device, and
/// [`DeviceCollective`](tapeloom_dist::DeviceCollective) on device memory, without a copy and without a wait of the host.
/// Reductions are the same to the bit on every rank; in which order they add is NCCL's choice, so it may change with the world
/// size and the links. `NCCL_*` variables are NCCL's own and are left alone.
///
/// A thread watches: when the rendezvous hears that a rank is gone, when NCCL reports an error, or when a collective on the
/// device passes the deadline, the group fails: collectives on the device end, gates open as failed, and every later call
/// returns the same error.
pub struct NcclGroup {
    pub(crate) shared: Arc<Shared>,
    watch: Option<JoinHandle<()>>,
}

/// What the watching thread sees too.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    pub(crate) config: NcclConfig,
    version: [u32; 3],
    library: Arc<Library>,
    rendezvous: Arc<Rendezvous>,
    communicator: Mutex<Communicator>,
    failure: Mutex<Option<Error>>,
    alarm: Alarm,
    under_way: Mutex<VecDeque<Turn>>,
    /// Calls that NCCL is ready for.
    rehearsed: Mutex<HashSet<(Call, usize, DataType)>>,
    leaving: AtomicBool,
}

/// A collective on device memory that was queued.
#[derive(Debug)]
struct Turn {
    /// Keeps the memory where it is.
    buffer: DeviceBuffer,
    end: CudaEvent,
    since: Instant,
}

/// How often the watching thread looks.
const WATCH: Duration = Duration::from_millis(20);

impl NcclGroup {
    /// Joins the group of a rendezvous; all its ranks must do so.
    ///
    /// # Errors
    /// [`Error::System`] where NCCL or CUDA is missing or refuses; [`Error::TimedOut`] when not all ranks come.
    pub fn join(rendezvous: &Arc<Rendezvous>, config: &NcclConfig) -> Result<Self> {
        let world = rendezvous.world();
        let library = Library::open(config.library.as_ref())?;
        let ids = if world.rank == 0 { Some(library.unique_id()?.0.to_vec()) } else { None };
        let ids = rendezvous.share("nccl unique id", ids)?;
        Self::form(rendezvous.clone(), library, &ids, (world.rank, world.world_size), config.clone())
    }

    /// Joins the group that `id` names.
    fn form(
        rendezvous: Arc<Rendezvous>,
        library: Arc<Library>,
        id: &[u8],
        (rank, world_size): (usize, usize),
        config: NcclConfig,
    ) -> Result<Self> {
        let version = library.version()?;
        let id = UniqueId(id.try_into().map_err(|_| Error::Invalid {
            field: "nccl unique id",
            value: format!("{} bytes", id.len()),
            remedy: "run the same version on every rank".into(),
        })?);
        let (place, failure) = ((rank, world_size), || rendezvous.failure());
        let communicator = Communicator::join(library.clone(), id, place, config.ordinal, config.deadline, &failure)?;
        let shared = Arc::new(Shared {
            rank,
            world_size,
            version,
            alarm: Alarm::new(communicator.context())?,
            communicator: Mutex::new(communicator),
            config,
            library,
            rendezvous,
            failure: Mutex::new(None),
            under_way: Mutex::default(),
            rehearsed: Mutex::default(),
            leaving: AtomicBool::new(false),
        });
        let watched = shared.clone();
        let watch = thread::Builder::new().name("nccl-watch".into()).spawn(move || watched.watch());
        let watch = watch.map_err(|e| Error::System { action: "starting a thread".into(), reason: e.to_string() })?;
        Ok(Self { shared, watch: Some(watch) })
    }

    /// The group of those that give the same color. Rank 0 of this group names all of them.
    pub(crate) fn part(&self, color: usize) -> Result<Self> {
        let shared = &*self.shared;
        let colors = self.all_gather_f64(&[color as f64])?;
        let mut distinct: Vec<f64> = colors.clone();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        let mut ids = Vec::new();
        if shared.rank == 0 {
            for _ in &distinct {
                ids.extend(shared.library.unique_id()?.0);
            }
        }
        ids.resize(distinct.len() * UniqueId::SIZE, 0);
        // Bytes, which floats hold exactly.
        let mut ids: Vec<f32> = ids.into_iter().map(f32::from).collect();
        self.broadcast(&mut ids, 0)?;
        let mine = distinct.iter().position(|other| *other == color as f64).unwrap_or_default();
        let id: Vec<u8> = ids[mine * UniqueId::SIZE..][..UniqueId::SIZE].iter().map(|byte| *byte as u8).collect();
        let members: Vec<usize> = (0..colors.len()).filter(|rank| colors[*rank] == color as f64).collect();
        let rank = members.iter().position(|rank| *rank == shared.rank).unwrap_or_default();
        let (rendezvous, library) = (shared.rendezvous.clone(), shared.library.clone());
        Self::form(rendezvous, library, &id, (rank, members.len()), shared.config.clone())
    }

    /// NCCL's version: major, minor, patch.
    #[must_use]
    pub fn version(&self) -> [u32; 3] {
        self.shared.version
    }
}

impl Shared {
    /// Queues a collective for a turn of a buffer's gate.
    pub(crate) fn take_turn(&self, call: Call, place: Place, buffer: &DeviceBuffer, turn: u64) -> Result<()> {
        let end = self.alive().and_then(|()| self.queue_turn(call, place, buffer.gate(), turn));
        // The owner may wait for this turn already.
        let end = end.map_err(|error| self.fail(error)).inspect_err(|_| self.alarm.ring(buffer.gate() + 16))?;
        let mut under_way = lock(&self.under_way);
        while under_way.front().is_some_and(|turn| turn.end.is_complete()) {
            under_way.pop_front();
        }
        under_way.push_back(Turn { buffer: buffer.clone(), end, since: Instant::now() });
        Ok(())
    }

    fn queue_turn(&self, call: Call, place: Place, gate: u64, turn: u64) -> Result<CudaEvent> {
        let communicator = lock(&self.communicator);
        communicator.enter()?;
        let (ranks, failure) = ((self.rank, self.world_size), &|| self.failed());
        let known = !lock(&self.rehearsed).insert((call, place.len, place.kind));
        let rehearsal =
            if known { Ok(()) } else { communicator.rehearse(call, place, ranks, self.config.deadline, failure) };
        rehearsal?;
        communicator.wait_for(gate, turn)?;
        communicator.queue(call, place, self.rank, self.world_size)?;
        communicator.settle("queueing a collective", self.config.deadline, failure)?;
        communicator.write(gate + 8, turn)?;
        communicator.stream().record_event(None).map_err(cuda("recording an event"))
    }

    /// Runs `work` with the communicator; an error ends the group.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&Communicator) -> Result<R>) -> Result<R> {
        self.alive()?;
        let communicator = lock(&self.communicator);
        communicator.enter()?;
        let result = work(&communicator);
        drop(communicator);
        result.map_err(|error| self.fail(error))
    }

    pub(crate) fn alive(&self) -> Result<()> {
        self.failed().map_or(Ok(()), Err)
    }

    /// Why the group has failed, or is about to.
    pub(crate) fn failed(&self) -> Option<Error> {
        lock(&self.failure).clone().or_else(|| self.rendezvous.failure())
    }

    /// Ends the group, unless it has ended; gives the reason that stands.
    pub(crate) fn fail(&self, error: Error) -> Error {
        let mut failure = lock(&self.failure);
        if let Some(first) = &*failure {
            return first.clone();
        }
        let reason = self.rendezvous.failure().unwrap_or(error);
        *failure = Some(reason.clone());
        drop(failure);
        self.rendezvous.fail(&reason.to_string());
        // First the gates, so that nobody takes what an aborted collective leaves behind for a result.
        lock(&self.under_way).drain(..).for_each(|turn| self.alarm.ring(turn.buffer.gate() + 16));
        let mut communicator = lock(&self.communicator);
        if communicator.enter().is_ok() {
            communicator.abort();
        }
        reason
    }

    fn watch(&self) {
        stand_aside();
        while !self.leaving.load(Ordering::Relaxed) {
            if lock(&self.failure).is_some() {
                return;
            }
            if let Some(error) = self.trouble() {
                self.fail(error);
                return;
            }
            thread::sleep(WATCH);
        }
    }

    fn trouble(&self) -> Option<Error> {
        if let Some(error) = self.rendezvous.failure() {
            return Some(error);
        }
        let overdue = lock(&self.under_way)
            .iter()
            .find(|turn| !turn.end.is_complete())
            .is_some_and(|turn| turn.since.elapsed() > self.config.deadline);
        if overdue {
            let operation = "a collective on the device";
            return Some(Error::TimedOut { operation, missing: Vec::new(), deadline: self.config.deadline });
        }
        // A thread that makes a call looks for errors itself.
        self.communicator.try_lock().ok().and_then(|communicator| communicator.trouble())
    }
}

impl Drop for NcclGroup {
    fn drop(&mut self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

impl fmt::Debug for NcclGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { rank, world_size, config, version, .. } = &*self.shared;
        f.debug_struct("NcclGroup")
            .field("rank", rank)
            .field("world_size", world_size)
            .field("ordinal", &config.ordinal)
            .field("version", version)
            .finish_non_exhaustive()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
