//! A run: epochs of steps, validation, checkpoint sets, and what happens when something breaks.

mod agreement;
mod epoch;
mod limits;
mod lr_finder;
mod memory;
mod monitor;
mod profile;
mod recovery;
mod sets;
mod validation;

use std::sync::Arc;
use std::thread::Scope;

use tapeloom_core::{Event, Fingerprint, Fingerprinter, Observer, Outcome, Record, Timestamp, WindowSource};
use tapeloom_model::{ForecasterSpec, Network};

use crate::batches::{Loader, sample_weights, target_scale};
use crate::checkpoint::{EpochSummary, Progress, Writer};
use crate::step::Step;
use crate::trainer::Trainer;
use crate::{Error, Result};
use epoch::Flow;
use limits::Stopwatch;
use recovery::Anchor;

pub use lr_finder::RateTest;
pub use memory::MemoryPlan;
pub(crate) use monitor::Monitor;
pub use profile::{PhaseTime, Profile};
pub use validation::validate;

/// What [`Trainer::fit`] leaves.
#[derive(Debug)]
pub struct Fitted<N> {
    /// The network after the last step. The best one is in the checkpoint set [`Fitted::best`].
    pub network: N,
    /// The average of its weights, where `averaging` keeps one; the network itself otherwise.
    pub averaged: N,
    /// What the network is for, units of the targets included.
    pub spec: ForecasterSpec,
    /// The set with the best monitored metric; absent when none was kept.
    pub best: Option<String>,
    /// How the run ended.
    pub outcome: Outcome,
    /// Every epoch, earlier parts of a resumed run included.
    pub history: Vec<EpochSummary>,
    /// Peak learning rate, as configured or as found.
    pub learning_rate: f64,
    /// What the learning-rate finder saw, where it ran in this part of the run.
    pub rate_test: Option<RateTest>,
    /// Where the run stood at its end.
    pub progress: Progress,
    /// What the run was planned to hold in memory.
    pub memory: MemoryPlan,
    /// Time by phase, where `debug.profiler` is on.
    pub profile: Arc<Profile>,
}

impl Trainer {
    /// Trains `network` until the epochs are done, the monitored metric stops improving, a limit is reached, or the stop flag
    /// goes up. In the last two cases a checkpoint set is written where the run stands, if it writes any.
    ///
    /// # Errors
    /// See [`Error`]. Whatever happens, checkpoint sets written before are whole; the error is also in the ledger.
    pub fn fit<N: Network>(&self, network: N, train: &dyn WindowSource, valid: &dyn WindowSource) -> Result<Fitted<N>> {
        let _span = tracing::info_span!("run", run = %self.run).entered();
        let started = self.clock.now();
        let mut epochs = 0;
        let result = self.claimed().and_then(|_claim| {
            // Threads of the loader and of the writer end with the run.
            std::thread::scope(|scope| {
                let mut fit = self.prepare(scope, network, train, valid)?;
                let result = fit.run(started);
                epochs = fit.progress.epoch;
                result
            })
        });
        if let Err(error) = &result {
            // Peers must not wait for a rank that is gone.
            self.collective.abort(&error.to_string());
            let record = self.record("run.failed", "failure").detail("error", error);
            self.ledger.append(&record).map_err(Error::Evidence)?;
            self.finish(Outcome::Failed, epochs, started);
        }
        result
    }

    /// Keeps other writers out of the store. One rank writes for all.
    fn claimed(&self) -> Result<Option<tapeloom_core::Claim>> {
        if self.is_lead() { Ok(Some(self.checkpointer.store().claim()?)) } else { Ok(None) }
    }

    fn prepare<'scope, 'a, N: Network + 'a>(
        &'a self,
        scope: &'scope Scope<'scope, 'a>,
        network: N,
        train: &'a dyn WindowSource,
        valid: &'a dyn WindowSource,
    ) -> Result<Fit<'a, N>> {
        for (name, source) in [("train", train), ("valid", valid)] {
            if source.is_empty() {
                return Err(Error::invalid(name, "0 samples", "widen the split or shorten the window"));
            }
        }
        if train.spec() != valid.spec() {
            return Err(Error::invalid("valid", "another window spec", "take both from one fold, scaled alike"));
        }
        let mut spec = self.config.spec(train.spec());
        spec.target_scale = target_scale(train, &spec.objective)?;
        spec.validate()?;
        let weights = sample_weights(train, self.sample_weights.as_ref(), &self.config.class_weights)?;
        let memory = MemoryPlan::of(&self.config, train.spec(), network.num_params() as u64);
        memory.check(&self.config.budget)?;
        let profile = if self.config.debug.profiler { Profile::new(self.clock.clone()) } else { Profile::default() };
        let profile = Arc::new(profile);
        let step = Step::new(network, spec, &self.config, &self.device, self.collective.clone())
            .sample_weights(weights)
            .profiled(profile.clone());
        let progress = Progress::start(self.config.optimizer.learning_rate);
        let mut fit = Fit {
            trainer: self,
            train,
            valid,
            data: self.data(train),
            step,
            progress,
            global_batch: self.config.global_batch(),
            loader: Loader::start(scope, train, &self.config.loader),
            writer: Writer::start(scope, &self.checkpointer),
            anchor: None,
            rate_test: None,
            memory,
            watch: memory::Watch::new(&self.config.budget)?,
            stopwatch: Stopwatch::start(&*self.clock),
            profile,
        };
        fit.resume()?;
        fit.agree()?;
        Ok(fit)
    }

    /// Identifies what is learned from: samples, and how much each counts.
    fn data(&self, train: &dyn WindowSource) -> Fingerprint {
        let samples = train.fingerprint();
        let Some(weights) = &self.sample_weights else { return samples };
        let mut both = Fingerprinter::default();
        both.add(samples.as_bytes());
        weights.iter().for_each(|weight| {
            both.add(&weight.to_le_bytes());
        });
        both.finish()
    }

    pub(crate) fn emit(&self, event: Event) {
        self.observers.observe(self.clock.now(), &event);
    }

    fn record(&self, action: &str, outcome: &str) -> Record {
        Record::new(&self.actor, action, self.run.as_str()).outcome(outcome)
    }

    fn finish(&self, outcome: Outcome, epochs: u64, started: Timestamp) {
        let seconds = self.clock.now().seconds_since(started).max(0.0);
        self.emit(Event::RunFinished { outcome, epochs, seconds });
        self.observers.flush();
    }

    /// One rank speaks for all.
    fn is_lead(&self) -> bool {
        self.collective.rank() == 0
    }
}

