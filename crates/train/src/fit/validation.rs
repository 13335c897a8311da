use std::collections::BTreeMap;

use burn::tensor::Device;
use tapeloom_core::WindowSource;
use tapeloom_model::{ForecasterSpec, Network, Objective, Pass};

use crate::Result;
use crate::batches::Batch;
use crate::evaluation::pearson;
use crate::step::read;

/// Samples that run through the network at once.
const BATCH: usize = 512;

/// Runs a network over a source without training and returns its metrics by name.
///
/// `val_loss` is the mean over samples. Regression adds `val_ic` (correlation of forecast and outcome over all samples) and
/// `val_directional_accuracy`; classification adds `val_accuracy`. With several targets, these look at the first.
///
/// # Errors
/// Whatever data or device refuse.
pub fn validate<N: Network>(
    network: &N,
    source: &dyn WindowSource,
    spec: &ForecasterSpec,
    device: &Device,
) -> Result<BTreeMap<String, f64>> {
    validate_first(network, source, spec, device, source.len())
}

/// Samples of a batch of [`validate`].
pub(super) const fn batches(count: u64) -> usize {
    (count as usize).saturating_mul(BATCH)
}

/// As [`validate`], on the first `limit` samples.
pub(super) fn validate_first<N: Network>(
    network: &N,
    source: &dyn WindowSource,
    spec: &ForecasterSpec,
    device: &Device,
    limit: usize,
) -> Result<BTreeMap<String, f64>> {
    let device = device.clone().without_autodiff();
    let network = network.valid();
    let classes = matches!(spec.objective, Objective::CrossEntropy { .. });
    let (mut loss, mut forecasts, mut outcomes) = (0.0, Vec::new(), Vec::new());
    let ids: Vec<usize> = (0..source.len().min(limit)).collect();
    for ids in ids.chunks(BATCH) {
        let batch = Batch::gather(source, ids, spec, &device)?;
        let outputs = network.forward(batch.windows, &Pass::inference());
        let part = spec.objective.loss(outputs.clone(), batch.targets.clone());
        loss += f64::from(read(part)?[0]) * ids.len() as f64;
        let (width, targets) = (outputs.dims()[1], batch.targets.dims()[1]);
        let outputs = read(outputs)?;
        forecasts.extend(outputs.chunks_exact(width).map(|row| if classes { argmax(row) } else { f64::from(row[0]) }));
        let batch_targets = read(batch.targets)?;
        outcomes.extend(batch_targets.chunks_exact(targets).map(|row| f64::from(row[0])));
    }
    let count = outcomes.len().max(1) as f64;
    let share = |hit: fn(f64, f64) -> bool| {
        forecasts.iter().zip(&outcomes).filter(|(f, y)| hit(**f, **y)).count() as f64 / count
    };
    let mut metrics = BTreeMap::from([("val_loss".to_owned(), loss / count)]);
    if classes {
        metrics.insert("val_accuracy".into(), share(|f, y| f == y));
    } else {
        metrics.insert("val_ic".into(), pearson(&forecasts, &outcomes));
        metrics.insert("val_directional_accuracy".into(), share(|f, y| f * y > 0.0));
    }
    Ok(metrics)
}

fn argmax(row: &[f32]) -> f64 {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0.0, |(class, _)| class as f64)
}
