use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::settings::flatten;
use super::{Checkpointer, Manifest};
use crate::config::Mode;

/// Runs side by side: what differs in their configs, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// In the order given.
    pub runs: Vec<RunRow>,
    /// Settings in which not all runs agree, by path; a run that lacks one has an empty text.
    pub settings: BTreeMap<String, Vec<String>>,
    /// Whether all runs saw the same training samples. If not, their losses do not compare.
    pub same_data: bool,
}

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its name.
    pub run: String,
    /// Epochs done.
    pub epochs: u64,
    /// Optimizer steps done.
    pub steps: u64,
    /// The epoch with the best monitored metric.
    pub best_epoch: Option<u64>,
    /// The best monitored metric.
    pub best: Option<f64>,
    /// Training and validation loss of that epoch.
    pub losses: Option<[f64; 2]>,
    /// Times the run went back to an earlier set.
    pub rollbacks: u64,
    /// Of training.
    pub seconds: f64,
}

impl Comparison {
    /// Of the newest manifests of some runs; `mode` says which way their metric is better.
    #[must_use]
    pub fn of(manifests: &[Manifest], mode: Mode) -> Self {
        let flat: Vec<BTreeMap<String, String>> = manifests.iter().map(|m| flatten(&m.settings)).collect();
        let paths: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
        let column = |path: &String| flat.iter().map(|f| f.get(path).cloned().unwrap_or_default()).collect::<Vec<_>>();
        let differing = |values: &Vec<String>| values.iter().any(|value| *value != values[0]);
        let settings =
            paths.into_iter().map(|path| (path.clone(), column(path))).filter(|(_, v)| differing(v)).collect();
        Self {
            runs: manifests.iter().map(|manifest| RunRow::of(manifest, mode)).collect(),
            settings,
            same_data: manifests.windows(2).all(|pair| pair[0].data == pair[1].data),
        }
    }
}

impl RunRow {
    fn of(manifest: &Manifest, mode: Mode) -> Self {
        let progress = &manifest.progress;
        let best_epoch = Checkpointer::ranked(&progress.history, mode).first().copied();
        let best = progress.history.iter().find(|summary| Some(summary.epoch) == best_epoch);
        Self {
            run: manifest.run.to_string(),
            epochs: progress.epoch,
            steps: progress.global_step,
            best_epoch,
            best: best.map(|summary| summary.monitored),
            losses: best.map(|summary| [summary.train_loss, summary.valid_loss]),
            rollbacks: progress.recovery.rollbacks,
            seconds: progress.seconds,
        }
    }
}
