use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use tapeloom_core::Philox;

/// Draws the first weights of a network. Each parameter is a stream of its own, so weights are a function of the seed
/// alone; Burn's process-wide generator takes no part.
#[derive(Debug)]
pub struct Init<'a> {
    philox: Philox,
    stream: u64,
    device: &'a Device,
}

impl<'a> Init<'a> {
    /// Weights of `seed` on `device`; give an autodiff device to train them.
    #[must_use]
    pub const fn new(seed: u64, device: &'a Device) -> Self {
        Self { philox: Philox::new(seed), stream: 0, device }
    }

    /// Uniform in `[-bound, bound)`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let mut values = vec![0.0_f32; shape.iter().product()];
        self.philox.uniform(self.stream, 0, &mut values);
        self.stream += 1;
        values.iter_mut().for_each(|u| *u = (2.0 * *u - 1.0) * bound as f32);
        self.values(shape, values)
    }

    /// Every number is `value`.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.values(shape, vec![value; shape.iter().product()])
    }

    /// These numbers, row-major.
    pub fn values<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }
}
