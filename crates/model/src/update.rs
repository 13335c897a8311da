//! What an optimizer does to parameters, in one pass over the memory where this crate has kernels for the device.

use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use burn::backend::Flex;

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
    /// The gradient is multiplied by it first, to clip its norm.
    pub gradient_scale: f64,
}

impl AdamW {
    /// Factors that take the bias out of the moments.
    pub(crate) fn corrections(&self) -> [f64; 2] {
        self.betas.map(|beta| 1.0 / (1.0 - beta.powf(self.time as f64)))
    }

    /// Moves a parameter and its moments, all of one shape and on a device without autodiff. No moments are zeros.
    #[must_use]
    pub fn update<const D: usize>(
        &self,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        moments: Option<[Tensor<D>; 2]>,
    ) -> (Tensor<D>, [Tensor<D>; 2]) {
        let [first, second] = moments.unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
        #[cfg(feature = "flex")]
        if on_flex(&parameter) {
            let inputs = [parameter, first, second, gradient].map(primitive);
            let [parameter, first, second] = crate::cpu::adamw(self, inputs).map(Tensor::from_primitive::<Flex>);
            return (parameter, [first, second]);
        }
        let [b1, b2] = self.betas;
        let gradient = gradient * self.gradient_scale;
        let first = first * b1 + gradient.clone() * (1.0 - b1);
        let second = second * b2 + gradient.square() * (1.0 - b2);
        let correct = self.corrections();
        let step = first.clone() * correct[0] / ((second.clone() * correct[1]).sqrt() + self.epsilon);
        let parameter =
            parameter * (1.0 - self.learning_rate * self.weight_decay) - step * self.learning_rate;
        (parameter, [first, second])
    }
}

/// The sum of the squares of all numbers, as a tensor of one, on a device without autodiff.
#[must_use]
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if on_flex(&x) {
        return Tensor::from_primitive::<Flex>(crate::cpu::sum_of_squares(primitive(x)));
    }
    x.square().sum()
}

#[cfg(feature = "flex")]
fn on_flex<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().as_dispatch(), burn::backend::DispatchDevice::Flex(_))
}

#[cfg(feature = "flex")]
fn primitive<const D: usize>(x: Tensor<D>) -> burn::backend::tensor::FloatTensor<Flex> {
    x.try_into_primitive::<Flex>().expect("the device was just seen to be flex")
}
