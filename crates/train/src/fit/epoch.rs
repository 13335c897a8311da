//! The steps of an epoch, and what follows the last of them.

use std::collections::BTreeMap;

use tapeloom_core::{Event, Outcome};
use tapeloom_model::Network;

use super::{Fit, validation};
use crate::batches::EpochOrder;
use crate::checkpoint::EpochSummary;
use crate::config::AverageKind;
use crate::{Error, Result, StepReport};

/// What comes next.
pub(super) enum Flow {
    /// The run goes on, not always with the next step: it may have gone back.
    On,
    /// The run ends here.
    Over(Outcome),
}

impl<'a, N: Network + 'a> Fit<'a, N> {
    pub(super) fn order(&self, epoch: u64) -> EpochOrder {
        let config = &self.trainer.config;
        let epoch = if config.debug.overfit_batches > 0 { 1 } else { epoch };
        EpochOrder::new(config.seed, epoch, self.train.len(), self.global_batch)
    }

    pub(super) fn steps_of_epoch(&self, order: &EpochOrder) -> u64 {
        let debug = &self.trainer.config.debug;
        let limit = |count: u64| if count == 0 { u64::MAX } else { count };
        order.steps().min(limit(debug.overfit_batches)).min(limit(debug.fast_dev_run))
    }

    /// Trains what is left of the epoch under way.
    pub(super) fn epoch(&mut self) -> Result<Flow> {
        let (trainer, epoch) = (self.trainer, self.progress.epoch + 1);
        let _span = tracing::debug_span!("epoch", epoch).entered();
        let started = trainer.clock.now();
        let order = self.order(epoch);
        let steps = self.steps_of_epoch(&order);
        trainer.emit(Event::EpochStarted { epoch });
        self.plan(order, steps);
        while self.progress.step < steps {
            if let Some(outcome) = self.ending()? {
                return Ok(Flow::Over(outcome));
            }
            let _span = tracing::trace_span!("step", global_step = self.progress.global_step).entered();
            let ids = order.batch(self.progress.step);
            if self.progress.recovery.skipped.contains(&self.progress.global_step) {
                self.progress.step += 1;
                self.progress.global_step += 1;
                continue;
            }
            match self.train_step(&ids, steps) {
                Err(broken @ Error::Diverged { .. }) => {
                    self.roll_back(broken, &ids)?;
                    return Ok(Flow::On);
                }
                halved => {
                    if halved? {
                        self.plan(order, steps);
                    }
                }
            }
        }
        let metrics = self.validate(epoch)?;
        self.close_epoch(epoch, &metrics)?;
        let seconds = trainer.clock.now().seconds_since(started).max(0.0);
        self.finish_epoch(seconds)?;
        Ok(Flow::On)
    }

    /// Tells the loader what is to come.
    fn plan(&mut self, order: EpochOrder, steps: u64) {
        let (cut, first) = (self.step.cut(), self.progress.global_step - self.progress.step);
        let skipped = self.progress.recovery.skipped.clone();
        let taken = (self.progress.step..steps).filter(move |step| !skipped.contains(&(first + step)));
        self.loader.plan(taken.flat_map(move |step| {
            let ids = order.batch(step);
            let slices: Vec<Vec<usize>> = cut.slices(ids.len()).map(|slice| ids[slice.samples].to_vec()).collect();
            slices
        }));
    }

    /// One step and all that hangs on it; says whether passes have become smaller.
    fn train_step(&mut self, ids: &[usize], steps: u64) -> Result<bool> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let epoch = self.progress.epoch + 1;
        let total = (steps * config.max_epochs).min(config.max_steps.unwrap_or(u64::MAX));
        let rate = config.schedule.rate(self.progress.learning_rate, self.progress.global_step, total)
            * self.progress.plateau.factor(&config.schedule)
            * self.progress.recovery.rate_factor;
        let (pass_size, step_started) = (self.step.pass_size(), trainer.clock.now());
        let report = self.step.run_from(&mut self.loader, ids, rate, self.progress.global_step)?;
        let halved = self.step.pass_size() < pass_size;
        if halved {
            self.halved(pass_size)?;
        }
        if config.averaging.kind == AverageKind::Ema && epoch >= config.averaging.start_epoch && !report.held_back {
            self.step.average(Some(config.averaging.decay));
        }
        self.count(&report, rate);
        let seconds = trainer.clock.now().seconds_since(step_started).max(0.0);
        let last = self.progress.step == steps;
        if self.progress.global_step.is_multiple_of(config.log_every_n_steps) || last {
            trainer.emit(Event::StepFinished {
                epoch,
                step: self.progress.step,
                global_step: self.progress.global_step,
                loss: report.loss,
                learning_rate: rate,
                grad_norm: report.grad_norm,
                samples: report.samples as u64,
                seconds,
            });
        }
        if report.held_back {
            let message = format!("the gradient left the range of f16 at global step {}", self.progress.global_step);
            trainer.emit(Event::Warning { code: "loss_scale_halved".into(), message });
        }
        if !last && self.progress.step.is_multiple_of(self.validate_every(steps)) {
            self.validate(epoch)?;
        }
        self.news()?;
        self.spend()?;
        self.save_after_step()?;
        Ok(halved)
    }

    fn count(&mut self, report: &StepReport, rate: f64) {
        let progress = &mut self.progress;
        progress.step += 1;
        progress.global_step += 1;
        progress.tally.loss += report.loss * report.samples as f64;
        progress.tally.samples += report.samples as u64;
        progress.tally.learning_rate = rate;
    }

    /// Steps from one validation inside an epoch to the next.
    fn validate_every(&self, steps: u64) -> u64 {
        let interval = self.trainer.config.val_check_interval;
        let every = if interval <= 1.0 { (steps as f64 * interval).ceil() } else { interval };
        (every as u64).max(1)
    }

    fn validate(&self, epoch: u64) -> Result<BTreeMap<String, f64>> {
        let (trainer, debug) = (self.trainer, &self.trainer.config.debug);
        let started = trainer.clock.now();
        let limit = if debug.fast_dev_run > 0 { validation::batches(debug.fast_dev_run) } else { usize::MAX };
        let (network, spec, device) = (self.step.averaged(), self.step.spec(), self.step.device());
        let metrics =
            self.profile.time("validate", || validation::validate_first(network, self.valid, spec, device, limit))?;
        trainer.emit(Event::ValidationFinished {
            epoch,
            global_step: self.progress.global_step,
            metrics: metrics.clone(),
            seconds: trainer.clock.now().seconds_since(started).max(0.0),
        });
        Ok(metrics)
    }

    /// The metric that the config names.
    pub(super) fn monitored(&self, train_loss: f64, metrics: &BTreeMap<String, f64>) -> Result<f64> {
        let name = &self.trainer.config.monitor;
        if name == "train_loss" {
            return Ok(train_loss);
        }
        metrics.get(name).copied().ok_or_else(|| {
            let known: Vec<&str> = metrics.keys().map(String::as_str).chain(["train_loss"]).collect();
            Error::invalid("monitor", name, format!("this run has {}", known.join(", ")))
        })
    }

    fn close_epoch(&mut self, epoch: u64, metrics: &BTreeMap<String, f64>) -> Result<()> {
        let config = &self.trainer.config;
        if config.averaging.kind == AverageKind::Swa && epoch >= config.averaging.start_epoch {
            self.step.average(None);
        }
        let tally = std::mem::take(&mut self.progress.tally);
        // An epoch all of whose steps are skipped has no loss; that of nothing is 0.
        let train_loss = tally.loss / tally.samples.max(1) as f64;
        let monitored = self.monitored(train_loss, metrics)?;
        if !monitored.is_finite() {
            let (what, step) = ("monitored metric", self.progress.global_step);
            return Err(Error::Diverged { what, value: monitored, step, detail: String::new() });
        }
        let progress = &mut self.progress;
        progress.monitor.observe(monitored, config.mode, &config.early_stopping);
        progress.plateau.observe(monitored, config.mode, &config.schedule);
        (progress.epoch, progress.step) = (epoch, 0);
        let (valid_loss, learning_rate) = (metrics["val_loss"], tally.learning_rate);
        progress.history.push(EpochSummary { epoch, train_loss, valid_loss, monitored, learning_rate });
        Ok(())
    }

    fn finish_epoch(&mut self, seconds: f64) -> Result<()> {
        self.save_after_epoch()?;
        let Some(summary) = self.progress.history.last() else { return Ok(()) };
        self.trainer.emit(Event::EpochFinished {
            epoch: summary.epoch,
            train_loss: summary.train_loss,
            valid_loss: Some(summary.valid_loss),
            learning_rate: summary.learning_rate,
            samples: self.train.len() as u64,
            seconds,
            improved: self.progress.monitor.has_improved(),
        });
        Ok(())
    }
}
