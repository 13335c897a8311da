use std::sync::Arc;

use burn::tensor::Device;
use tapeloom_core::{
    BlobStore, Clock, Fanout, Ledger, MemoryStore, Observer, RunId, StopFlag, SystemClock, Unrecorded,
};
use tapeloom_dist::{Collective, Solo};

use crate::checkpoint::Checkpointer;
use crate::config::{Precision, TrainConfig};
use crate::{Error, Result};

/// Trains one network on one source of windows. Build it once, then call [`Trainer::fit`].
#[derive(Debug)]
pub struct Trainer {
    pub(crate) config: TrainConfig,
    pub(crate) device: Device,
    pub(crate) run: RunId,
    pub(crate) resume: bool,
    pub(crate) actor: String,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) observers: Fanout,
    pub(crate) stop: StopFlag,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) collective: Arc<dyn Collective>,
    pub(crate) sample_weights: Option<Arc<[f32]>>,
}

impl Trainer {
    /// Starts a trainer for `config` on `device`.
    #[must_use]
    pub fn builder(config: TrainConfig, device: Device) -> TrainerBuilder {
        TrainerBuilder {
            config,
            device,
            run: None,
            resume: false,
            actor: "tapeloom".into(),
            store: None,
            ledger: None,
            observers: Fanout::default(),
            stop: StopFlag::default(),
            clock: Arc::new(SystemClock),
            collective: Arc::new(Solo::new()),
            sample_weights: None,
        }
    }

    /// The config of the run.
    #[must_use]
    pub const fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The checkpoint sets of the run.
    #[must_use]
    pub const fn checkpointer(&self) -> &Checkpointer {
        &self.checkpointer
    }

    /// The name of the run.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run
    }
}

/// Collects the collaborators of a [`Trainer`]; [`TrainerBuilder::build`] does all checking.
#[derive(Debug)]
pub struct TrainerBuilder {
    config: TrainConfig,
    device: Device,
    run: Option<RunId>,
    resume: bool,
    actor: String,
    store: Option<Arc<dyn BlobStore>>,
    ledger: Option<Arc<dyn Ledger>>,
    observers: Fanout,
    stop: StopFlag,
    clock: Arc<dyn Clock>,
    collective: Arc<dyn Collective>,
    sample_weights: Option<Arc<[f32]>>,
}

impl TrainerBuilder {
    /// Where checkpoint sets go. Needed unless the config writes none.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn BlobStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Where evidence goes. Needed unless `audit_trail` is off.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Adds an observer; may be called again.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.add(observer);
        self
    }

    /// Ends the run after the current step when the flag goes up.
    #[must_use]
    pub fn stop(mut self, stop: StopFlag) -> Self {
        self.stop = stop;
        self
    }

    /// The clock that stamps events; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The other ranks of the run; none by default. Every rank calls `fit` with the same arguments.
    #[must_use]
    pub fn collective(mut self, collective: Arc<dyn Collective>) -> Self {
        self.collective = collective;
        self
    }

    /// How much each training sample counts in the loss, by its number; all alike by default. The mean is over weights.
    #[must_use]
    pub fn sample_weights(mut self, weights: impl Into<Arc<[f32]>>) -> Self {
        self.sample_weights = Some(weights.into());
        self
    }

    /// The name of the run; a fresh one by default.
    #[must_use]
    pub fn run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Who runs this, for the audit log; `tapeloom` by default.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Goes on from the newest sound checkpoint set in the store, or starts afresh where there is none.
    #[must_use]
    pub const fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Checks everything and makes the trainer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a config that does not validate, a store or ledger that the config needs and nobody gave, or a
    /// store in clear where the config wants encryption.
    pub fn build(mut self) -> Result<Trainer> {
        self.config.validate()?;
        if self.config.debug.fast_dev_run > 0 {
            self.config = self.config.shortened();
        }
        let precision = self.config.cluster.precision;
        let on_cuda_only = matches!(precision, Precision::Bf16Mixed | Precision::Tf32);
        if on_cuda_only && !tapeloom_model::supports_bf16(&self.device) {
            let value = format!("{} on {:?}", precision.name(), self.device);
            return Err(Error::invalid("cluster.precision", value, "this device has no kernels for it; give f32"));
        }
        let checkpoint = &self.config.checkpoint;
        let store = match self.store {
            Some(store) if checkpoint.encrypt && !store.is_sealed() => {
                let remedy = "the given store writes in clear; wrap it in an encrypting store, or set this to false";
                return Err(Error::invalid("checkpoint.encrypt", true, remedy));
            }
            Some(store) => store,
            None if checkpoint.is_off() => Arc::new(MemoryStore::default()),
            None => {
                let remedy = "pass a store to the builder, or set every_n_epochs, every_n_steps, every_n_minutes and save_top_k to 0 to keep no checkpoints";
                return Err(Error::invalid("store", "none", remedy));
            }
        };
        let ledger = match self.ledger {
            Some(ledger) => ledger,
            None if !self.config.audit_trail => Arc::new(Unrecorded::default()),
            None => {
                let remedy = "the audit trail needs a ledger; pass one to the builder, or set this to false";
                return Err(Error::invalid("audit_trail", true, remedy));
            }
        };
        let run = match self.run {
            Some(run) => run,
            None => RunId::generate(&*self.clock)?,
        };
        Ok(Trainer {
            config: self.config,
            device: self.device,
            run,
            resume: self.resume,
            actor: self.actor,
            checkpointer: Checkpointer::new(store),
            ledger,
            observers: self.observers,
            stop: self.stop,
            clock: self.clock,
            collective: self.collective,
            sample_weights: self.sample_weights,
        })
    }
}
