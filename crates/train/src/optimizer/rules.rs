use burn::tensor::Tensor;
use tapeloom_model::{AdamW, Clip, Dials, Slot};

use crate::config::{OptimizerConfig, OptimizerKind};

/// One update of one group of parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule<'a> {
    pub(super) config: &'a OptimizerConfig,
    pub(super) learning_rate: f64,
    pub(super) weight_decay: f64,
    /// Updates done, this one included.
    pub(super) time: u64,
}

/// Which of the two moments a rule keeps.
pub(super) fn moments(config: &OptimizerConfig) -> [bool; 2] {
    let momentum = config.momentum > 0.0;
    match config.kind {
        OptimizerKind::AdamW | OptimizerKind::Adam | OptimizerKind::Lamb => [true, true],
        OptimizerKind::Sgd => [momentum, false],
        OptimizerKind::Lion => [true, false],
        OptimizerKind::RmsProp => [momentum, true],
        OptimizerKind::AdaGrad => [false, true],
    }
}

impl Rule<'_> {
    /// Moves parameters and moments. Where a gradient is not finite nothing moves. Nothing is read from the device.
    pub(super) fn update(&self, slots: Vec<Slot>, clip: &Clip, dials: Option<&Dials>) -> Vec<[Tensor<1>; 3]> {
        match self.fused() {
            Some(fused) => fused.update(slots, clip, dials),
            None => slots.into_iter().map(|slot| self.composed(slot, clip)).collect(),
        }
    }

    /// The rule as a kernel of its own, which AdamW has, and Adam without decay, which is the same.
    pub(super) fn fused(&self) -> Option<AdamW> {
        let Self { config, learning_rate, weight_decay, time } = *self;
        let is_adamw = config.kind == OptimizerKind::AdamW || config.kind == OptimizerKind::Adam && weight_decay == 0.0;
        let rule = AdamW { learning_rate, betas: config.betas, epsilon: config.epsilon, weight_decay, time };
        is_adamw.then_some(rule)
    }

    fn composed(&self, [parameter, gradient, old_first, old_second]: Slot, clip: &Clip) -> [Tensor<1>; 3] {
        let shape = gradient.dims();
        let gradient = gradient * clip.factor().expand(shape);
        let [moved, first, second] = self.moved(&parameter, gradient, old_first.clone(), old_second.clone());
        let broken = clip.is_finite().equal_elem(0.0);
        let pick = |new: Tensor<1>, old: Tensor<1>| {
            let broken = broken.clone().expand(old.dims());
            new.mask_where(broken, old)
        };
        [pick(moved, parameter), pick(first, old_first), pick(second, old_second)]
    }

    /// The same without the guard: parameter, first and second moment.
    fn moved(&self, x: &Tensor<1>, gradient: Tensor<1>, first: Tensor<1>, second: Tensor<1>) -> [Tensor<1>; 3] {
        let (c, rate, decay) = (self.config, self.learning_rate, self.weight_decay);
        let [b1, b2] = c.betas;
        let decoupled = matches!(c.kind, OptimizerKind::Lion | OptimizerKind::Lamb);
        let g = if decoupled || decay == 0.0 { gradient } else { gradient + x.clone() * decay };
        let mean = |old: Tensor<1>, new: Tensor<1>, beta: f64| old * beta + new * (1.0 - beta);
        match c.kind {
            OptimizerKind::Sgd if c.momentum == 0.0 => [x.clone() - g * rate, first, second],
            OptimizerKind::Sgd => {
                let first = first * c.momentum + g.clone();
                let step = if c.nesterov { g + first.clone() * c.momentum } else { first.clone() };
                [x.clone() - step * rate, first, second]
            }
            OptimizerKind::Lion => {
                let step = mean(first.clone(), g.clone(), b1).sign();
                [x.clone() * (1.0 - rate * decay) - step * rate, mean(first, g, b2), second]
            }
            OptimizerKind::RmsProp => {
                let second = mean(second, g.clone().square(), c.smoothing);
                let step = g / (second.clone().sqrt() + c.epsilon);
                if c.momentum == 0.0 {
                    return [x.clone() - step * rate, first, second];
                }
                let first = first * c.momentum + step;
                [x.clone() - first.clone() * rate, first, second]
            }
            OptimizerKind::AdaGrad => {
                let second = second + g.clone().square();
                [x.clone() - g / (second.clone().sqrt() + c.epsilon) * rate, first, second]
            }
            OptimizerKind::AdamW | OptimizerKind::Adam | OptimizerKind::Lamb => {
                let (first, second) = (mean(first, g.clone(), b1), mean(second, g.square(), b2));
                let [c1, c2] = [b1, b2].map(|beta| 1.0 / (1.0 - beta.powf(self.time as f64)));
                let step = first.clone() * c1 / ((second.clone() * c2).sqrt() + c.epsilon);
                if c.kind != OptimizerKind::Lamb {
                    return [x.clone() - step * rate, first, second];
                }
                let step = step + x.clone() * decay;
                let norm = |x: Tensor<1>| x.square().sum().sqrt();
                let (of_x, of_step) = (norm(x.clone()), norm(step.clone()));
                // A parameter or a step of nothing takes the plain rate.
                let nothing = (of_x.clone() * of_step.clone()).equal_elem(0.0);
                let trust = (of_x / of_step).mask_fill(nothing, 1.0);
                [x.clone() - step * trust.expand(x.dims()) * rate, first, second]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Three updates of [1, -2, 0.5] with gradients that depend on the step.
    fn after_three(config: &OptimizerConfig) -> Vec<f32> {
        let device = Device::flex();
        let row = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device);
        let [mut x, mut first, mut second] = [row([1.0, -2.0, 0.5]), row([0.0; 3]), row([0.0; 3])];
        for (time, gradient) in (1..).zip([[0.1, -0.2, 0.3], [0.4, 0.1, -0.2], [-0.3, 0.2, 0.1]]) {
            let gradient = row(gradient);
            let clip = Clip::of(vec![gradient.clone()], 0.0);
            let rule = Rule { config, learning_rate: 0.1, weight_decay: config.weight_decay, time };
            [x, first, second] = rule.update(vec![[x, gradient, first, second]], &clip, None).remove(0);
        }
        x.into_data().try_to_vec().expect("f32")
    }

    /// Values of torch.optim of PyTorch 2.x for the same updates (`benches/peers/optimizers.py`).
    #[test]
    fn each_rule_moves_as_the_same_rule_of_pytorch() {
        use OptimizerKind as K;
        let base = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() };
        let lion = [0.9, 0.99];
        let cases: Vec<(OptimizerConfig, [f32; 3])> = vec![
            (OptimizerConfig { kind: K::AdamW, ..base.clone() }, [0.767_064_9, -1.843_490_4, 0.344_981_1]),
            (OptimizerConfig { kind: K::Adam, ..base.clone() }, [0.762_999, -1.758_016_8, 0.326_741_3]),
            (OptimizerConfig { kind: K::Sgd, ..base.clone() }, [0.950_898_1, -1.950_896, 0.465_546_5]),
            (OptimizerConfig { kind: K::Sgd, momentum: 0.9, ..base.clone() }, [0.872_058, -1.874_216, 0.419_826_5]),
            (
                OptimizerConfig { kind: K::Sgd, momentum: 0.9, nesterov: true, ..base.clone() },
                [0.837_570_9, -1.839_792_8, 0.394_823_8],
            ),
            (OptimizerConfig { kind: K::Lion, betas: lion, ..base.clone() }, [0.873_289, -2.041_588, 0.386_139_5]),
            (OptimizerConfig { kind: K::RmsProp, ..base.clone() }, [-0.236_270_5, -1.244_839_3, -0.162_958_8]),
            (
                OptimizerConfig { kind: K::RmsProp, momentum: 0.9, ..base.clone() },
                [-2.677_744_6, 0.277_416_6, -1.144_876_4],
            ),
            (OptimizerConfig { kind: K::AdaGrad, ..base.clone() }, [0.845_689_2, -1.881_021_9, 0.406_497]),
            (OptimizerConfig { kind: K::Lamb, ..base }, [0.567_764_9, -1.816_411_4, 0.193_261_7]),
        ];
        for (config, want) in cases {
            let got = after_three(&config);
            let close = got.iter().zip(want).all(|(got, want)| (got - want).abs() < 2e-6);
            assert!(close, "{:?} {got:?} {want:?}", config.kind);
        }
    }

    #[test]
    fn nothing_moves_where_a_gradient_is_not_finite() {
        let device = Device::flex();
        let row = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device);
        for kind in [
            OptimizerKind::AdamW,
            OptimizerKind::Adam,
            OptimizerKind::Sgd,
            OptimizerKind::Lion,
            OptimizerKind::RmsProp,
            OptimizerKind::AdaGrad,
            OptimizerKind::Lamb,
        ] {
            let config = OptimizerConfig { kind, momentum: 0.9, weight_decay: 0.1, ..OptimizerConfig::default() };
            let gradient = row([1.0, f32::NAN]);
            let clip = Clip::of(vec![gradient.clone()], 1.0);
            let rule = Rule { config: &config, learning_rate: 0.1, weight_decay: 0.1, time: 1 };
            let slot = [row([1.0, 2.0]), gradient, row([0.5, 0.5]), row([0.25, 0.25])];
            let after =
                rule.update(vec![slot], &clip, None).remove(0).map(|t| t.into_data().try_to_vec::<f32>().expect("f32"));
            assert_eq!(after, [vec![1.0, 2.0], vec![0.5, 0.5], vec![0.25, 0.25]], "{kind:?}");
        }
    }
}