/// One call of [`Trainer::fit`].
struct Fit<'a, N> {
    trainer: &'a Trainer,
    train: &'a dyn WindowSource,
    valid: &'a dyn WindowSource,
    /// Of the training samples.
    data: Fingerprint,
    step: Step<N>,
    progress: Progress,
    global_batch: usize,
    loader: Loader<'a>,
    writer: Writer<'a>,
    anchor: Option<Anchor<N>>,
    rate_test: Option<RateTest>,
    memory: MemoryPlan,
    watch: memory::Watch,
    stopwatch: Stopwatch,
    profile: Arc<Profile>,
}

impl<'a, N: Network + 'a> Fit<'a, N> {
    fn run(&mut self, started: Timestamp) -> Result<Fitted<N>> {
        let trainer = self.trainer;
        self.check_validation()?;
        if trainer.config.auto_lr_find && self.progress.global_step == 0 && self.progress.recovery.rollbacks == 0 {
            self.find_learning_rate()?;
        }
        if trainer.config.recovery.max_rollbacks > 0 && self.anchor.is_none() {
            self.anchor = Some(self.here());
        }
        self.announce()?;
        let outcome = self.epochs()?;
        self.settle()?;
        if trainer.collective.world_size() > 1 {
            // No rank reports success while the one that writes may yet fail.
            trainer.collective.barrier()?;
        }
        let best = trainer.checkpointer.best(&self.progress.history, trainer.config.mode)?;
        let record = trainer.record("run.finished", "success").detail("epochs", self.progress.epoch);
        trainer.ledger.append(&record.detail("how", format!("{outcome:?}"))).map_err(Error::Evidence)?;
        trainer.finish(outcome, self.progress.epoch, started);
        Ok(Fitted {
            spec: self.step.spec().clone(),
            network: self.step.network().clone(),
            averaged: self.step.averaged().clone(),
            best,
            outcome,
            history: self.progress.history.clone(),
            learning_rate: self.progress.learning_rate,
            rate_test: self.rate_test.take(),
            progress: self.progress.clone(),
            memory: self.memory,
            profile: self.profile.clone(),
        })
    }

    fn epochs(&mut self) -> Result<Outcome> {
        let config = &self.trainer.config;
        while self.progress.epoch < config.max_epochs {
            let over = self.progress.monitor.is_exhausted(&config.early_stopping);
            if over && self.progress.epoch >= config.min_epochs {
                return Ok(Outcome::EarlyStopped);
            }
            if let Flow::Over(outcome) = self.epoch()? {
                self.save_at_stop()?;
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Runs a little validation before the first step, so that a fault there, or a metric that does not exist, shows at once.
    fn check_validation(&self) -> Result<()> {
        let limit = validation::batches(self.trainer.config.debug.num_sanity_val_steps);
        if limit == 0 {
            return Ok(());
        }
        let (network, spec, device) = (self.step.averaged(), self.step.spec(), self.step.device());
        let metrics = validation::validate_first(network, self.valid, spec, device, limit)?;
        self.monitored(0.0, &metrics).map(drop)
    }

    fn find_learning_rate(&mut self) -> Result<()> {
        let config = &self.trainer.config;
        let (network, spec) = (self.step.network().clone(), self.step.spec().clone());
        let trial = Step::new(network, spec, config, &self.trainer.device, self.trainer.collective.clone());
        let trial = trial.sample_weights(self.step.weights());
        let configured = config.optimizer.learning_rate;
        let test = lr_finder::find(trial, self.train, config.seed, self.global_batch, configured)?;
        tracing::info!(rate = test.rate, found = test.found, "learning-rate range test");
        self.progress.learning_rate = test.rate;
        self.rate_test = Some(test);
        Ok(())
    }

    fn announce(&self) -> Result<()> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let fresh = self.progress.epoch == 0 && self.progress.step == 0;
        let record = trainer
            .record(if fresh { "run.started" } else { "run.resumed" }, "success")
            .detail("config", config.fingerprint())
            .detail("data", self.data)
            .detail("epoch", self.progress.epoch)
            .detail("step", self.progress.step)
            .detail("seed", config.seed);
        trainer.ledger.append(&record).map_err(Error::Evidence)?;
        trainer.emit(Event::RunStarted {
            run: trainer.run.clone(),
            config: config.fingerprint(),
            model: config.model.name().into(),
            parameters: self.step.network().num_params() as u64,
            samples: self.train.len() as u64,
            epochs: config.max_epochs,
            steps_per_epoch: self.steps_of_epoch(&self.order(1)),
            resumed_epoch: self.progress.epoch,
        });
        Ok(())
    }
}
