//! How a run takes up from a checkpoint set, and leaves the next one.

use tapeloom_core::Event;
use tapeloom_model::{Network, encode_weights};

use super::Fit;
use crate::checkpoint::{Checkpointer, FORMAT, Latest, Manifest};
use crate::{Error, Result};

impl<N: Network> Fit<'_, N> {
    /// Takes the state of the newest sound set, if the trainer is to resume.
    pub(super) fn resume(&mut self) -> Result<()> {
        let checkpointer = &self.trainer.checkpointer;
        if !self.trainer.resume {
            return match checkpointer.sets()?.last() {
                None => Ok(()),
                Some(set) => Err(Error::invalid("store", set, "it holds checkpoints: resume, or give an empty store")),
            };
        }
        let Latest { sound, passed_over } = checkpointer.latest()?;
        for error in &passed_over {
            let record = self.trainer.record("checkpoint.passed_over", "refused").detail("error", error);
            self.trainer.ledger.append(&record).map_err(Error::Evidence)?;
            self.trainer.emit(Event::Warning { code: "checkpoint_damaged".into(), message: error.to_string() });
        }
        let Some((set, manifest)) = sound else {
            // A store with nothing but damaged sets is no place to start afresh.
            return passed_over.into_iter().next().map_or(Ok(()), Err);
        };
        let same = |what, found: String, expected: String| {
            if found == expected { Ok(()) } else { Err(Error::Mismatch { set: set.clone(), what, found, expected }) }
        };
        same("config", manifest.config.to_string(), self.trainer.config.fingerprint().to_string())?;
        same("training data", manifest.data.to_string(), self.train.fingerprint().to_string())?;
        let weights = checkpointer.part(&set, &manifest, Checkpointer::WEIGHTS)?;
        let optimizer = checkpointer.part(&set, &manifest, Checkpointer::OPTIMIZER)?;
        self.step.restore(weights, optimizer)?;
        self.progress = manifest.progress;
        Ok(())
    }

    /// A set is due each `every_n_epochs`, when the epoch is one of the `save_top_k` best, and at the end of the run.
    pub(super) fn save_if_due(&self) -> Result<()> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let (every, top_k) = (config.checkpoint.every_n_epochs, config.checkpoint.save_top_k);
        let epoch = self.progress.epoch;
        let scheduled = every > 0 && (epoch.is_multiple_of(every) || epoch == config.max_epochs);
        let among_best =
            Checkpointer::ranked(&self.progress.history, config.mode).iter().take(top_k).any(|e| *e == epoch);
        if !(scheduled || among_best) {
            return Ok(());
        }
        if trainer.is_lead() {
            self.save()?;
        }
        // No rank runs ahead of a set that may yet fail.
        trainer.collective.barrier()?;
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        let started = trainer.clock.now();
        let set = Checkpointer::set_name(self.progress.epoch);
        let manifest = Manifest {
            format: FORMAT,
            writer: env!("CARGO_PKG_VERSION").into(),
            run: trainer.run.clone(),
            written: started,
            config: config.fingerprint(),
            data: self.train.fingerprint(),
            spec: self.step.spec().clone(),
            progress: self.progress.clone(),
            parts: vec![],
        };
        let parts = [
            (Checkpointer::WEIGHTS, encode_weights(self.step.network())?),
            (Checkpointer::OPTIMIZER, self.step.encode_optimizer()?),
        ];
        let written = trainer.checkpointer.save(&set, manifest, &parts).and_then(|bytes| {
            trainer.checkpointer.prune(&self.progress.history, config.mode, config.checkpoint.save_top_k)?;
            Ok(bytes)
        });
        let bytes = written.inspect_err(|error| {
            trainer.emit(Event::CheckpointFailed { name: set.clone(), reason: error.to_string() });
        })?;
        let record = trainer.record("checkpoint.saved", "success").detail("set", &set).detail("bytes", bytes);
        trainer.ledger.append(&record).map_err(Error::Evidence)?;
        let seconds = trainer.clock.now().seconds_since(started);
        trainer.emit(Event::CheckpointSaved { name: set, epoch: self.progress.epoch, bytes, seconds });
        Ok(())
    }
}
