use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::optim::{AdamWState, AdaptiveMomentumState, Optimizer};
use burn::tensor::{Device, Tensor};

use crate::config::OptimizerConfig;

/// AdamW on the fused update of the model crate; its state is that of Burn's `AdamW`.
#[derive(Clone)]
pub(crate) struct FusedAdamW {
    config: OptimizerConfig,
    scale: GradientScale,
}

/// What the next update multiplies every gradient by. Clipping so costs no pass over the gradients of its own.
#[derive(Clone, Debug)]
pub(crate) struct GradientScale(Arc<AtomicU64>);

impl GradientScale {
    pub(crate) fn set(&self, scale: f64) {
        self.0.store(scale.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl FusedAdamW {
    pub(crate) fn new(config: &OptimizerConfig) -> (Self, GradientScale) {
        let scale = GradientScale(Arc::new(AtomicU64::new(1.0_f64.to_bits())));
        (Self { config: config.clone(), scale: scale.clone() }, scale)
    }
}

impl Optimizer for FusedAdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let (done, moments) = match state {
            Some(AdamWState { momentum }) => (momentum.time, Some([momentum.moment_1, momentum.moment_2])),
            None => (0, None),
        };
        let rule = tapeloom_model::AdamW {
            learning_rate,
            betas: self.config.betas,
            epsilon: self.config.epsilon,
            weight_decay: self.config.weight_decay,
            time: done as u64 + 1,
            gradient_scale: self.scale.get(),
        };
        let (parameter, [first, second]) = rule.update(parameter, gradient, moments);
        (parameter, Some(AdamWState::new(AdaptiveMomentumState::new(done + 1, first, second))))
    }

    fn to_device<const D: usize>(mut state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
