use std::fmt;

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor, TensorData};

use crate::forecaster::{Forecaster, ForecasterSpec, Network};
use crate::objective::Objective;
use crate::pass::Pass;
use crate::{Error, Result};

/// A trained model behind plain numbers, so that a host can hold models of any kind.
pub trait Predict: Send + Sync + fmt::Debug {
    /// What goes in and what comes out.
    fn spec(&self) -> &ForecasterSpec;

    /// Predicts windows whose features are already scaled.
    ///
    /// `windows` is row-major `[n, steps, features]`; the result is row-major `[n, outputs]`: values in the targets' own
    /// unit for regression, class probabilities for classification.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `windows` is not whole windows or holds a number that is not finite; [`Error::Device`].
    fn predict(&self, windows: &[f32]) -> Result<Vec<f32>>;

    /// Predicts raw windows: scales a copy with the scaler of the spec first.
    ///
    /// # Errors
    /// As [`Predict::predict`].
    fn predict_raw(&self, windows: &[f32]) -> Result<Vec<f32>> {
        match &self.spec().window.scaler {
            None => self.predict(windows),
            Some(scaler) => {
                let mut scaled = windows.to_vec();
                scaler.apply(&mut scaled)?;
                self.predict(&scaled)
            }
        }
    }
}

/// A [`Forecaster`] ready for inference.
#[derive(Debug)]
pub struct Predictor {
    spec: ForecasterSpec,
    network: Forecaster,
    device: Device,
}

impl Predictor {
    /// Windows that run through the network at once.
    const BATCH: usize = 512;

    /// Takes the network out of training.
    #[must_use]
    pub fn new(spec: ForecasterSpec, network: &Forecaster, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        Self { spec, network: network.valid().to_device(&device), device }
    }

    /// From weights as [`encode_weights`] wrote them.
    ///
    /// # Errors
    /// [`Error::Weights`] when they do not fit the spec.
    pub fn from_weights(spec: ForecasterSpec, weights: Vec<u8>, device: &Device) -> Result<Self> {
        let device = device.clone().without_autodiff();
        let network = load_weights(Forecaster::new(&spec, 0, &device)?, weights)?;
        Ok(Self { spec, network, device })
    }
}

impl Predict for Predictor {
    fn spec(&self) -> &ForecasterSpec {
        &self.spec
    }

    fn predict(&self, windows: &[f32]) -> Result<Vec<f32>> {
        let (steps, features) = (self.spec.window.steps, self.spec.window.features.len());
        let width = steps * features;
        if windows.is_empty() || !windows.len().is_multiple_of(width) {
            let remedy = format!("give whole windows of {steps} steps x {features} features");
            return Err(Error::invalid("windows length", windows.len(), remedy));
        }
        if let Some(at) = windows.iter().position(|x| !x.is_finite()) {
            let (window, step, feature) = (at / width, at % width / features, at % features);
            let place = format!("windows[{window}] step {step} feature {}", self.spec.window.features[feature]);
            return Err(Error::invalid(place, windows[at], "fill or drop such rows first"));
        }
        let mut predictions = Vec::with_capacity(windows.len() / width * self.spec.outputs());
        for batch in windows.chunks(Self::BATCH * width) {
            let data = TensorData::new(batch.to_vec(), [batch.len() / width, steps, features]);
            let outputs = self.network.forward(Tensor::from_data(data, &self.device), &Pass::inference());
            predictions.extend(read(self.spec.objective.prediction(outputs))?);
        }
        if matches!(self.spec.objective, Objective::CrossEntropy { .. }) || self.spec.target_scale.is_empty() {
            return Ok(predictions);
        }
        let units = self.spec.target_scale.iter().cycle();
        predictions.iter_mut().zip(units).for_each(|(value, unit)| *value *= unit);
        Ok(predictions)
    }
}

fn read(tensor: Tensor<2>) -> Result<Vec<f32>> {
    let fail = |source: Box<dyn std::error::Error + Send + Sync>| Error::Device { action: "read predictions", source };
    let data = tensor.try_into_data().map_err(|e| fail(format!("{e:?}").into()))?;
    data.try_to_vec().map_err(|e| fail(format!("{e:?}").into()))
}

/// The weights of a network as bytes in Burn's own burnpack format.
///
/// # Errors
/// [`Error::Weights`] when Burn can't encode them.
pub fn encode_weights<N: Network>(network: &N) -> Result<Vec<u8>> {
    let bytes = network.clone().into_record().into_bytes().map_err(|e| Error::Weights { detail: e.to_string() })?;
    Ok(bytes.to_vec())
}

/// A network with the weights that [`encode_weights`] wrote.
///
/// # Errors
/// [`Error::Weights`] when a tensor is missing, extra or of another shape.
pub fn load_weights<N: Network>(network: N, weights: Vec<u8>) -> Result<N> {
    let bad = |e: burn::store::RecordError| Error::Weights { detail: e.to_string() };
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights)).map_err(bad)?;
    network.try_load_record(record).map_err(bad)
}
