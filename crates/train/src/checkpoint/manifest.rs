use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, RunId, Timestamp};
use tapeloom_model::ForecasterSpec;

use crate::fit::Monitor;

/// Version of the checkpoint set's layout; a reader refuses versions that it does not know.
pub(crate) const FORMAT: u32 = 1;

/// What a checkpoint set is and what it is made of. It is written last: a set without its manifest does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout version.
    pub format: u32,
    /// Version of this crate.
    pub writer: String,
    /// The run that wrote the set.
    pub run: RunId,
    /// When.
    pub written: Timestamp,
    /// Of the whole train config.
    pub config: Fingerprint,
    /// Of the training samples.
    pub data: Fingerprint,
    /// What the weights are for, the scaler with its span included.
    pub spec: ForecasterSpec,
    /// Where the run stood.
    pub progress: Progress,
    /// Name, length and hash of each part before encryption.
    pub parts: Vec<Part>,
}

/// One blob of a checkpoint set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Behind the set's name.
    pub name: String,
    /// In bytes.
    pub length: u64,
    /// SHA-256.
    pub hash: Fingerprint,
}

/// Where a run stands between two epochs: the few numbers that a resumed run needs beside weights and optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs done.
    pub epoch: u64,
    /// Optimizer steps done.
    pub global_step: u64,
    /// Peak learning rate, as configured or as found.
    #[serde(with = "tapeloom_core::exact")]
    pub learning_rate: f64,
    /// State of early stopping.
    pub(crate) monitor: Monitor,
    /// The epochs so far.
    pub history: Vec<EpochSummary>,
}

/// One trained epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSummary {
    /// From 1.
    pub epoch: u64,
    /// Mean over the epoch's samples.
    #[serde(with = "tapeloom_core::exact")]
    pub train_loss: f64,
    /// Mean over the validation samples.
    #[serde(with = "tapeloom_core::exact")]
    pub valid_loss: f64,
    /// The monitored metric.
    #[serde(with = "tapeloom_core::exact")]
    pub monitored: f64,
    /// Of the last step.
    #[serde(with = "tapeloom_core::exact")]
    pub learning_rate: f64,
}
