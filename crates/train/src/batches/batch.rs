use burn::tensor::{Device, Tensor, TensorData};
use tapeloom_core::WindowSource;
use tapeloom_model::{ForecasterSpec, Objective};

use crate::Result;

/// Samples on a device: windows `[batch, steps, features]` and targets `[batch, targets]`, targets in units of their scale.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Scaled features.
    pub windows: Tensor<3>,
    /// What the network should put out.
    pub targets: Tensor<2>,
}

impl Batch {
    /// Gathers samples by id.
    ///
    /// # Errors
    /// Whatever the source refuses.
    pub fn gather(source: &dyn WindowSource, ids: &[usize], spec: &ForecasterSpec, device: &Device) -> Result<Self> {
        Ok(Samples::gather(source, ids)?.into_batch(spec, device))
    }

    /// Puts targets into units of their scale.
    pub(crate) fn scale(targets: &mut [f32], spec: &ForecasterSpec) {
        let units = spec.target_scale.iter().cycle();
        targets.iter_mut().zip(units).for_each(|(target, unit)| *target /= unit);
    }
}

/// Samples in the host's memory, as the source gives them.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) ids: Vec<usize>,
    pub(crate) inputs: Vec<f32>,
    pub(crate) targets: Vec<f32>,
}

impl Samples {
    pub(crate) fn gather(source: &dyn WindowSource, ids: &[usize]) -> Result<Self> {
        let window = source.spec();
        let mut inputs = vec![0.0; ids.len() * window.window_len()];
        let mut targets = vec![0.0; ids.len() * window.targets.len()];
        source.gather(ids, &mut inputs, &mut targets)?;
        Ok(Self { ids: ids.to_vec(), inputs, targets })
    }

    pub(crate) fn into_batch(mut self, spec: &ForecasterSpec, device: &Device) -> Batch {
        let (window, count) = (&spec.window, self.ids.len());
        Batch::scale(&mut self.targets, spec);
        let shape = [count, window.steps, window.features.len()];
        Batch {
            windows: Tensor::from_data(TensorData::new(self.inputs, shape), device),
            targets: Tensor::from_data(TensorData::new(self.targets, [count, window.targets.len()]), device),
        }
    }
}

/// Calls `take` with the targets of all samples, in order, `[samples, targets]` a call.
pub(super) fn each_target(source: &dyn WindowSource, mut take: impl FnMut(&[f32])) -> Result<()> {
    const CHUNK: usize = 1024;
    let (width, outputs, len) = (source.spec().window_len(), source.spec().targets.len(), source.len());
    let (mut inputs, mut targets) = (vec![0.0; CHUNK * width], vec![0.0; CHUNK * outputs]);
    for from in (0..len).step_by(CHUNK) {
        let ids: Vec<usize> = (from..(from + CHUNK).min(len)).collect();
        let (inputs, targets) = (&mut inputs[..ids.len() * width], &mut targets[..ids.len() * outputs]);
        source.gather(&ids, inputs, targets)?;
        take(targets);
    }
    Ok(())
}

/// The standard deviation about zero of each target, so that a loss of 1 is what predicting zero would cost.
/// Empty for classification.
///
/// # Errors
/// Whatever the source refuses.
pub fn target_scale(source: &dyn WindowSource, objective: &Objective) -> Result<Vec<f32>> {
    if matches!(objective, Objective::CrossEntropy { .. }) {
        return Ok(Vec::new());
    }
    let outputs = source.spec().targets.len();
    let mut squares = vec![0.0_f64; outputs];
    each_target(source, |targets| {
        for row in targets.chunks_exact(outputs) {
            squares.iter_mut().zip(row).for_each(|(sum, y)| *sum += f64::from(*y) * f64::from(*y));
        }
    })?;
    let unit = |sum: f64| (sum / source.len().max(1) as f64).sqrt() as f32;
    Ok(squares.into_iter().map(unit).map(|unit| if unit > 0.0 && unit.is_finite() { unit } else { 1.0 }).collect())
}
