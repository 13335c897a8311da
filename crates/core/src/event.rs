use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Fingerprint, RunId};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Every epoch of the plan was trained.
    Finished,
    /// The monitored metric stopped improving.
    EarlyStopped,
    /// Somebody raised the stop flag.
    Stopped,
    /// An error ended the run.
    Failed,
}

/// Something that happened in a run. Numbers travel as events; nobody parses log text.
///
/// Counters start at 1 where they count finished things. Losses are means over samples; times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run starts or resumes.
    RunStarted {
        /// Its name.
        run: RunId,
        /// Of the whole run config.
        config: Fingerprint,
        /// The model type, such as `lstm_attention`.
        model: String,
        /// Trainable numbers in the model.
        parameters: u64,
        /// Samples of one epoch.
        samples: u64,
        /// Epochs at most.
        epochs: u64,
        /// Optimizer steps of one epoch.
        steps_per_epoch: u64,
        /// The epoch that the run resumes after; 0 for a fresh run.
        resumed_epoch: u64,
    },
    /// An epoch starts.
    EpochStarted {
        /// 1 for the first.
        epoch: u64,
    },
    /// An optimizer step is done.
    StepFinished {
        /// The epoch it belongs to.
        epoch: u64,
        /// Counts in the epoch.
        step: u64,
        /// Counts in the run.
        global_step: u64,
        /// Training loss of the global batch.
        loss: f64,
        /// The rate that the step used.
        learning_rate: f64,
        /// Global L2 norm of the gradient before clipping.
        grad_norm: f64,
        /// Samples in the global batch.
        samples: u64,
        /// Wall time of the step.
        seconds: f64,
    },
    /// The model was run over the validation set.
    ValidationFinished {
        /// The epoch it belongs to.
        epoch: u64,
        /// Optimizer steps so far in the run.
        global_step: u64,
        /// Name to value; always holds `val_loss`.
        metrics: BTreeMap<String, f64>,
        /// Wall time.
        seconds: f64,
    },
    /// An epoch is done, its validation and checkpoint included.
    EpochFinished {
        /// 1 for the first.
        epoch: u64,
        /// Mean over the epoch's samples.
        train_loss: f64,
        /// Absent when the epoch had no validation.
        valid_loss: Option<f64>,
        /// Of the epoch's last step.
        learning_rate: f64,
        /// Training samples seen in the epoch.
        samples: u64,
        /// Wall time.
        seconds: f64,
        /// Whether the monitored metric improved.
        improved: bool,
    },
    /// A checkpoint set is durable.
    CheckpointSaved {
        /// The set's name in its store.
        name: String,
        /// The epoch it was taken after.
        epoch: u64,
        /// As stored.
        bytes: u64,
        /// Wall time on the training thread.
        seconds: f64,
    },
    /// A checkpoint set could not be written.
    CheckpointFailed {
        /// The set's name in its store.
        name: String,
        /// The error's text.
        reason: String,
    },
    /// A trial of a study is done.
    TrialFinished {
        /// Counts from 0.
        trial: u64,
        /// The objective's value; absent when the trial failed.
        value: Option<f64>,
        /// Wall time.
        seconds: f64,
    },
    /// Something a person should know, though the run goes on.
    Warning {
        /// A short stable name, such as `rows_quarantined`.
        code: String,
        /// One sentence.
        message: String,
    },
    /// A run is over.
    RunFinished {
        /// How.
        outcome: Outcome,
        /// Epochs trained in all, earlier parts of a resumed run included.
        epochs: u64,
        /// Wall time of this part.
        seconds: f64,
    },
}
