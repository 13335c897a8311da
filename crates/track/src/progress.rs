use tapeloom_core::{Event, Timestamp};

/// How far a run is, counted from its events. A trainer may report only every n-th step, so the steps between two reports
/// count as full batches, and the epoch's end sets the count right.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Of the run; 0 where not known.
    pub(crate) epochs: u64,
    /// Of one epoch; 0 where not known.
    pub(crate) steps_per_epoch: u64,
    /// The epoch under way or just done.
    pub(crate) epoch: u64,
    /// Steps done in it.
    pub(crate) step: u64,
    /// Steps done before it in this part of the run.
    finished_steps: u64,
    /// Samples of one epoch; 0 where not known.
    samples_per_epoch: u64,
    /// The largest batch seen.
    full_batch: u64,
    /// Samples of the epoch so far.
    epoch_samples: u64,
    /// Samples before the epoch in this part of the run.
    finished_samples: u64,
    epoch_started: Option<Timestamp>,
    /// When the step that is counted last was done.
    step_done: Option<Timestamp>,
    /// Wall seconds of the last whole epoch, and of its part up to the last step.
    last_epoch: Option<(f64, f64)>,
}

impl Progress {
    pub(crate) fn note(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::RunStarted { samples, epochs, steps_per_epoch, resumed_epoch, .. } => {
                *self = Self {
                    samples_per_epoch: *samples,
                    epochs: *epochs,
                    steps_per_epoch: *steps_per_epoch,
                    epoch: *resumed_epoch,
                    ..Self::default()
                };
            }
            Event::EpochStarted { epoch } => {
                // What an epoch that was cut short has done is kept in the counts.
                self.close(self.epoch_samples);
                self.epoch = *epoch;
                self.epoch_started = Some(at);
                self.step_done = None;
            }
            Event::StepFinished { epoch, step, samples, .. } => {
                self.epoch = *epoch;
                self.full_batch = self.full_batch.max(*samples);
                if let Some(unreported) = step.checked_sub(self.step.saturating_add(1)) {
                    let added = unreported.saturating_mul(self.full_batch).saturating_add(*samples);
                    let most = if self.samples_per_epoch == 0 { u64::MAX } else { self.samples_per_epoch };
                    self.epoch_samples = self.epoch_samples.saturating_add(added).min(most);
                    self.step = *step;
                }
                self.step_done = Some(at);
            }
            Event::EpochFinished { epoch, samples, seconds, .. } => {
                self.epoch = *epoch;
                let training = self.training_seconds().unwrap_or(*seconds);
                self.last_epoch = Some((*seconds, training.min(*seconds)));
                self.close(*samples);
            }
            _ => {}
        }
    }

    /// Batches trained in this part of the run.
    #[cfg(feature = "prometheus")]
    pub(crate) fn batches(&self) -> u64 {
        self.finished_steps.saturating_add(self.step)
    }

    /// Samples trained in this part of the run.
    #[cfg(feature = "prometheus")]
    pub(crate) fn samples(&self) -> u64 {
        self.finished_samples.saturating_add(self.epoch_samples)
    }

    /// Samples per second of the epoch under way, from wall time up to its last step.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.training_seconds().map(|seconds| self.epoch_samples as f64 / seconds)
    }

    /// Seconds until every epoch of the plan is done, from the time that steps and whole epochs really took.
    /// Early stopping may end the run sooner. None while nothing was measured.
    pub(crate) fn remaining(&self) -> Option<f64> {
        self.estimate().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }

    fn estimate(&self) -> Option<f64> {
        let epochs_left = self.epochs.checked_sub(self.epoch)? as f64;
        if self.step == 0 {
            return self.last_epoch.map(|(epoch, _)| epochs_left * epoch);
        }
        let per_step = self.training_seconds()? / self.step as f64;
        let training = per_step * self.steps_per_epoch as f64;
        // Validation and checkpoint take what they took last time; before the first they are not known.
        let rest = self.last_epoch.map_or(0.0, |(epoch, training)| epoch - training);
        let steps_left = self.steps_per_epoch.saturating_sub(self.step) as f64;
        Some(steps_left * per_step + rest + epochs_left * (training + rest))
    }

    fn training_seconds(&self) -> Option<f64> {
        Some(self.step_done?.seconds_since(self.epoch_started?)).filter(|s| *s > 0.0)
    }

    fn close(&mut self, samples: u64) {
        self.finished_samples = self.finished_samples.saturating_add(samples);
        self.finished_steps = self.finished_steps.saturating_add(self.step);
        (self.step, self.epoch_samples) = (0, 0);
    }
}
