use burn::module::Module;
use burn::tensor::Tensor;

use super::recurrent::last_step;
use crate::init::Init;
use crate::layers::Dense;

/// One affine map of the window's last row: the baseline that a deeper model has to beat.
#[derive(Module, Debug)]
pub struct Linear {
    output: Dense,
}

impl Linear {
    pub(crate) fn new(init: &mut Init<'_>, features: usize, outputs: usize) -> Self {
        Self { output: Dense::new(init, features, outputs) }
    }

    pub(crate) fn forward(&self, windows: Tensor<3>) -> Tensor<2> {
        self.output.forward(last_step(windows))
    }
}
