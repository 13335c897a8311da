use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};
use tapeloom_core::hash_words;
use tapeloom_model::{Network, Pass};

use super::{Step, read};
use crate::Result;
use crate::batches::Feed;

impl<N: Network> Step<N> {
    /// Runs a step that broke once more, without an update, and says what is not finite first: a weight, a sample, an output,
    /// the loss, or the gradient of a parameter. It looks at this rank's samples, in f32.
    pub(crate) fn diagnose(&self, feed: &mut dyn Feed, ids: &[usize], global_step: u64) -> Result<String> {
        let mut weights = Broken { gradients: None, path: vec![], found: None };
        self.network.visit(&mut weights);
        if let Some(path) = weights.found {
            return Ok(format!("the weights of {path}"));
        }
        let pass_key = hash_words(&[self.seed, global_step]);
        for slice in self.cut.slices(ids.len()) {
            let samples = feed.take(&ids[slice.samples.clone()])?;
            let (window, ids) = (&self.spec.window, samples.ids.clone());
            let row =
                |values: &[f32], width: usize| values.iter().position(|x| !x.is_finite()).map(|at| (at / width, at));
            if let Some((sample, at)) = row(&samples.inputs, window.window_len()) {
                let feature = &window.features[at % window.features.len()];
                return Ok(format!("feature {feature} of sample {}", ids[sample]));
            }
            if let Some((sample, at)) = row(&samples.targets, window.targets.len()) {
                return Ok(format!("target {} of sample {}", window.targets[at % window.targets.len()], ids[sample]));
            }
            let batch = samples.into_batch(&self.spec, &self.device);
            let pass = Pass::training(pass_key, slice.samples.start as u64);
            let outputs = self.network.forward(batch.windows, &pass).cast(DType::F32);
            let width = outputs.dims()[1];
            if let Some((sample, _)) = row(&read(outputs.clone().inner())?, width) {
                return Ok(format!("the network's output for sample {}", ids[sample]));
            }
            let losses = self.spec.objective.losses(outputs, batch.targets);
            if let Some((sample, _)) = row(&read(losses.clone().inner())?, 1) {
                return Ok(format!("the loss of sample {}", ids[sample]));
            }
            let gradients = GradientsParams::from_grads(losses.mean().backward(), &self.network);
            let mut broken = Broken { gradients: Some(&gradients), path: vec![], found: None };
            self.network.visit(&mut broken);
            if let Some(path) = broken.found {
                return Ok(format!("the gradient of {path}"));
            }
        }
        Ok("nothing that shows when the step runs alone: a sum over passes or ranks, or the range of a half format"
            .into())
    }
}

/// Finds the first parameter whose gradient, or whose own numbers, are not finite.
struct Broken<'a> {
    gradients: Option<&'a GradientsParams>,
    path: Vec<String>,
    found: Option<String>,
}

impl ModuleVisitor for Broken<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_some() {
            return;
        }
        let numbers = match self.gradients {
            Some(gradients) => gradients.get::<D>(param.id),
            None => Some(param.val().inner()),
        };
        let broken = numbers.and_then(|numbers| read(numbers).ok()).is_some_and(|n| n.iter().any(|x| !x.is_finite()));
        self.found = broken.then(|| self.path.join("."));
    }
}
