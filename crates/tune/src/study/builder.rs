use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tapeloom_core::{Clock, Fanout, Observer, StopFlag, SystemClock, hash_words};

use super::Study;
use super::core::Core;
use crate::samplers::Proposal;
use crate::{
    Direction, Domain, Draws, Error, Header, History, Memory, NoPruner, ParamValue, Params, Pruner, Result, Sampler,
    Space, Storage, Tpe,
};

/// Puts a [`Study`] together.
#[derive(Clone, Debug)]
#[must_use = "a study begins with `build`"]
pub struct StudyBuilder {
    pub(super) space: Option<Space>,
    pub(super) directions: Vec<Direction>,
    pub(super) seed: u64,
    pub(super) sampler: Arc<dyn Sampler>,
    pub(super) pruner: Arc<dyn Pruner>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) stop: StopFlag,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) filter: Option<Filter>,
    pub(super) timeout: Option<Duration>,
    pub(super) trial_timeout: Option<Duration>,
    pub(super) hard_timeout: Option<Duration>,
    pub(super) plateau: Option<(u64, f64)>,
    pub(super) batch: Option<u64>,
    pub(super) audit: f64,
    pub(super) retries: u32,
    pub(super) max_attempts: u32,
}

impl StudyBuilder {
    pub(super) fn new(space: Option<Space>) -> Self {
        Self {
            space,
            directions: vec![Direction::default()],
            seed: 0,
            sampler: Arc::new(Tpe::default()),
            pruner: Arc::new(NoPruner),
            storage: Arc::new(Memory::default()),
            observer: Arc::new(Fanout::default()),
            stop: StopFlag::default(),
            clock: Arc::new(SystemClock),
            filter: None,
            timeout: None,
            trial_timeout: None,
            hard_timeout: None,
            plateau: None,
            batch: None,
            audit: 0.0,
            retries: 0,
            max_attempts: 3,
        }
    }

    /// Which values of the one objective are better.
    pub fn direction(self, direction: Direction) -> Self {
        self.directions([direction])
    }

    /// Which values of each objective are better.
    pub fn directions(mut self, directions: impl Into<Vec<Direction>>) -> Self {
        self.directions = directions.into();
        self
    }

