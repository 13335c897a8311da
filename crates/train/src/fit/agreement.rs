//! Ranks of a run begin at one moment, on the same samples, with the same weights.

use tapeloom_core::Fingerprint;
use tapeloom_model::Network;

use super::Fit;
use crate::{Error, Result};

impl<'a, N: Network + 'a> Fit<'a, N> {
    /// Compares where the ranks stand, and gives them the weights of rank 0 where they differ.
    pub(super) fn agree(&mut self) -> Result<()> {
        let collective = self.trainer.collective.clone();
        if collective.world_size() == 1 {
            return Ok(());
        }
        let progress = serde_json::to_vec(&self.progress)
            .map_err(|e| tapeloom_core::Error::provider("could not encode the progress", e))?;
        let at = format!("epoch {}, step {}", self.progress.epoch, self.progress.step);
        let remedy = "let all ranks read one store, and the one that writes it finish first";
        self.same("progress", &at, Fingerprint::of(&progress), remedy)?;
        let samples = format!("{} samples", self.train.len());
        self.same("train", &samples, self.data, "give all ranks the same samples in the same order")?;
        let weights = self.step.weights_row()?;
        if self.differing(fingerprint(&weights))?.is_some() {
            let mut theirs = weights;
            collective.broadcast(&mut theirs, 0)?;
            self.step.take_weights(&theirs);
            let taken = fingerprint(&self.step.weights_row()?);
            self.same("weights", "not those of rank 0", taken, "give all ranks networks of one shape")?;
        }
        Ok(())
    }

    fn same(&self, field: &'static str, value: &str, mine: Fingerprint, remedy: &str) -> Result<()> {
        match self.differing(mine)? {
            None => Ok(()),
            Some(rank) => {
                let value = format!("{value} on rank {}", self.trainer.collective.rank());
                Err(Error::invalid(field, value, format!("rank {rank} has it different: {remedy}")))
            }
        }
    }

    /// The first rank whose fingerprint is not that of rank 0; the same on every rank.
    fn differing(&self, mine: Fingerprint) -> Result<Option<usize>> {
        // Bytes, which floats hold exactly.
        let bytes: Vec<f32> = mine.as_bytes().iter().map(|byte| f32::from(*byte)).collect();
        let all = self.trainer.collective.all_gather(&bytes)?;
        Ok(all.chunks_exact(bytes.len()).position(|theirs| *theirs != all[..bytes.len()]))
    }
}

fn fingerprint(row: &[f32]) -> Fingerprint {
    let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
    Fingerprint::of(&bytes)
}
