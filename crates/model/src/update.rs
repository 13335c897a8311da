//! What an optimizer does to parameters, in one pass over the memory where this crate has kernels for the device.

use burn::tensor::{DType, Device, Tensor};

#[cfg(feature = "cuda")]
use burn::backend::Cube;
#[cfg(feature = "flex")]
use burn::backend::Flex;

use crate::Dials;
use crate::ops::{Provider, provider};

/// The norm of a whole gradient and what clipping makes of it. It stays on the device.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Norm, the factor that every gradient is multiplied by, and 1 where all of them are finite.
    state: Tensor<1>,
}

impl Clip {
    /// Of the gradients of all parameters, each as one row, on a device without autodiff. A `max_norm` of 0 clips nothing.
    ///
    /// # Panics
    /// When there is no gradient.
    #[must_use]
    pub fn of(gradients: Vec<Tensor<1>>, max_norm: f64) -> Self {
        match place(&gradients[0]) {
            #[cfg(feature = "flex")]
            Provider::Cpu => {
                let state = crate::cpu::clip(gradients.into_iter().map(flex).collect(), max_norm);
                Self { state: Tensor::from_primitive::<Flex>(state) }
            }
            #[cfg(feature = "cuda")]
            Provider::Cuda => {
                let state = crate::cuda::clip(gradients.into_iter().map(cube).collect(), max_norm);
                Self { state: Tensor::from_primitive::<Cube>(state) }
            }
            Provider::None => {
                let sums = gradients.into_iter().map(|gradient| gradient.square().sum()).collect();
                let norm = Tensor::cat(sums, 0).sum().sqrt();
                let factor =
                    if max_norm > 0.0 { (norm.clone().recip() * max_norm).clamp_max(1.0) } else { norm.ones_like() };
                let finite = norm.clone().is_finite().float();
                Self { state: Tensor::cat(vec![norm, factor, finite], 0) }
            }
        }
    }

    /// The norm before clipping, as a tensor of one.
    #[must_use]
    pub fn norm(&self) -> Tensor<1> {
        self.part(0)
    }

    /// What every gradient is multiplied by, as a tensor of one.
    #[must_use]
    pub fn factor(&self) -> Tensor<1> {
        self.part(1)
    }

    /// 1 where all gradients are finite, 0 otherwise, as a tensor of one.
    #[must_use]
    pub fn is_finite(&self) -> Tensor<1> {
        self.part(2)
    }

    fn part(&self, place: usize) -> Tensor<1> {
        self.state.clone().narrow(0, place, 1)
    }
}

/// One update of AdamW (Loshchilov and Hutter 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled decay, per unit of learning rate.
    pub weight_decay: f64,
    /// Updates done, this one included.
    pub time: u64,
}

/// A parameter, its gradient, and its first and second moment.
pub type Slot = [Tensor<1>; 4];

impl AdamW {
    /// What changes from update to update: the step size, and what the moments' bias is divided out with.
    pub(crate) fn rates(&self) -> [f64; 3] {
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powf(self.time as f64));
        [self.learning_rate, first, second]
    }

    /// Factors that take the bias out of the moments.
    pub(crate) fn corrections(&self) -> [f64; 2] {
        self.betas.map(|beta| 1.0 / (1.0 - beta.powf(self.time as f64)))
    }

    /// Moves parameters and moments, which come back in the same order. All are rows on one device without autodiff.
    ///
    /// Where a gradient is not finite nothing moves. Nothing is read from the device. On CUDA they move where they lie:
    /// clones of them move too. There `dials`, of a recorded step, stand for what changes in this rule.
    #[must_use]
    pub fn update(&self, slots: Vec<Slot>, clip: &Clip, dials: Option<&Dials>) -> Vec<[Tensor<1>; 3]> {
        let Some(first) = slots.first() else { return Vec::new() };
        let provider = place(&first[0]);
        debug_assert!(dials.is_none() || provider != Provider::None, "there are dials on CUDA alone");
        match provider {
            #[cfg(feature = "flex")]
            Provider::Cpu => {
                let state = flex(clip.state.clone());
                let update = |slot: Slot| crate::cpu::adamw(self, slot.map(flex), &state);
                slots.into_iter().map(|slot| update(slot).map(Tensor::from_primitive::<Flex>)).collect()
            }
            #[cfg(feature = "cuda")]
            Provider::Cuda => {
                let slots = slots.into_iter().map(|slot| slot.map(cube)).collect();
                let moved = crate::cuda::adamw(self, slots, &cube(clip.state.clone()), dials);
                moved.into_iter().map(|slot| slot.map(Tensor::from_primitive::<Cube>)).collect()
            }
            Provider::None => slots.into_iter().map(|slot| self.composed(slot, clip)).collect(),
        }
    }

    fn composed(&self, [parameter, gradient, old_first, old_second]: Slot, clip: &Clip) -> [Tensor<1>; 3] {
        let [b1, b2] = self.betas;
        let shape = gradient.dims();
        let gradient = gradient * clip.factor().expand(shape);
        let first = old_first.clone() * b1 + gradient.clone() * (1.0 - b1);
        let second = old_second.clone() * b2 + gradient.square() * (1.0 - b2);
        let correct = self.corrections();
        let step = first.clone() * correct[0] / ((second.clone() * correct[1]).sqrt() + self.epsilon);
        let moved = parameter.clone() * (1.0 - self.learning_rate * self.weight_decay) - step * self.learning_rate;
        let broken = clip.is_finite().expand(shape).equal_elem(0.0);
        let pick = |new: Tensor<1>, old: Tensor<1>| new.mask_where(broken.clone(), old);
        [pick(moved, parameter), pick(first, old_first), pick(second, old_second)]
    }
}

/// Whether [`AdamW::update`] moves parameters where they lie, so that clones of them move too.
#[must_use]
pub fn updates_in_place(device: &Device) -> bool {
    #[cfg(feature = "cuda")]
    return provider(device, DType::F32) == Provider::Cuda;
    #[cfg(not(feature = "cuda"))]
    {
        let _ = device;
        false
    }
}

fn place(x: &Tensor<1>) -> Provider {
    // Parameters and their moments are f32 whatever the activations are.
    if x.dtype() == DType::F32 { provider(&x.device(), DType::F32) } else { Provider::None }
}

#[cfg(feature = "flex")]
fn flex(x: Tensor<1>) -> burn::backend::tensor::FloatTensor<Flex> {
    x.try_into_primitive::<Flex>().expect("the device was just seen to be flex")
}

#[cfg(feature = "cuda")]
fn cube(x: Tensor<1>) -> burn::backend::tensor::FloatTensor<Cube> {
    x.try_into_primitive::<Cube>().expect("the device was just seen to be CUDA")
}
