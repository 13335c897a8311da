mod lr_finder;
mod monitor;
mod sets;
mod validation;

use std::collections::BTreeMap;

use tapeloom_core::{Event, Observer, Outcome, Record, Timestamp, WindowSource};
use tapeloom_model::{ForecasterSpec, Network};

use crate::batches::EpochOrder;
use crate::batches::target_scale;
use crate::checkpoint::{EpochSummary, Progress};
use crate::step::Step;
use crate::trainer::Trainer;
use crate::{Error, Result};

pub(crate) use monitor::Monitor;
pub use validation::validate;

/// What [`Trainer::fit`] leaves.
#[derive(Debug)]
pub struct Fitted<N> {
    /// The network after the last step. The best one is in the checkpoint set [`Fitted::best`].
    pub network: N,
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
}

impl Trainer {
    /// Trains `network` until the epochs are done, the monitored metric stops improving, or the stop flag goes up.
    ///
    /// # Errors
    /// See [`Error`]. Whatever happens, checkpoint sets written before are whole; the error is also in the ledger.
    pub fn fit<N: Network>(&self, network: N, train: &dyn WindowSource, valid: &dyn WindowSource) -> Result<Fitted<N>> {
        let started = self.clock.now();
        let mut epochs = 0;
        let result = self.prepare(network, train, valid).and_then(|mut fit| {
            let result = fit.run(started);
            epochs = fit.progress.epoch;
            result
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

    fn prepare<'a, N: Network>(
        &'a self,
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
        let learning_rate = self.config.optimizer.learning_rate;
        let progress =
            Progress { epoch: 0, global_step: 0, learning_rate, monitor: Monitor::default(), history: vec![] };
        let step = Step::new(network, spec, &self.config, &self.device, self.collective.clone());
        let global_batch =
            self.config.batch_size * self.config.optimizer.accumulate_grad_batches * self.collective.world_size();
        let mut fit = Fit { trainer: self, train, valid, step, progress, global_batch };
        fit.resume()?;
        Ok(fit)
    }

    pub(crate) fn emit(&self, event: Event) {
        self.observers.observe(self.clock.now(), &event);
    }

    fn record(&self, action: &str, outcome: &str) -> Record {
        Record::new(&self.actor, action, self.run.as_str()).outcome(outcome)
    }

    fn finish(&self, outcome: Outcome, epochs: u64, started: Timestamp) {
        let seconds = self.clock.now().seconds_since(started);
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
    step: Step<N>,
    progress: Progress,
    global_batch: usize,
}

impl<N: Network> Fit<'_, N> {
    fn run(&mut self, started: Timestamp) -> Result<Fitted<N>> {
        let trainer = self.trainer;
        if trainer.config.auto_lr_find && self.progress.epoch == 0 {
            self.find_learning_rate()?;
        }
        self.announce()?;
        let mut outcome = Outcome::Finished;
        while self.progress.epoch < trainer.config.max_epochs {
            if self.is_over() {
                outcome = Outcome::EarlyStopped;
                break;
            }
            if !self.epoch()? {
                outcome = Outcome::Stopped;
                break;
            }
        }
        let best = trainer.checkpointer.best(&self.progress.history, trainer.config.mode)?;
        let record = trainer.record("run.finished", "success").detail("epochs", self.progress.epoch);
        trainer.ledger.append(&record.detail("how", format!("{outcome:?}"))).map_err(Error::Evidence)?;
        trainer.finish(outcome, self.progress.epoch, started);
        Ok(Fitted {
            spec: self.step.spec().clone(),
            network: self.step.network().clone(),
            best,
            outcome,
            history: self.progress.history.clone(),
            learning_rate: self.progress.learning_rate,
        })
    }

    fn is_over(&self) -> bool {
        let config = &self.trainer.config;
        self.progress.epoch >= config.min_epochs && self.progress.monitor.is_exhausted(&config.early_stopping)
    }

    fn find_learning_rate(&mut self) -> Result<()> {
        let config = &self.trainer.config;
        let trial = Step::new(
            self.step.network().clone(),
            self.step.spec().clone(),
            config,
            &self.trainer.device,
            self.trainer.collective.clone(),
        );
        let configured = config.optimizer.learning_rate;
        self.progress.learning_rate = lr_finder::find(trial, self.train, config.seed, self.global_batch, configured)?;
        Ok(())
    }

    fn announce(&self) -> Result<()> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let record = trainer
            .record(if self.progress.epoch == 0 { "run.started" } else { "run.resumed" }, "success")
            .detail("config", config.fingerprint())
            .detail("data", self.train.fingerprint())
            .detail("epoch", self.progress.epoch)
            .detail("seed", config.seed);
        trainer.ledger.append(&record).map_err(Error::Evidence)?;
        trainer.emit(Event::RunStarted {
            run: trainer.run.clone(),
            config: config.fingerprint(),
            model: config.model.name().into(),
            parameters: self.step.network().num_params() as u64,
            samples: self.train.len() as u64,
            epochs: config.max_epochs,
            steps_per_epoch: self.order(1).steps(),
            resumed_epoch: self.progress.epoch,
        });
        Ok(())
    }

    fn order(&self, epoch: u64) -> EpochOrder {
        EpochOrder::new(self.trainer.config.seed, epoch, self.train.len(), self.global_batch)
    }

    /// Trains one epoch; false when the stop flag ended it early, in which case nothing of it is kept.
    fn epoch(&mut self) -> Result<bool> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let started = trainer.clock.now();
        let epoch = self.progress.epoch + 1;
        let order = self.order(epoch);
        let total = order.steps() * config.max_epochs;
        let validate_every = ((order.steps() as f64 * config.val_check_interval).ceil() as u64).max(1);
        trainer.emit(Event::EpochStarted { epoch });
        let (mut loss, mut rate) = (0.0, 0.0);
        for step in 0..order.steps() {
            if self.is_stopped()? {
                return Ok(false);
            }
            let step_started = trainer.clock.now();
            rate = config.schedule.rate(self.progress.learning_rate, self.progress.global_step, total);
            let report = self.step.run(self.train, &order.batch(step), rate, self.progress.global_step)?;
            self.progress.global_step += 1;
            loss += report.loss * report.samples as f64;
            let done = step + 1;
            if self.progress.global_step.is_multiple_of(config.log_every_n_steps) || done == order.steps() {
                trainer.emit(Event::StepFinished {
                    epoch,
                    step: done,
                    global_step: self.progress.global_step,
                    loss: report.loss,
                    learning_rate: rate,
                    grad_norm: report.grad_norm,
                    samples: report.samples as u64,
                    seconds: trainer.clock.now().seconds_since(step_started),
                });
            }
            if done.is_multiple_of(validate_every) && done != order.steps() {
                self.validate(epoch)?;
            }
        }
        let metrics = self.validate(epoch)?;
        self.close_epoch(epoch, loss / self.train.len() as f64, rate, &metrics, started)?;
        Ok(true)
    }

