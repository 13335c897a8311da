//! One optimizer step: passes over the samples, gradients that ranks agree on, and one guarded update.

mod anomaly;
mod gradients;
mod loss_scale;
mod meet;
mod on_device;
mod passes;
mod recorded;
mod recorder;
mod sharded;
mod state;

use std::fmt;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use tapeloom_core::{WindowSource, hash_words};
use tapeloom_dist::{Collective, ReduceOp};
use tapeloom_model::{ForecasterSpec, Network};

use crate::batches::{Cut, Direct, Feed, Resident, Supply};
use crate::config::{AverageKind, OptimizerConfig, Precision, Reduction, Strategy, TrainConfig};
use crate::fit::Profile;
use crate::optimizer::{Averages, Optimizer, fork};
use crate::{Error, Result};

pub(crate) use gradients::read;
pub(crate) use loss_scale::LossScale;
use on_device::OnDevice;
use recorder::Recorder;
pub(crate) use state::Snapshot;

/// One network with its optimizer, and the one way to move it: a step on a global batch.
///
/// This is the innermost part of the trainer; write a loop of your own around it.
pub struct Step<N> {
    network: N,
    optimizer: Optimizer,
    averages: Option<Averages<N>>,
    scale: Option<LossScale>,
    spec: ForecasterSpec,
    config: OptimizerConfig,
    cut: Cut,
    halve_on_oom: bool,
    seed: u64,
    compute: DType,
    device: Device,
    collective: Arc<dyn Collective>,
    weights: Option<Arc<[f32]>>,
    profile: Arc<Profile>,
    resident: Option<Resident>,
    recorder: Recorder,
    on_device: Option<OnDevice>,
    /// As `on_device`, where each rank moves pieces of the parameters.
    sharded: Option<sharded::OnDevice>,
    /// What is asked of the device now is recorded, and not done.
    is_recording: bool,
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
    /// Nothing moved, because the gradient left the range of f16; the loss scale has been halved.
    pub held_back: bool,
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
        let alone = collective.world_size() == 1 || collective.device().is_some();
        let records = config.cluster.cuda_graphs && alone && network.is_recordable();
        // Of the parameters' numbers, each rank moves all or its part.
        let place = (collective.rank(), collective.world_size());
        let pieces = if config.cluster.strategy == Strategy::Zero1 { place } else { (0, 1) };
        let bits = config.cluster.reduction == Reduction::Bits;
        Self {
            optimizer: Optimizer::new(&config.optimizer, &network, &plain, pieces),
            averages: (config.averaging.kind != AverageKind::None).then(|| Averages::new(&network)),
            network,
            scale: (config.cluster.precision == Precision::F16Mixed).then(LossScale::default),
            spec,
            config: config.optimizer.clone(),
            cut: Cut {
                rank: collective.rank(),
                world_size: collective.world_size(),
                pass: config.batch_size,
                virtual_shards: bits.then_some(config.cluster.virtual_shards),
            },
            halve_on_oom: config.recovery.halve_on_oom,
            seed: config.seed,
            compute: match config.cluster.precision {
                Precision::Bf16Mixed => DType::BF16,
                Precision::F16Mixed => DType::F16,
                _ => DType::F32,
            },
            device: plain.autodiff(),
            collective,
            weights: None,
            profile: Arc::default(),
            resident: None,
            recorder: Recorder::new(records && !bits && config.cluster.precision != Precision::F16Mixed),
            on_device: None,
            sharded: None,
            is_recording: false,
        }
    }

    /// Lets each sample count by its weight; see [`TrainerBuilder::sample_weights`](crate::TrainerBuilder::sample_weights).
    #[must_use]
    pub fn sample_weights(mut self, weights: Option<Arc<[f32]>>) -> Self {
        self.weights = weights;
        self
    }

    pub(crate) fn profiled(mut self, profile: Arc<Profile>) -> Self {
        self.profile = profile;
        self
    }

    /// Moves the network by one optimizer step on the samples `ids`, which are the global batch of all ranks.
    ///
    /// Each rank takes its share, cut into passes of at most `batch_size`; gradients are those of the mean loss over the
    /// global batch however it was cut. `global_step` counts steps done before and, with the seed, decides the draws.
    ///
    /// # Errors
    /// [`Error::Diverged`] before anything has moved when loss or gradient is not finite; [`Error::OutOfMemory`] when not
    /// even one sample fits; whatever data or device refuse.
    pub fn run(
        &mut self,
        source: &dyn WindowSource,
        ids: &[usize],
        learning_rate: f64,
        global_step: u64,
    ) -> Result<StepReport> {
        self.run_from(&mut Direct(source), ids, learning_rate, global_step)
    }

    pub(crate) fn run_from(
        &mut self,
        feed: &mut dyn Feed,
        ids: &[usize],
        learning_rate: f64,
        global_step: u64,
    ) -> Result<StepReport> {
        if ids.is_empty() {
            return Err(Error::invalid("ids", "none", "give at least one sample"));
        }
        self.optimizer.begin_update();
        // The one place where the host waits for the device, after all work of the step is under way. The update has left
        // everything as it was where loss or gradient is not finite.
        let numbers = match self.carry_out(feed, ids, learning_rate, hash_words(&[self.seed, global_step])) {
            Ok(numbers) => numbers,
            Err(error) => {
                self.optimizer.forget_update();
                return Err(error);
            }
        };
        // A group that has failed leaves numbers that say nothing about this step.
        self.collective.device().map_or(Ok(()), |guest| guest.check())?;
        let (loss, grad_norm) = (f64::from(numbers[0]), f64::from(numbers[1]));
        let report = StepReport { loss, grad_norm, samples: ids.len(), held_back: false };
        if loss.is_finite() && grad_norm.is_finite() {
            if let Some(scale) = &mut self.scale {
                scale.grow();
            }
            return Ok(report);
        }
        self.optimizer.forget_update();
        if loss.is_finite() && self.scale.as_mut().is_some_and(LossScale::shrink) {
            return Ok(StepReport { held_back: true, ..report });
        }
        let (what, value) = if loss.is_finite() { ("gradient norm", grad_norm) } else { ("loss", loss) };
        Err(Error::Diverged { what, value, step: global_step, detail: String::new() })
    }

    /// Passes, gradients and update; loss and gradient norm stay on the device.
    fn update(&mut self, supply: &mut Supply<'_>, ids: &[usize], learning_rate: f64, key: u64) -> Result<Tensor<1>> {
        let mut parts = self.parts(supply, ids, key)?;
        let profile = self.profile.clone();
        if !self.optimizer.pieces().is_whole() {
            return profile.time("update", || self.update_pieces(parts.pop(), learning_rate, supply.dials()));
        }
        let (loss, mut gradients) = profile.time("reduce", || self.meet(parts))?;
        let scale = self.scale.as_ref().map_or(1.0, LossScale::factor);
        if scale != 1.0 {
            gradients::scale(&self.network, &mut gradients, 1.0 / scale);
        }
        let clip = gradients::clip(&self.network, &gradients, &loss, self.config.gradient_clip_norm);
        profile.time("update", || {
            let (network, dials) = (self.network.clone(), supply.dials());
            self.network = self.optimizer.step(&self.config, learning_rate, network, gradients, &clip, dials);
        });
        Ok(Tensor::cat(vec![loss, clip.norm()], 0))
    }

    /// The gradients of this rank's shards, in smaller passes as long as they do not fit into some rank's memory.
    fn parts(&mut self, supply: &mut Supply<'_>, ids: &[usize], key: u64) -> Result<Vec<passes::Part>> {
        loop {
            let parts = passes::within_memory(|| self.passes(supply, ids, key));
            let full = matches!(parts, Err(Error::OutOfMemory { .. }));
            if !self.any_rank(full)? {
                return parts;
            }
            if !self.halve_on_oom || self.cut.pass == 1 {
                let detail = match parts {
                    Err(Error::OutOfMemory { detail, .. }) => detail,
                    _ => "on another rank".into(),
                };
                return Err(Error::OutOfMemory { samples: self.cut.pass, detail });
            }
            self.cut.pass = self.cut.pass.div_ceil(2);
            self.recorder.forget();
        }
    }

    /// Whether it is so on any rank; all of them get the same answer.
    fn any_rank(&self, here: bool) -> Result<bool> {
        // What is recorded was agreed on when it ran.
        if self.collective.world_size() == 1 || self.is_recording {
            return Ok(here);
        }
        let mut any = [f32::from(u8::from(here))];
        self.collective.all_reduce(&mut any, ReduceOp::Max)?;
        Ok(any[0] > 0.0)
    }

    /// The network as it stands. On CUDA later steps move it where it lies, and its clones with it.
    #[must_use]
    pub const fn network(&self) -> &N {
        &self.network
    }

    /// The average of the weights where one is kept and has begun, the network as it stands otherwise.
    #[must_use]
    pub fn averaged(&self) -> &N {
        self.averages.as_ref().and_then(Averages::network).unwrap_or(&self.network)
    }

    /// Whether a recording stands for whole steps by now.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.recorder.has_recorded()
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

    /// Samples of one pass: `batch_size`, or less where that did not fit into memory.
    #[must_use]
    pub const fn pass_size(&self) -> usize {
        self.cut.pass
    }

    pub(crate) fn weights(&self) -> Option<Arc<[f32]>> {
        self.weights.clone()
    }

    pub(crate) const fn cut(&self) -> Cut {
        self.cut
    }
}
