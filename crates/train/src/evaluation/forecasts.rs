use serde::Serialize;
use tapeloom_core::{Timestamp, WindowSource};
use tapeloom_model::Predict;

use crate::{Error, Result};

/// One forecast beside what came of it, both in the unit of the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Index into the source's symbols.
    pub symbol: u32,
    /// The moment of the forecast.
    pub time: Timestamp,
    /// What was forecast.
    pub value: f64,
    /// What happened.
    pub outcome: f64,
}

/// Forecasts over a source, sorted by time, then symbol.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Forecasts(Vec<Forecast>);

impl Forecasts {
    /// Lets a model forecast every sample of a source; its first output stands against the first target.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the windows are not those that the model was trained on; whatever the model refuses.
    pub fn of(model: &dyn Predict, source: &dyn WindowSource) -> Result<Self> {
        let (expected, found) = (&model.spec().window, source.spec());
        if expected != found {
            let value = format!("{} steps of {} features", found.steps, found.features.len());
            return Err(Error::invalid(
                "windows",
                value,
                "give windows with the model's own steps, features and scaler",
            ));
        }
        let outputs = model.spec().outputs();
        Self::from_fn(source, |inputs| {
            let predictions = model.predict(inputs)?;
            Ok(predictions.chunks_exact(outputs).map(|row| f64::from(row[0])).collect())
        })
    }

    /// Forecasts by a function from row-major windows `[n, steps, features]` to one number each.
    ///
    /// # Errors
    /// Whatever the function or the source refuse.
    pub fn from_fn(source: &dyn WindowSource, mut forecast: impl FnMut(&[f32]) -> Result<Vec<f64>>) -> Result<Self> {
        const CHUNK: usize = 512;
        let (width, targets) = (source.spec().window_len(), source.spec().targets.len());
        let ids: Vec<usize> = (0..source.len()).collect();
        let mut rows = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let (mut inputs, mut outcomes) = (vec![0.0; ids.len() * width], vec![0.0; ids.len() * targets]);
            source.gather(ids, &mut inputs, &mut outcomes)?;
            let values = forecast(&inputs)?;
            for ((id, value), outcome) in ids.iter().zip(values).zip(outcomes.chunks_exact(targets)) {
                let stamp = source.stamp(*id)?;
                rows.push(Forecast { symbol: stamp.symbol, time: stamp.time, value, outcome: f64::from(outcome[0]) });
            }
        }
        rows.sort_by_key(|row| (row.time, row.symbol));
        Ok(Self(rows))
    }

    /// Forecasts of several spans as one, such as the test blocks of a walk-forward.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut rows: Vec<Forecast> = parts.into_iter().flat_map(|part| part.0).collect();
        rows.sort_by_key(|row| (row.time, row.symbol));
        Self(rows)
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Forecast] {
        &self.0
    }

    /// Rows of one moment, one slice for each moment.
    pub fn dates(&self) -> impl Iterator<Item = &[Forecast]> {
        self.0.chunk_by(|a, b| a.time == b.time)
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.0.iter().map(|row| row.value).collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<f64> {
        self.0.iter().map(|row| row.outcome).collect()
    }
}
