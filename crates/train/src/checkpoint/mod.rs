mod manifest;

use std::sync::Arc;

use burn::tensor::Device;
use tapeloom_core::{BlobStore, Fingerprint};
use tapeloom_model::Predictor;

use crate::config::Mode;
use crate::{Error, Result};

pub(crate) use manifest::FORMAT;
pub use manifest::{EpochSummary, Manifest, Part, Progress};

/// All sets live below this name.
const ROOT: &str = "checkpoints/";
const MANIFEST: &str = "manifest.json";

/// Writes, finds and reads checkpoint sets in a [`BlobStore`].
///
/// A set is its parts plus a manifest that names them with length and hash. The manifest is written last and deleted
/// first, so a crash at any moment leaves whole sets only.
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

    /// Writes a set and makes it durable. Fills the manifest's list of parts. Returns the bytes handed to the store.
    ///
    /// # Errors
    /// Whatever keeps the store from being durable; sets written before are untouched.
    pub fn save(&self, set: &str, mut manifest: Manifest, parts: &[(&str, Vec<u8>)]) -> Result<u64> {
        manifest.parts.clear();
        for (name, bytes) in parts {
            self.store.put(&blob(set, name), bytes)?;
            let (length, hash) = (bytes.len() as u64, Fingerprint::of(bytes));
            manifest.parts.push(Part { name: (*name).to_owned(), length, hash });
        }
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| tapeloom_core::Error::provider("could not encode a manifest", e))?;
        self.store.put(&blob(set, MANIFEST), &text)?;
        Ok(manifest.parts.iter().map(|part| part.length).sum::<u64>() + text.len() as u64)
    }

    /// The whole sets, oldest first.
    ///
    /// # Errors
    /// Whatever keeps the store from being listed.
    pub fn sets(&self) -> Result<Vec<String>> {
        let names = self.store.list(ROOT)?;
        let set = |name: &String| name.strip_prefix(ROOT)?.strip_suffix(MANIFEST)?.strip_suffix('/').map(str::to_owned);
        Ok(names.iter().filter_map(set).collect())
    }

    /// Reads the manifest of a set.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is unreadable, changed or of an unknown format; not found when there is no such set.
    pub fn manifest(&self, set: &str) -> Result<Manifest> {
        let damaged = |detail: String| Error::Damaged { set: set.to_owned(), detail };
        let bytes = self.store.get(&blob(set, MANIFEST)).map_err(|e| name_damage(set, MANIFEST, e))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("{MANIFEST}: {e}")))?;
        if manifest.format != FORMAT {
            return Err(damaged(format!(
                "format {} is unknown to this version, which reads {FORMAT}",
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
        let bytes = self.store.get(&blob(set, name)).map_err(|e| name_damage(set, name, e))?;
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

    /// Loads the forecaster of a set for inference.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the set is not what was written.
    pub fn predictor(&self, set: &str, device: &Device) -> Result<Predictor> {
        let manifest = self.manifest(set)?;
        let weights = self.part(set, &manifest, Self::WEIGHTS)?;
        Ok(Predictor::from_weights(manifest.spec, weights, device)?)
    }

    /// Deletes every set but the newest and the `top_k` best. Runs after the newest set is durable.
    pub(crate) fn prune(&self, history: &[EpochSummary], mode: Mode, top_k: usize) -> Result<()> {
        let mut sets = self.sets()?;
        sets.pop();
        let keep: Vec<String> = Self::ranked(history, mode).into_iter().take(top_k).map(Self::set_name).collect();
        for set in sets.into_iter().filter(|set| !keep.contains(set)) {
            self.delete(&set)?;
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
        for name in self.store.list(&format!("{ROOT}{set}/"))? {
            self.store.delete(&name)?;
        }
        Ok(())
    }
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
