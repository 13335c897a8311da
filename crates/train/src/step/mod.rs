pub(crate) mod gradients;

use std::fmt;
use std::sync::Arc;

use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use tapeloom_core::{WindowSource, hash_words};
use tapeloom_dist::{Collective, ReduceOp, shard_range};
use tapeloom_model::{ForecasterSpec, Network, Pass};

use crate::batches::Batch;
use crate::config::{OptimizerConfig, Precision, TrainConfig};
use crate::optimizer::Optimizer;
use crate::{Error, Result};

/// One network with its optimizer, and the one way to move it: a step on a global batch.
///
/// This is the innermost part of the trainer; write a loop of your own around it.
pub struct Step<N> {
    network: N,
    optimizer: Optimizer,
    spec: ForecasterSpec,
    config: OptimizerConfig,
    batch_size: usize,
    seed: u64,
    compute: DType,
    device: Device,
    collective: Arc<dyn Collective>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean over the global batch, before the update.
    pub loss: f64,
    /// Global L2 norm of the gradient, before clipping.
    pub grad_norm: f64,
    /// Samples in the global batch.
    pub samples: usize,
}

impl<N> fmt::Debug for Step<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("config", &self.config).field("device", &self.device).finish_non_exhaustive()
    }
}

impl<N: Network> Step<N> {
    /// Puts `network` and a fresh optimizer on `device` for training.
    #[must_use]
    pub fn new(
        network: N,
        spec: ForecasterSpec,
        config: &TrainConfig,
        device: &Device,
        collective: Arc<dyn Collective>,
    ) -> Self {
        let plain = device.clone().without_autodiff();
        // Out of training and back in: whatever device and graph the network came from, its parameters are leaves now.
        let network = network.valid().to_device(&plain).train();
        Self {
            optimizer: Optimizer::new(&network, &plain),
            network,
            spec,
            config: config.optimizer.clone(),
            batch_size: config.batch_size,
            seed: config.seed,
            compute: if config.cluster.precision == Precision::Bf16Mixed { DType::BF16 } else { DType::F32 },
            device: plain.autodiff(),
            collective,
        }
    }

    /// Moves the network by one optimizer step on the samples `ids`, which are the global batch of all ranks.
    ///
    /// Each rank takes its share, cut into batches of at most `batch_size`; gradients are those of the mean loss over the
    /// global batch however it was cut. `global_step` counts steps done before and, with the seed, decides the draws.
    ///
    /// # Errors
    /// [`Error::Diverged`] before anything has moved when loss or gradient is not finite; whatever data or device refuse.
    pub fn run(
        &mut self,
        source: &dyn WindowSource,
        ids: &[usize],
        learning_rate: f64,
        global_step: u64,
    ) -> Result<StepReport> {
        if ids.is_empty() {
            return Err(Error::invalid("ids", "none", "give at least one sample"));
        }
        let (loss, gradients) = self.gradients(source, ids, global_step)?;
        let clip = gradients::clip(&self.network, &gradients, &loss, self.config.gradient_clip_norm);
        self.network = self.optimizer.step(&self.config, learning_rate, self.network.clone(), gradients, &clip);
        // The one place where the host waits for the device, after all work of the step is under way. The update has left
        // everything as it was where loss or gradient is not finite.
        let numbers = gradients::read(Tensor::cat(vec![loss, clip.norm()], 0))?;
        let (loss, grad_norm) = (f64::from(numbers[0]), f64::from(numbers[1]));
        for (what, value) in [("loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                self.optimizer.forget_update();
                return Err(Error::Diverged { what, value, step: global_step });
            }
        }
        Ok(StepReport { loss, grad_norm, samples: ids.len() })
    }

    /// Loss and gradient of the mean over the global batch, the same on every rank.
    fn gradients(
        &self,
        source: &dyn WindowSource,
        ids: &[usize],
        global_step: u64,
    ) -> Result<(Tensor<1>, GradientsParams)> {
        let key = hash_words(&[self.seed, global_step]);
        let share = shard_range(ids.len(), self.collective.rank(), self.collective.world_size());
        let (mut loss, mut sum) = (None, GradientsParams::new());
        let mut first = share.start;
        for ids_of_batch in ids[share].chunks(self.batch_size) {
            let batch = Batch::gather(source, ids_of_batch, &self.spec, &self.device)?;
            let pass = Pass::training(key, first as u64);
            let outputs = self.network.forward(batch.windows.cast(self.compute), &pass).cast(DType::F32);
            // Weighted by its share of the global batch, so that a short last batch counts for what it is.
            let mut part = self.spec.objective.loss(outputs, batch.targets);
            if ids_of_batch.len() < ids.len() {
                part = part * (ids_of_batch.len() as f64 / ids.len() as f64);
            }
            let backward = part.backward();
            let part = part.inner();
            loss = Some(loss.map_or_else(|| part.clone(), |loss: Tensor<1>| loss + part.clone()));
            gradients::add(&self.network, &mut sum, GradientsParams::from_grads(backward, &self.network));
            first += ids_of_batch.len();
        }
        // A rank without samples has no loss of its own.
        let loss = loss.unwrap_or_else(|| Tensor::zeros([1], &self.device.clone().without_autodiff()));
        let loss = if self.collective.world_size() > 1 { self.meet(loss, &mut sum)? } else { loss };
        Ok((loss, sum))
    }

    /// Sums loss and gradients over the ranks, so that all of them see the same and none moves alone.
    fn meet(&self, loss: Tensor<1>, sum: &mut GradientsParams) -> Result<Tensor<1>> {
        let mut flat = gradients::flatten(&self.network, sum)?;
        self.collective.all_reduce(&mut flat, ReduceOp::Sum)?;
        gradients::unflatten(&self.network, sum, &flat);
        let device = loss.device();
        let mut losses = [f64::from(gradients::read(loss)?[0])];
        self.collective.all_reduce_f64(&mut losses, ReduceOp::Sum)?;
        Ok(Tensor::from_floats([losses[0] as f32], &device))
    }

    /// The network as it stands.
    #[must_use]
    pub const fn network(&self) -> &N {
        &self.network
    }

    /// What the network is trained for.
    #[must_use]
    pub const fn spec(&self) -> &ForecasterSpec {
        &self.spec
    }

    /// The device that trains.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The optimizer's state as bytes in Burn's own format.
    ///
    /// # Errors
    /// When Burn can't encode it.
    pub fn encode_optimizer(&self) -> Result<Vec<u8>> {
        let bytes = self.optimizer.encode();
        Ok(bytes.map_err(|e| tapeloom_model::Error::Weights { detail: e.to_string() })?.to_vec())
    }

    /// Takes over weights and optimizer state from [`encode_weights`](tapeloom_model::encode_weights) and
    /// [`Step::encode_optimizer`].
    ///
    /// # Errors
    /// When they do not fit this network.
    pub fn restore(&mut self, weights: Vec<u8>, optimizer: Vec<u8>) -> Result<()> {
        let bad = |e: burn::store::RecordError| tapeloom_model::Error::Weights { detail: e.to_string() };
        self.optimizer = self.optimizer.decode(optimizer).map_err(bad)?;
        self.network = tapeloom_model::load_weights(self.network.clone(), weights)?;
        Ok(())
    }
}