    /// Decides all draws.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Proposes the parameters.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.sampler = Arc::new(sampler);
        self
    }

    /// Ends trials early.
    pub fn pruner(mut self, pruner: impl Pruner + 'static) -> Self {
        self.pruner = Arc::new(pruner);
        self
    }

    /// Keeps the study. A study that is there already goes on, if space, directions and seed are the same.
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Arc::new(storage);
        self
    }

    /// Is told of every finished trial.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Ends [`Study::optimize`] at the next trial, and asks running trials to return.
    pub fn stop(mut self, stop: StopFlag) -> Self {
        self.stop = stop;
        self
    }

    /// Tells the time of trials and timeouts.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses parameters before they are tried, such as those of a model that does not fit into memory. A proposal that is
    /// refused is drawn anew, at random, a hundred times at most; then the last one is tried. Only for declared spaces.
    pub fn filter(mut self, allows: impl Fn(&Params) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Filter(Arc::new(allows)));
        self
    }

    /// How long one [`Study::optimize`] may start trials. It does not interrupt a trial that runs.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// After which time a trial is advised to end; it then counts as pruned.
    pub const fn trial_timeout(mut self, timeout: Duration) -> Self {
        self.trial_timeout = Some(timeout);
        self
    }

    /// After which time [`Study::optimize`] takes a trial for failed, whether or not it listens. A thread can't be ended, so its
    /// worker is lost until the objective returns; what it then says is refused.
    pub const fn hard_timeout(mut self, timeout: Duration) -> Self {
        self.hard_timeout = Some(timeout);
        self
    }

    /// Ends [`Study::optimize`] when this many trials have finished since the best value last got better by more than
    /// `min_delta`.
    pub const fn plateau(mut self, trials: u64, min_delta: f64) -> Self {
        self.plateau = Some((trials, min_delta));
        self
    }

    /// Makes the study the same for any number of workers: trials are drawn in batches of this size, the next batch when all of
    /// the last are told, and the pruner knows what was known before the batch.
    pub const fn ordered(mut self, batch: u64) -> Self {
        self.batch = Some(batch);
        self
    }

    /// Lets this share of trials that the pruner would end run on, to learn how often it is wrong; see
    /// [`pruning_audit`](crate::pruning_audit).
    pub const fn audit(mut self, share: f64) -> Self {
        self.audit = share;
        self
    }

    /// How often a trial whose objective failed is tried again. None by default.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How often a trial is given out when its workers are lost, before it is taken for the reason. Three by default.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Opens the study.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting that can't be, for what differs from the study in the storage, and for whatever the
    /// sampler has against the space; those of the storage.
    pub fn build(self) -> Result<Study> {
        self.check()?;
        Ok(Study { core: Arc::new(Core::open(self)?) })
    }

    pub(super) fn header(&self) -> Header {
        Header::new(self.directions.clone(), self.seed, self.space.clone())
    }

    pub(super) fn is_audited(&self, trial: u64) -> bool {
        self.audit > 0.0 && Draws::new(self.seed, trial, "tune.audit").unit() < self.audit
    }

    fn check(&self) -> Result<()> {
        if self.directions.is_empty() {
            return Err(Error::invalid("directions", "none", "give one for each objective"));
        }
        if self.batch == Some(0) {
            return Err(Error::invalid("ordered", 0, "give a batch of at least one trial"));
        }
        if !(0.0..=1.0).contains(&self.audit) {
            return Err(Error::invalid("audit", self.audit, "give a share from 0 to 1"));
        }
        if self.max_attempts == 0 {
            return Err(Error::invalid("max_attempts", 0, "give each trial at least one attempt"));
        }
        if self.filter.is_some() && self.space.is_none() {
            return Err(Error::invalid("filter", "given", "declare the space, or refuse in the objective"));
        }
        self.sampler.check(self.space.as_ref(), self.directions.len())?;
        self.pruner.check(self.directions.len())
    }

    pub(super) fn agrees(&self, name: &str, stored: &Header) -> Result<()> {
        let same = |field: &str, ours: &dyn fmt::Debug, theirs: &dyn fmt::Debug| {
            let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
            let remedy = || format!("{name} was made with {theirs}; open it with the same, or start a new study");
            if ours == theirs { Ok(()) } else { Err(Error::invalid(field, &ours, remedy())) }
        };
        same("seed", &self.seed, &stored.seed)?;
        same("directions", &self.directions, &stored.directions)?;
        if self.space != stored.space {
            let remedy = format!("{name} was made over another space; open it with the same, or start a new study");
            let ours = self.space.as_ref().map_or(0, |space| space.parameters().len());
            return Err(Error::invalid("space", format!("{ours} parameters"), remedy));
        }
        Ok(())
    }
}

/// The host's word on what may be tried.
#[derive(Clone)]
pub(super) struct Filter(Arc<dyn Fn(&Params) -> bool + Send + Sync>);

impl Filter {
    pub(super) fn redraw(
        &self,
        space: &Space,
        history: &History,
        trial: u64,
        mut proposal: Proposal,
        redraws: u64,
    ) -> Result<Proposal> {
        for round in 1..=redraws {
            if (self.0)(&proposal.params) {
                break;
            }
            let seed = hash_words(&[history.header().seed, round]);
            let pick =
                |name: &str, domain: &Domain| -> ParamValue { domain.sample(&mut Draws::new(seed, trial, name)) };
            proposal.params = space.fill(|parameter| Ok(pick(parameter.name(), parameter.domain())))?;
            proposal.by = "random, as the filter refused what was proposed".into();
        }
        Ok(proposal)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}
