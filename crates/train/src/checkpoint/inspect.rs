use burn::tensor::Bytes;
use serde::Serialize;

use super::{Checkpointer, Manifest};
use crate::{Error, Result};

/// What is in a checkpoint set, found without building the model. Every byte has been checked against the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The set's name.
    pub set: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its parts, in the manifest's order.
    pub parts: Vec<PartReport>,
}

/// One part of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// Such as `weights.burnpack`.
    pub name: String,
    /// Before encryption.
    pub bytes: u64,
    /// Sorted by name.
    pub tensors: Vec<TensorReport>,
}

/// One tensor of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorReport {
    /// The path of the parameter in its module.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Such as `F32`.
    pub dtype: String,
    /// In the file.
    pub bytes: usize,
}

impl Checkpointer {
    /// Verifies a set and lists its tensors.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names the part when the set is not what was written.
    pub fn inspect(&self, set: &str) -> Result<Inspection> {
        let manifest = self.manifest(set)?;
        let mut parts = Vec::new();
        for part in &manifest.parts {
            let bytes = self.part(set, &manifest, &part.name)?;
            let tensors = tensors(bytes)
                .map_err(|e| Error::Damaged { set: set.to_owned(), detail: format!("{}: {e}", part.name) })?;
            parts.push(PartReport { name: part.name.clone(), bytes: part.length, tensors });
        }
        Ok(Inspection { set: set.to_owned(), manifest, parts })
    }
}

fn tensors(bytes: Vec<u8>) -> std::result::Result<Vec<TensorReport>, burn_pack::Error> {
    let tensors = burn_pack::Reader::from_bytes(Bytes::from_bytes_vec(bytes))?.into_tensors()?;
    let mut reports: Vec<TensorReport> = tensors
        .into_iter()
        .map(|tensor| TensorReport {
            bytes: tensor.byte_len(),
            shape: tensor.shape.iter().copied().collect(),
            dtype: format!("{:?}", tensor.dtype),
            name: tensor.name,
        })
        .collect();
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}
