//! Checkpoint sets: what a run leaves behind so that it can go on, and what others may look at.

mod compare;
mod inspect;
mod manifest;
mod settings;
mod writer;

use std::sync::Arc;

use burn::tensor::Device;
use tapeloom_core::{BlobStore, Fingerprint};
use tapeloom_model::Predictor;

use crate::config::Mode;
use crate::{Error, Result};

pub use compare::{Comparison, RunRow};
pub use inspect::{Inspection, PartReport, TensorReport};
pub(crate) use manifest::FORMAT;
pub use manifest::{EpochSummary, Manifest, Part, Progress};
pub(crate) use settings::difference;
pub(crate) use writer::{Saved, Writer};

/// All sets live below this name.
const ROOT: &str = "checkpoints/";
const MANIFEST: &str = "manifest.json";

/// Writes, finds and reads checkpoint sets in a [`BlobStore`].
///
/// A set is its parts plus a manifest that names them with length and hash. The manifest is written last and deleted
/// first, and a blob's name holds the start of its hash, so a crash at any moment leaves whole sets only.
#[derive(Clone, Debug)]
pub struct Checkpointer {
    store: Arc<dyn BlobStore>,
}

/// What [`Checkpointer::latest`] found.
#[derive(Debug)]
pub struct Latest {
    /// Name and manifest of the newest set whose every part is sound.
    pub sound: Option<(String, Manifest)>,
    /// What is wrong with the newer ones.
    pub passed_over: Vec<Error>,
}

impl Checkpointer {
    /// Name of the part that holds the weights.
    pub const WEIGHTS: &'static str = "weights.burnpack";
    /// Name of the part that holds the optimizer's state.
    pub const OPTIMIZER: &'static str = "optimizer.burnpack";
    /// Name of the part that holds averaged weights, where the run keeps them.
    pub const AVERAGES: &'static str = "averages.burnpack";

    /// Sets in `store`, below `checkpoints/`.
    #[must_use]
    pub const fn new(store: Arc<dyn BlobStore>) -> Self {
        Self { store }
    }

    /// The name of the set taken after `epoch`. Names sort by epoch.
    #[must_use]
    pub fn set_name(epoch: u64) -> String {
        format!("epoch-{epoch:06}")
    }

    /// The name of the set taken `step` steps after the end of `epoch`. It sorts between the two epochs' own sets.
    #[must_use]
    pub fn step_set_name(epoch: u64, step: u64) -> String {
        if step == 0 { Self::set_name(epoch) } else { format!("epoch-{epoch:06}-step-{step:06}") }
    }

    pub(crate) const fn store(&self) -> &Arc<dyn BlobStore> {
        &self.store
    }

