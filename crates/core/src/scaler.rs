use serde::{Deserialize, Serialize};

use crate::{Error, Result, Timestamp};

/// Standardises features: `(x - mean) / std` for each column, with the span of data that it was fitted on.
///
/// The span travels with the numbers so that a reader can check that no validation or test row took part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    /// One for each feature.
    pub mean: Vec<f32>,
    /// One for each feature, never 0: a constant column keeps 1.
    pub std: Vec<f32>,
    /// Time of the earliest row that took part.
    pub fitted_from: Timestamp,
    /// Time of the latest row that took part.
    pub fitted_to: Timestamp,
    /// How many rows took part.
    pub rows: u64,
}

impl Scaler {
    /// Scales row-major `[rows, features]` values in place.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `values` is not a whole number of rows.
    pub fn apply(&self, values: &mut [f32]) -> Result<()> {
        let width = self.mean.len();
        if width == 0 || self.std.len() != width || !values.len().is_multiple_of(width) {
            return Err(Error::invalid("values", values.len(), format!("give whole rows of {width} features")));
        }
        for row in values.chunks_exact_mut(width) {
            row.iter_mut().zip(self.mean.iter().zip(&self.std)).for_each(|(x, (mean, std))| *x = (*x - mean) / std);
        }
        Ok(())
    }
}
