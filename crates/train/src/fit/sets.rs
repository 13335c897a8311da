//! How a run takes up from a checkpoint set, and leaves the next one.

use std::collections::BTreeMap;

use serde_json::Value;
use tapeloom_core::Event;
use tapeloom_model::{Network, updates_in_place};

use super::{Anchor, Fit};
use crate::checkpoint::{Checkpointer, FORMAT, Latest, Manifest, Progress, Saved, difference};
use crate::step::Snapshot;
use crate::{Error, Result};

impl<'a, N: Network + 'a> Fit<'a, N> {
    /// Takes the state of the newest sound set, if the trainer is to resume.
    pub(super) fn resume(&mut self) -> Result<()> {
        let (trainer, checkpointer) = (self.trainer, &self.trainer.checkpointer);
        if !trainer.resume {
            return match checkpointer.sets()?.last() {
                None => Ok(()),
                Some(set) => Err(Error::invalid("store", set, "it holds checkpoints: resume, or give an empty store")),
            };
        }
        let Latest { sound, passed_over } = checkpointer.latest()?;
        for error in &passed_over {
            let record = trainer.record("checkpoint.passed_over", "refused").detail("error", error);
            trainer.ledger.append(&record).map_err(Error::Evidence)?;
            trainer.emit(Event::Warning { code: "checkpoint_damaged".into(), message: error.to_string() });
        }
        let Some((set, manifest)) = sound else {
            // A store with nothing but damaged sets is no place to start afresh.
            passed_over.into_iter().next().map_or(Ok(()), Err)?;
            return if trainer.is_lead() { checkpointer.sweep() } else { Ok(()) };
        };
        self.check_same(&set, &manifest)?;
        if trainer.config.recovery.max_rollbacks > 0 {
            self.restore_anchor(&set, &manifest)?;
        }
        self.restore(&set, manifest)?;
        if trainer.is_lead() {
            // What the last part of the run had no time for.
            checkpointer.sweep()?;
            checkpointer.prune(&set, &self.progress, trainer.config.mode, trainer.config.checkpoint.save_top_k)?;
        }
        Ok(())
    }

    /// The set must be of this run's config and data.
    fn check_same(&self, set: &str, manifest: &Manifest) -> Result<()> {
        let mismatch =
            |what, found: String, expected: String| Err(Error::Mismatch { set: set.to_owned(), what, found, expected });
        if manifest.data != self.data {
            return mismatch("training data", manifest.data.to_string(), self.data.to_string());
        }
        if manifest.settings.is_null() {
            // Format 1 kept no more than a fingerprint, which settings of later versions have changed.
            if manifest.config != self.trainer.config.fingerprint() {
                let message =
                    format!("checkpoint {set} does not hold its config, so it was not compared with this run's");
                self.trainer.emit(Event::Warning { code: "config_not_compared".into(), message });
            }
            return Ok(());
        }
        match difference(&manifest.settings, &self.settings()?) {
            Some((path, old, new)) => mismatch("config", format!("{path} = {old}"), new),
            None => Ok(()),
        }
    }

    fn settings(&self) -> Result<Value> {
        let settings = serde_json::to_value(&self.trainer.config);
        Ok(settings.map_err(|e| tapeloom_core::Error::provider("could not encode the config", e))?)
    }

    fn restore(&mut self, set: &str, manifest: Manifest) -> Result<()> {
        let checkpointer = &self.trainer.checkpointer;
        let weights = checkpointer.part(set, &manifest, Checkpointer::WEIGHTS)?;
        let optimizer = checkpointer.part(set, &manifest, Checkpointer::OPTIMIZER)?;
        self.step.restore(weights, optimizer)?;
        let averages = match manifest.parts.iter().any(|part| part.name == Checkpointer::AVERAGES) {
            true => Some((checkpointer.part(set, &manifest, Checkpointer::AVERAGES)?, manifest.progress.averaged)),
            false => None,
        };
        let progress = manifest.progress;
        self.step.restore_rest(averages, progress.scale.clone(), progress.pass_size)?;
        self.progress = progress;
        Ok(())
    }

    /// Loads the state that the run would go back to. The network is still as the caller gave it.
    fn restore_anchor(&mut self, set: &str, manifest: &Manifest) -> Result<()> {
        let start = self.step.snapshot();
        let progress = match &manifest.progress.recovery.anchor {
            // Sets of format 1 are anchors, all of them.
            None if manifest.format == 1 => self.anchor_at(set, manifest.clone())?,
            Some(name) if name == set => self.anchor_at(set, manifest.clone())?,
            Some(name) => self.anchor_at(name, self.trainer.checkpointer.manifest(name)?)?,
            None => Progress::start(manifest.progress.learning_rate),
        };
        self.anchor = Some(Anchor { snapshot: self.step.snapshot(), progress });
        self.step.rewind(start);
        Ok(())
    }

    fn anchor_at(&mut self, set: &str, manifest: Manifest) -> Result<Progress> {
        self.restore(set, manifest)?;
        self.progress.recovery.anchor = Some(set.to_owned());
        Ok(std::mem::replace(&mut self.progress, Progress::start(0.0)))
    }

    /// The state to go back to, as of now.
    pub(super) fn here(&self) -> Anchor<N> {
        Anchor { snapshot: self.step.snapshot(), progress: self.progress.clone() }
    }

    /// A set is due each `every_n_epochs`, when the epoch is one of the `save_top_k` best, and at the end of the run.
    pub(super) fn save_after_epoch(&mut self) -> Result<()> {
        let config = &self.trainer.config;
        let (every, top_k, epoch) =
            (config.checkpoint.every_n_epochs, config.checkpoint.save_top_k, self.progress.epoch);
        let ranked = Checkpointer::ranked(&self.progress.history, config.mode);
        let last = epoch == config.max_epochs && !config.checkpoint.is_off();
        let due = last || every > 0 && epoch.is_multiple_of(every) || ranked.iter().take(top_k).any(|e| *e == epoch);
        if due { self.save_anchor() } else { Ok(()) }
    }

    /// A set is due each `every_n_steps`, and each `every_n_minutes` if none is being written.
    pub(super) fn save_after_step(&mut self) -> Result<()> {
        let config = &self.trainer.config.checkpoint;
        if config.every_n_steps > 0 && self.progress.global_step.is_multiple_of(config.every_n_steps) {
            return self.save_anchor();
        }
        if config.every_n_minutes <= 0.0 {
            return Ok(());
        }
        let minutes = self.stopwatch.since_save / 60.0;
        let mut due = minutes >= config.every_n_minutes && self.writer.is_idle();
        if self.step.is_sharded() {
            // Clocks differ; the lead's counts.
            let mut lead = [f32::from(u8::from(due))];
            self.trainer.collective.broadcast(&mut lead, 0)?;
            due = lead[0] > 0.0;
        }
        if due { self.save() } else { Ok(()) }
    }

    /// Leaves a set where the run stands, unless it writes none.
    pub(super) fn save_at_stop(&mut self) -> Result<()> {
        let written = self.progress.step == 0 && self.progress.recovery.anchor.as_deref() == Some(&self.set_name());
        if self.trainer.config.checkpoint.is_off() || written || self.progress.global_step == 0 {
            return Ok(());
        }
        self.save()
    }

    fn set_name(&self) -> String {
        Checkpointer::step_set_name(self.progress.epoch, self.progress.step)
    }

    /// Writes a set at a moment that a repeated run would choose too, so the run may go back to it.
    fn save_anchor(&mut self) -> Result<()> {
        if self.trainer.config.recovery.max_rollbacks > 0 {
            self.progress.recovery.anchor = Some(self.set_name());
            self.anchor = Some(self.here());
        }
        self.save()
    }

    /// Hands a set to the writer. The thread that trains shares its tensors with it and goes on; on CUDA it reads them first,
    /// since another thread's reads stand in another queue of the device and may spoil a recording.
    fn save(&mut self) -> Result<()> {
        let trainer = self.trainer;
        self.stopwatch.since_save = 0.0;
        let whole = self.step.is_sharded().then(|| self.step.whole_snapshot()).transpose()?;
        if !trainer.is_lead() {
            return Ok(());
        }
        // One set at a time: a store that is slower than the sets come holds the run back rather than filling memory.
        self.settle()?;
        let started = trainer.clock.now();
        let (set, snapshot) = (self.set_name(), whole.unwrap_or_else(|| self.step.snapshot()));
        let manifest = self.manifest(&snapshot)?;
        let read = updates_in_place(self.step.device()).then(|| snapshot.encode()).transpose()?;
        let (mode, top_k) = (trainer.config.mode, trainer.config.checkpoint.save_top_k);
        let seconds = trainer.clock.now().seconds_since(started).max(0.0);
        let saved = Saved { set: set.clone(), epoch: self.progress.epoch, seconds };
        self.writer.submit(
            saved,
            Box::new(move |checkpointer| {
                let progress = manifest.progress.clone();
                let parts = read.map_or_else(|| snapshot.encode(), Ok)?;
                drop(snapshot);
                let bytes = checkpointer.save(&set, manifest, &parts)?;
                checkpointer.prune(&set, &progress, mode, top_k)?;
                Ok(bytes)
            }),
        )
    }

    fn manifest(&self, snapshot: &Snapshot<N>) -> Result<Manifest> {
        let trainer = self.trainer;
        let mut progress = self.progress.clone();
        progress.scale = snapshot.scale().cloned();
        progress.pass_size = snapshot.pass_size();
        progress.averaged = snapshot.averaged();
        Ok(Manifest {
            format: FORMAT,
            writer: env!("CARGO_PKG_VERSION").into(),
            versions: BTreeMap::from([("burn".into(), "0.22".into())]),
            device: format!("{:?}", trainer.device),
            sealed: trainer.checkpointer.store().is_sealed(),
            run: trainer.run.clone(),
            written: trainer.clock.now(),
            config: trainer.config.fingerprint(),
            settings: self.settings()?,
            data: self.data,
            spec: self.step.spec().clone(),
            progress,
            parts: vec![],
        })
    }

    /// Takes note of sets that have become durable.
    pub(super) fn news(&mut self) -> Result<()> {
        while let Some((saved, result)) = self.writer.poll() {
            self.tell(saved, result)?;
        }
        Ok(())
    }

    /// Waits until nothing is being written.
    pub(super) fn settle(&mut self) -> Result<()> {
        let profile = self.profile.clone();
        while let Some((saved, result)) = profile.time("checkpoint", || self.writer.wait())? {
            self.tell(saved, result)?;
        }
        Ok(())
    }

    fn tell(&self, saved: Saved, result: Result<u64>) -> Result<()> {
        let trainer = self.trainer;
        let Saved { set, epoch, seconds } = saved;
        let bytes = result.inspect_err(|error| {
            trainer.emit(Event::CheckpointFailed { name: set.clone(), reason: error.to_string() });
        })?;
        let record = trainer.record("checkpoint.saved", "success").detail("set", &set).detail("bytes", bytes);
        trainer.ledger.append(&record).map_err(Error::Evidence)?;
        trainer.emit(Event::CheckpointSaved { name: set, epoch, bytes, seconds });
        Ok(())
    }
}