    /// Writes a set and makes it durable. Fills the manifest's list of parts. Returns the bytes handed to the store.
    ///
    /// # Errors
    /// Whatever keeps the store from being durable; sets written before are untouched.
    pub fn save(&self, set: &str, mut manifest: Manifest, parts: &[(&str, Vec<u8>)]) -> Result<u64> {
        manifest.parts.clear();
        for (name, bytes) in parts {
            let (length, hash) = (bytes.len() as u64, Fingerprint::of(bytes));
            let part = Part { name: (*name).to_owned(), blob: Some(blob_name(name, &hash)), length, hash };
            self.store.put(&blob(set, part.blob()), bytes)?;
            manifest.parts.push(part);
        }
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| tapeloom_core::Error::provider("could not encode a manifest", e))?;
        self.store.put(&blob(set, MANIFEST), &text)?;
        self.delete_unlisted(set, Some(&manifest))?;
        Ok(manifest.parts.iter().map(|part| part.length).sum::<u64>() + text.len() as u64)
    }

    /// The whole sets, oldest first.
    ///
    /// # Errors
    /// Whatever keeps the store from being listed.
    pub fn sets(&self) -> Result<Vec<String>> {
        let names = self.store.list(ROOT)?;
        let set = |name: &String| name.strip_prefix(ROOT)?.strip_suffix(MANIFEST)?.strip_suffix('/').map(str::to_owned);
        let mut sets: Vec<String> = names.iter().filter_map(set).collect();
        // Names of blobs sort otherwise, because of what stands behind a set's name.
        sets.sort();
        Ok(sets)
    }

    /// Reads the manifest of a set.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is unreadable, changed or of an unknown format; not found when there is no such set.
    pub fn manifest(&self, set: &str) -> Result<Manifest> {
        let damaged = |detail: String| Error::Damaged { set: set.to_owned(), detail };
        let bytes = self.store.get(&blob(set, MANIFEST)).map_err(|e| name_damage(set, MANIFEST, e))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("{MANIFEST}: {e}")))?;
        if manifest.format == 0 || manifest.format > FORMAT {
            return Err(damaged(format!(
                "format {} is unknown to this version, which reads 1 to {FORMAT}",
                manifest.format
            )));
        }
        Ok(manifest)
    }

    /// Reads one part of a set and checks it against the manifest.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names the part when a byte is missing, added or changed.
    pub fn part(&self, set: &str, manifest: &Manifest, name: &str) -> Result<Vec<u8>> {
        let damaged = |detail: String| Error::Damaged { set: set.to_owned(), detail };
        let part = manifest.parts.iter().find(|part| part.name == name);
        let part = part.ok_or_else(|| damaged(format!("the manifest lists no {name}")))?;
        let bytes = self.store.get(&blob(set, part.blob())).map_err(|e| name_damage(set, name, e))?;
        if bytes.len() as u64 != part.length {
            return Err(damaged(format!("{name} has {} bytes of {}", bytes.len(), part.length)));
        }
        if Fingerprint::of(&bytes) != part.hash {
            return Err(damaged(format!("{name} does not match its hash")));
        }
        Ok(bytes)
    }

    /// The newest set whose every part is sound, and the damaged ones that were passed over on the way.
    ///
    /// # Errors
    /// Whatever keeps the store from being read.
    pub fn latest(&self) -> Result<Latest> {
        let mut passed_over = Vec::new();
        for set in self.sets()?.into_iter().rev() {
            let sound = self.manifest(&set).and_then(|manifest| {
                for part in &manifest.parts {
                    self.part(&set, &manifest, &part.name)?;
                }
                Ok(manifest)
            });
            match sound {
                Ok(manifest) => return Ok(Latest { sound: Some((set, manifest)), passed_over }),
                Err(error @ Error::Damaged { .. }) => passed_over.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(Latest { sound: None, passed_over })
    }

    /// The set with the best monitored metric among those that still exist.
    ///
    /// # Errors
    /// Whatever keeps the store from being read.
    pub fn best(&self, history: &[EpochSummary], mode: Mode) -> Result<Option<String>> {
        let sets = self.sets()?;
        Ok(Self::ranked(history, mode).into_iter().map(Self::set_name).find(|name| sets.contains(name)))
    }

    /// Loads the forecaster of a set for inference, with averaged weights where the run kept some.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the set is not what was written.
    pub fn predictor(&self, set: &str, device: &Device) -> Result<Predictor> {
        let manifest = self.manifest(set)?;
        let averaged = manifest.parts.iter().any(|part| part.name == Self::AVERAGES);
        let weights = self.part(set, &manifest, if averaged { Self::AVERAGES } else { Self::WEIGHTS })?;
        Ok(Predictor::from_weights(manifest.spec, weights, device)?)
    }

    /// Deletes the sets before `set` but for the `top_k` best and the one to go back to. Runs when `set` is durable. Later
    /// sets, which a damage has kept this run from taking up, are left alone.
    pub(crate) fn prune(&self, set: &str, progress: &Progress, mode: Mode, top_k: usize) -> Result<()> {
        let best = Self::ranked(&progress.history, mode).into_iter().take(top_k).map(Self::set_name);
        let keep: Vec<String> = best.chain(progress.recovery.anchor.clone()).collect();
        let before = self.sets()?.into_iter().filter(|name| name.as_str() < set && !keep.contains(name));
        before.into_iter().try_for_each(|name| self.delete(&name))
    }

    /// Deletes the sets of steps that a run takes anew: those behind `anchor`, or all of them.
    pub(crate) fn forget_after(&self, anchor: Option<&str>) -> Result<()> {
        let behind = |set: &String| anchor.is_none_or(|anchor| set.as_str() > anchor);
        self.sets()?.into_iter().filter(behind).try_for_each(|set| self.delete(&set))
    }

    /// Deletes blobs that no manifest names: what a crash left of sets that were never finished.
    pub(crate) fn sweep(&self) -> Result<()> {
        let whole = self.sets()?;
        let names = self.store.list(ROOT)?;
        let mut folders: Vec<&str> =
            names.iter().filter_map(|name| name.strip_prefix(ROOT)?.split('/').next()).collect();
        folders.dedup();
        for set in folders {
            let manifest = if whole.iter().any(|name| name == set) { self.manifest(set).map(Some) } else { Ok(None) };
            // Nothing is touched beside a manifest that can't be read.
            if let Ok(manifest) = manifest {
                self.delete_unlisted(set, manifest.as_ref())?;
            }
        }
        Ok(())
    }

    /// Epochs from best to worst; of equals the earlier one first. An epoch without a number is never a best one.
    pub(crate) fn ranked(history: &[EpochSummary], mode: Mode) -> Vec<u64> {
        let mut epochs: Vec<&EpochSummary> = history.iter().filter(|e| !e.monitored.is_nan()).collect();
        epochs.sort_by(|a, b| match mode {
            Mode::Min => a.monitored.total_cmp(&b.monitored),
            Mode::Max => b.monitored.total_cmp(&a.monitored),
        });
        epochs.into_iter().map(|e| e.epoch).collect()
    }

    fn delete(&self, set: &str) -> Result<()> {
        self.store.delete(&blob(set, MANIFEST))?;
        self.delete_unlisted(set, None)
    }

    /// Deletes the blobs of a set that its manifest does not name.
    fn delete_unlisted(&self, set: &str, manifest: Option<&Manifest>) -> Result<()> {
        let prefix = blob(set, "");
        for name in self.store.list(&prefix)? {
            let rest = &name[prefix.len()..];
            let listed =
                |manifest: &Manifest| rest == MANIFEST || manifest.parts.iter().any(|part| part.blob() == rest);
            if !manifest.is_some_and(listed) {
                self.store.delete(&name)?;
            }
        }
        Ok(())
    }
}

/// `weights.burnpack` becomes `weights-0123456789abcdef.burnpack`.
fn blob_name(part: &str, hash: &Fingerprint) -> String {
    let start = &hash.to_string()[..16];
    part.rsplit_once('.').map_or_else(|| format!("{part}-{start}"), |(stem, end)| format!("{stem}-{start}.{end}"))
}

fn blob(set: &str, name: &str) -> String {
    format!("{ROOT}{set}/{name}")
}

fn name_damage(set: &str, name: &str, error: tapeloom_core::Error) -> Error {
    match error {
        tapeloom_core::Error::Corrupt { detail, .. } => {
            Error::Damaged { set: set.to_owned(), detail: format!("{name}: {detail}") }
        }
        tapeloom_core::Error::NotFound { .. } if name != MANIFEST => {
            Error::Damaged { set: set.to_owned(), detail: format!("{name} is missing") }
        }
        other => other.into(),
    }
}
