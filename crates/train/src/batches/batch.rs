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
        let window = source.spec();
        let mut inputs = vec![0.0; ids.len() * window.window_len()];
        let mut targets = vec![0.0; ids.len() * window.targets.len()];
        source.gather(ids, &mut inputs, &mut targets)?;
        let units = spec.target_scale.iter().cycle();
        targets.iter_mut().zip(units).for_each(|(target, unit)| *target /= unit);
        let shape = [ids.len(), window.steps, window.features.len()];
        Ok(Self {
            windows: Tensor::from_data(TensorData::new(inputs, shape), device),
            targets: Tensor::from_data(TensorData::new(targets, [ids.len(), window.targets.len()]), device),
        })
    }
}

/// The standard deviation about zero of each target, so that a loss of 1 is what predicting zero would cost.
/// Empty for classification.
///
/// # Errors
/// Whatever the source refuses.
pub fn target_scale(source: &dyn WindowSource, objective: &Objective) -> Result<Vec<f32>> {
    const CHUNK: usize = 1024;
    if matches!(objective, Objective::CrossEntropy { .. }) {
        return Ok(Vec::new());
    }
    let (width, outputs, len) = (source.spec().window_len(), source.spec().targets.len(), source.len());
    let mut squares = vec![0.0_f64; outputs];
    let (mut inputs, mut targets) = (vec![0.0; CHUNK * width], vec![0.0; CHUNK * outputs]);
    for from in (0..len).step_by(CHUNK) {
        let ids: Vec<usize> = (from..(from + CHUNK).min(len)).collect();
        let (inputs, targets) = (&mut inputs[..ids.len() * width], &mut targets[..ids.len() * outputs]);
        source.gather(&ids, inputs, targets)?;
        for row in targets.chunks_exact(outputs) {
            squares.iter_mut().zip(row).for_each(|(sum, y)| *sum += f64::from(*y) * f64::from(*y));
        }
    }
    let unit = |sum: f64| (sum / len.max(1) as f64).sqrt() as f32;
    Ok(squares.into_iter().map(unit).map(|unit| if unit > 0.0 && unit.is_finite() { unit } else { 1.0 }).collect())
}
