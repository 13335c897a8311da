use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tapeloom_core::{Fingerprint, RunId, Timestamp};
use tapeloom_model::ForecasterSpec;

use crate::fit::Monitor;
use crate::optimizer::Plateau;
use crate::step::LossScale;

/// Version of the checkpoint set's layout that is written; a reader takes this one and all before it.
pub(crate) const FORMAT: u32 = 2;

/// What a checkpoint set is and what it is made of. It is written last: a set without its manifest does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout version.
    pub format: u32,
    /// Version of this crate.
    pub writer: String,
    /// Versions of what decides numbers beside this crate, by name. Since format 2.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// The device that trained. Since format 2.
    #[serde(default)]
    pub device: String,
    /// Whether the store encrypts; each sealed blob names its suite and key itself. Since format 2.
    #[serde(default)]
    pub sealed: bool,
    /// The run that wrote the set.
    pub run: RunId,
    /// When.
    pub written: Timestamp,
    /// Of the whole train config.
    pub config: Fingerprint,
    /// The whole train config. Since format 2; null before.
    #[serde(default)]
    pub settings: Value,
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
    /// What it holds.
    pub name: String,
    /// The blob's name behind the set's, with the start of the hash in it, so that a set is never written over. Format 1 has
    /// none: there it is `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// In bytes.
    pub length: u64,
    /// SHA-256.
    pub hash: Fingerprint,
}

impl Part {
    /// The blob's name behind the set's.
    #[must_use]
    pub fn blob(&self) -> &str {
        self.blob.as_deref().unwrap_or(&self.name)
    }
}

/// Where a run stands between two steps: the few numbers that a resumed run needs beside weights and optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs done.
    pub epoch: u64,
    /// Optimizer steps done in the epoch under way.
    #[serde(default)]
    pub step: u64,
    /// Optimizer steps done.
    pub global_step: u64,
    /// Peak learning rate, as configured or as found.
    #[serde(with = "tapeloom_core::exact")]
    pub learning_rate: f64,
    /// State of early stopping.
    pub(crate) monitor: Monitor,
    /// The epochs so far.
    pub history: Vec<EpochSummary>,
    /// Of the epoch under way.
    #[serde(default)]
    pub(crate) tally: Tally,
    #[serde(default)]
    pub(crate) recovery: Recovery,
    #[serde(default)]
    pub(crate) plateau: Plateau,
    #[serde(default)]
    pub(crate) scale: Option<LossScale>,
    /// Samples of one pass; 0 is as configured.
    #[serde(default)]
    pub(crate) pass_size: usize,
    /// Weights that went into the average.
    #[serde(default)]
    pub(crate) averaged: u64,
    /// Seconds of training in all parts of the run.
    #[serde(default, with = "tapeloom_core::exact")]
    pub seconds: f64,
}

/// What the steps of an epoch add up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tally {
    /// Of losses times samples.
    #[serde(with = "tapeloom_core::exact")]
    pub(crate) loss: f64,
    pub(crate) samples: u64,
    /// Of the last step.
    #[serde(with = "tapeloom_core::exact")]
    pub(crate) learning_rate: f64,
}

/// What the run has gone through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovery {
    pub(crate) rollbacks: u64,
    /// Factor on the learning rate.
    #[serde(with = "tapeloom_core::exact")]
    pub(crate) rate_factor: f64,
    /// Global steps that are not taken.
    pub(crate) skipped: BTreeSet<u64>,
    /// The set to go back to; absent is the start of the run.
    pub(crate) anchor: Option<String>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { rollbacks: 0, rate_factor: 1.0, skipped: BTreeSet::new(), anchor: None }
    }
}

impl Progress {
    /// Of a run that has not begun.
    pub(crate) fn start(learning_rate: f64) -> Self {
        Self {
            epoch: 0,
            step: 0,
            global_step: 0,
            learning_rate,
            monitor: Monitor::default(),
            history: vec![],
            tally: Tally::default(),
            recovery: Recovery::default(),
            plateau: Plateau::default(),
            scale: None,
            pass_size: 0,
            averaged: 0,
            seconds: 0.0,
        }
    }

    /// Global steps that are not taken, because they broke the run before.
    #[must_use]
    pub const fn skipped(&self) -> &BTreeSet<u64> {
        &self.recovery.skipped
    }

    /// How often the run went back.
    #[must_use]
    pub const fn rollbacks(&self) -> u64 {
        self.recovery.rollbacks
    }
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
