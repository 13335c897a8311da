//! What a run does when a step breaks.

use tapeloom_core::Event;
use tapeloom_model::Network;

use super::Fit;
use crate::batches::Direct;
use crate::checkpoint::Progress;
use crate::step::Snapshot;
use crate::{Error, Result};

/// Where a run goes back to: its start, or a set that it has written at a moment which a repeated run would choose too.
pub(super) struct Anchor<N> {
    pub(super) snapshot: Snapshot<N>,
    pub(super) progress: Progress,
}

impl<'a, N: Network + 'a> Fit<'a, N> {
    /// Goes back to the anchor, where the rate is cut and the step that broke will be skipped; fails when that has been done
    /// as often as it may be. Nothing here depends on time, so a run that is killed and resumed does the same again.
    pub(super) fn roll_back(&mut self, broken: Error, ids: &[usize]) -> Result<()> {
        let (trainer, at) = (self.trainer, self.progress.global_step);
        let broken = if trainer.config.debug.detect_anomaly { self.explained(broken, ids)? } else { broken };
        let recovery = &trainer.config.recovery;
        if self.progress.recovery.rollbacks >= recovery.max_rollbacks {
            return Err(broken);
        }
        let Some(anchor) = &self.anchor else { return Err(broken) };
        self.step.rewind(anchor.snapshot.clone());
        let mut now = self.progress.recovery.clone();
        now.rollbacks += 1;
        now.rate_factor *= recovery.learning_rate_cut;
        now.skipped.insert(at);
        now.anchor.clone_from(&anchor.progress.recovery.anchor);
        self.progress = Progress { recovery: now, seconds: self.progress.seconds, ..anchor.progress.clone() };
        self.settle()?;
        let recovery = &self.progress.recovery;
        if trainer.is_lead() {
            trainer.checkpointer.forget_after(recovery.anchor.as_deref())?;
        }
        let place = recovery.anchor.clone().unwrap_or_else(|| "the start of the run".into());
        let message = format!(
            "{broken}; back to {place} (rollback {} of {}), step {at} will be skipped, the rate is multiplied by {}",
            recovery.rollbacks, trainer.config.recovery.max_rollbacks, recovery.rate_factor
        );
        self.heal("rolled_back", "run.rolled_back", message)
    }

    /// Tells that passes have become smaller.
    pub(super) fn halved(&self, before: usize) -> Result<()> {
        let message = format!(
            "a pass of {before} samples does not fit into memory: passes are {} samples now, the global batch stays {}",
            self.step.pass_size(),
            self.global_batch
        );
        self.heal("pass_halved", "run.pass_halved", message)
    }

    /// Telemetry and evidence of something that the run has mended by itself.
    fn heal(&self, code: &str, action: &str, message: String) -> Result<()> {
        let record = self.trainer.record(action, "success").detail("global_step", self.progress.global_step);
        self.trainer.ledger.append(&record.detail("what", &message)).map_err(Error::Evidence)?;
        tracing::warn!(code, "{message}");
        self.trainer.emit(Event::Warning { code: code.into(), message });
        Ok(())
    }

    fn explained(&self, broken: Error, ids: &[usize]) -> Result<Error> {
        let Error::Diverged { what, value, step, .. } = broken else { return Ok(broken) };
        let culprit = self.step.diagnose(&mut Direct(self.train), ids, step)?;
        let detail = format!(", first seen in {culprit}");
        self.trainer.emit(Event::Warning {
            code: "anomaly".into(),
            message: format!("{what} is {value} at global step {step}{detail}"),
        });
        Ok(Error::Diverged { what, value, step, detail })
    }
}