    /// All ranks stop at the same step, or none does.
    fn is_stopped(&self) -> Result<bool> {
        let stopped = self.trainer.stop.is_stopped();
        if self.trainer.collective.world_size() == 1 {
            return Ok(stopped);
        }
        let mut any = [f32::from(u8::from(stopped))];
        self.trainer.collective.all_reduce(&mut any, tapeloom_dist::ReduceOp::Max)?;
        Ok(any[0] > 0.0)
    }

    fn validate(&self, epoch: u64) -> Result<BTreeMap<String, f64>> {
        let started = self.trainer.clock.now();
        let metrics = validate(self.step.network(), self.valid, self.step.spec(), self.step.device())?;
        self.trainer.emit(Event::ValidationFinished {
            epoch,
            global_step: self.progress.global_step,
            metrics: metrics.clone(),
            seconds: self.trainer.clock.now().seconds_since(started),
        });
        Ok(metrics)
    }

    fn close_epoch(
        &mut self,
        epoch: u64,
        train_loss: f64,
        learning_rate: f64,
        metrics: &BTreeMap<String, f64>,
        started: Timestamp,
    ) -> Result<()> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let valid_loss = metrics["val_loss"];
        let monitored = match (config.monitor.as_str(), metrics.get(&config.monitor)) {
            ("train_loss", _) => train_loss,
            (_, Some(value)) => *value,
            (name, None) => {
                let known: Vec<&str> = metrics.keys().map(String::as_str).chain(["train_loss"]).collect();
                return Err(Error::invalid("monitor", name, format!("this run has {}", known.join(", "))));
            }
        };
        if !monitored.is_finite() {
            return Err(Error::Diverged {
                what: "monitored metric",
                value: monitored,
                step: self.progress.global_step,
            });
        }
        let improved = self.progress.monitor.observe(monitored, config.mode, &config.early_stopping);
        self.progress.epoch = epoch;
        self.progress.history.push(EpochSummary { epoch, train_loss, valid_loss, monitored, learning_rate });
        self.save_if_due()?;
        trainer.emit(Event::EpochFinished {
            epoch,
            train_loss,
            valid_loss: Some(valid_loss),
            learning_rate,
            samples: self.train.len() as u64,
            seconds: trainer.clock.now().seconds_since(started),
            improved,
        });
        Ok(())
    }
}
