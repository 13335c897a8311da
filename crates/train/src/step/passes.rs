use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::module::{ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use tapeloom_model::{Network, Pass};

use super::{LossScale, Step, gradients};
use crate::batches::{Batch, Supply};
use crate::{Error, Result};

/// Loss and gradients of one shard, each as its share of the mean over the global batch.
pub(super) struct Part {
    pub(super) shard: usize,
    pub(super) loss: Tensor<1>,
    pub(super) gradients: GradientsParams,
}

impl<N: Network> Step<N> {
    /// Forward and backward over this rank's shards.
    pub(super) fn passes(&mut self, supply: &mut Supply<'_>, ids: &[usize], key: u64) -> Result<Vec<Part>> {
        let scale = self.scale.as_ref().map_or(1.0, LossScale::factor);
        let total = self.weights.as_ref().map(|weights| ids.iter().map(|id| f64::from(weights[*id])).sum::<f64>());
        let mut parts: Vec<Part> = Vec::new();
        for slice in self.cut.slices(ids.len()) {
            let (range, here) = (slice.samples.clone(), &ids[slice.samples.clone()]);
            let (spec, compute, device) = (&self.spec, self.compute, &self.device);
            let batch = self.profile.time("gather", || supply.batch(ids, range, spec, compute, device))?;
            let pass = supply.pass(key, slice.samples.start);
            let loss = self.profile.time("forward", || {
                // Casting is part of the graph, so gradients arrive at the f32 weights.
                let half = (self.compute == DType::F16).then(|| self.network.clone().map(&mut Cast(DType::F16)));
                self.loss(half.as_ref().unwrap_or(&self.network), batch, here, &pass, ids.len(), total)
            });
            if parts.is_empty() {
                self.recorder.saw(ids.len(), pass.sites());
            }
            let scaled = if scale == 1.0 { loss.clone() } else { loss.clone() * scale };
            let backward = self.profile.time("backward", || scaled.backward());
            let gradients = GradientsParams::from_grads(backward, &self.network);
            let loss = loss.inner();
            match parts.last_mut().filter(|part| part.shard == slice.shard) {
                Some(part) => {
                    part.loss = part.loss.clone() + loss;
                    gradients::add(&self.network, &mut part.gradients, gradients);
                }
                None => parts.push(Part { shard: slice.shard, loss, gradients }),
            }
        }
        Ok(parts)
    }

    /// The samples' share of the mean loss over a global batch of `count` samples, whose weights add up to `total`.
    fn loss(
        &self,
        network: &N,
        batch: Batch,
        ids: &[usize],
        pass: &Pass,
        count: usize,
        total: Option<f64>,
    ) -> Tensor<1> {
        let (here, objective) = (ids.len(), &self.spec.objective);
        let shares = self.weights.as_ref().zip(total).map(|(weights, total)| {
            let share = |id: &usize| if total > 0.0 { (f64::from(weights[*id]) / total) as f32 } else { 0.0 };
            let shares: Vec<f32> = ids.iter().map(share).collect();
            Tensor::<1>::from_data(TensorData::new(shares, [here]), &self.device)
        });
        let outputs = network.forward(batch.windows, pass).cast(DType::F32);
        match shares {
            Some(shares) => (objective.losses(outputs, batch.targets) * shares).sum(),
            None => {
                let mean = objective.loss(outputs, batch.targets);
                // Weighted by its share of the global batch, so that a short last batch counts for what it is.
                if here < count { mean * (here as f64 / count as f64) } else { mean }
            }
        }
    }
}

/// Turns running out of memory, however a device says it, into [`Error::OutOfMemory`].
pub(super) fn within_memory<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(Error::Model(tapeloom_model::Error::Device { action, source }))) => {
            let detail = source.to_string();
            if speaks_of_memory(&detail) {
                return Err(Error::OutOfMemory { samples: 0, detail });
            }
            Err(tapeloom_model::Error::Device { action, source }.into())
        }
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            match text.or_else(|| panic.downcast_ref::<&str>().copied()).filter(|text| speaks_of_memory(text)) {
                Some(text) => Err(Error::OutOfMemory { samples: 0, detail: text.to_owned() }),
                None => resume_unwind(panic),
            }
        }
    }
}

/// Backends have no type for it: CUDA's driver, CubeCL's pools and wgpu each have words of their own.
fn speaks_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    ["out of memory", "out_of_memory", "outofmemory", "memory allocation", "bufferalloc", "buffer too big"]
        .iter()
        .any(|words| text.contains(words))
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor.cast(self.0), mapper)
    }
}
