use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use tapeloom_core::{WindowSource, hash_words};
use tapeloom_dist::{Collective, ReduceOp, shard_range};
use tapeloom_model::{AdamW, Dials, ForecasterSpec, Network, Rows};

use crate::config::{OptimizerConfig, Precision, TrainConfig};
use crate::feed::{Feed, Resident};
use crate::optimizer::{Optimizer, fork};
use crate::recorder::{Recorded, Recorder};
use crate::{Error, Result, gradients};

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
    resident: Option<Resident>,
    recorder: Recorder,
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
        // And in memory of their own, since on CUDA an update moves them where they lie.
        let network = fork(network.valid().to_device(&plain)).train();
        let records = config.cluster.cuda_graphs && collective.world_size() == 1 && network.is_recordable();
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
            resident: None,
            recorder: Recorder::new(records),
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
        let key = hash_words(&[self.seed, global_step]);
        let rule = self.optimizer.next_rule(&self.config, learning_rate);
        // The one place where the host waits for the device, after all work of the step is under way. The update has left
        // everything as it was where loss or gradient is not finite.
        let numbers = self.carry_out(source, ids, key, &rule)?;
        let (loss, grad_norm) = (f64::from(numbers[0]), f64::from(numbers[1]));
        for (what, value) in [("loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                self.optimizer.forget_update();
                return Err(Error::Diverged { what, value, step: global_step });
            }
        }
        Ok(StepReport { loss, grad_norm, samples: ids.len() })
    }

    /// Does the step by the shortest way that the device has; gives loss and gradient norm.
    fn carry_out(&mut self, source: &dyn WindowSource, ids: &[usize], key: u64, rule: &AdamW) -> Result<Vec<f32>> {
        let Some((rows, first_rows)) = self.rows(source, ids)? else {
            return gradients::read(self.update(&Feed::Host { source, ids }, ids.len(), key, rule)?);
        };
        if let Some(recorded) = self.recorder.recorded(ids.len()) {
            return recorded.replay(rule, key, &first_rows);
        }
        let due = self.recorder.due(ids.len()).and_then(|sites| Dials::new(&self.device, sites, ids.len()));
        match due {
            Some(dials) => self.record(rows, dials, &first_rows, key, rule),
            None => {
                let feed = Feed::Resident { rows: &rows, first_rows: &first_rows };
                gradients::read(self.update(&feed, ids.len(), key, rule)?)
            }
        }
    }

    /// The rows on the device, and where the samples begin there; none where the host cuts the batches.
    fn rows(&mut self, source: &dyn WindowSource, ids: &[usize]) -> Result<Option<(Rows, Vec<usize>)>> {
        let Some(matrix) = source.matrix().filter(|_| Rows::pay_on(&self.device)) else { return Ok(None) };
        if let Some(id) = ids.iter().find(|id| **id >= source.len()) {
            return Err(Error::invalid("sample id", id, format!("this source holds {} samples", source.len())));
        }
        if self.resident.as_ref().is_none_or(|resident| resident.source != source.fingerprint()) {
            self.resident = Resident::new(matrix, &self.spec, &self.device.clone().without_autodiff());
            self.recorder.forget();
        }
        Ok(self.resident.as_ref().map(|resident| (resident.rows.clone(), resident.first_rows(matrix, ids))))
    }

    /// Does the step, and records it for the steps to come. Where the device will not record, all goes on as it was.
    fn record(&mut self, rows: Rows, dials: Dials, first_rows: &[usize], key: u64, rule: &AdamW) -> Result<Vec<f32>> {
        let samples = first_rows.len();
        let before = (fork(self.network.clone()), self.optimizer.fork());
        dials.turn(rule, key, first_rows);
        dials.prepare()?;
        let feed = Feed::Recorded { rows: &rows, dials: &dials };
        let done = gradients::read(self.update(&feed, samples, key, rule)?)?;
        match dials.record(|| self.update(&feed, samples, key, rule)) {
            Ok((Ok(numbers), recording)) => {
                self.recorder.keep(Recorded { recording, dials, _rows: rows, numbers, samples });
                Ok(done)
            }
            Ok((Err(error), _)) => Err(error),
            Err(error) => {
                let again = self.recorder.refuse();
                tracing::warn!(%error, source = error.source(), again, "a step was not recorded; steps run launch by launch");
                // What the recording would have written can't be read any more.
                (self.network, self.optimizer) = before;
                gradients::read(self.update(&Feed::Resident { rows: &rows, first_rows }, samples, key, rule)?)
            }
        }
    }

    /// Forward, backward and update; loss and gradient norm stay on the device.
    fn update(&mut self, feed: &Feed<'_>, samples: usize, key: u64, rule: &AdamW) -> Result<Tensor<1>> {
        let (loss, gradients) = self.gradients(feed, samples, key)?;
        let clip = gradients::clip(&self.network, &gradients, &loss, self.config.gradient_clip_norm);
        self.network = self.optimizer.step(rule, self.network.clone(), gradients, &clip, feed.dials());
        Ok(Tensor::cat(vec![loss, clip.norm()], 0))
    }

    /// Loss and gradient of the mean over the global batch, the same on every rank.
    fn gradients(&mut self, feed: &Feed<'_>, samples: usize, key: u64) -> Result<(Tensor<1>, GradientsParams)> {
        let share = shard_range(samples, self.collective.rank(), self.collective.world_size());
        let (mut loss, mut sum) = (None, GradientsParams::new());
        for first in share.clone().step_by(self.batch_size) {
            let range = first..(first + self.batch_size).min(share.end);
            let part_of_batch = range.len() as f64 / samples as f64;
            let batch = feed.batch(range, &self.spec, self.compute, &self.device)?;
            let pass = feed.pass(key, first);
            let outputs = self.network.forward(batch.windows, &pass).cast(DType::F32);
            self.recorder.saw(samples, pass.sites());
            // Weighted by its share of the global batch, so that a short last batch counts for what it is.
            let mut part = self.spec.objective.loss(outputs, batch.targets);
            if part_of_batch < 1.0 {
                part = part * part_of_batch;
            }
            let backward = part.backward();
            let part = part.inner();
            loss = Some(loss.map_or_else(|| part.clone(), |loss: Tensor<1>| loss + part.clone()));
            gradients::add(&self.network, &mut sum, GradientsParams::from_grads(backward, &self.network));
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

    /// The network as it stands. On CUDA later steps move it where it lies, and its clones with it.
    #[must_use]
    pub const fn network(&self) -> &N {
        &self.network
    }

    /// Whether a recording stands for whole steps by now.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        matches!(self.recorder, Recorder::Done(_))
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
        self.recorder.forget();
        self.optimizer = self.optimizer.decode(optimizer).map_err(bad)?;
        self.network = tapeloom_model::load_weights(self.network.clone(), weights)?;
        Ok(())
    }
}
