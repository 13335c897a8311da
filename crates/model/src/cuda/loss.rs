//! The mean loss of a batch, and its gradient.

use burn::backend::Cube;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, empty, plain, source};
use crate::ops::{Loss, Operation};

const FORWARD: Source = source!("loss", "loss_forward");
const BACKWARD: Source = source!("loss", "loss_backward");

const THREADS: usize = 256;

impl Loss {
    fn launch(self, source: Source, count: usize) -> Launch {
        let (kind, delta) = match self {
            Self::Squared => (0, 0.0),
            Self::Absolute => (1, 0.0),
            Self::Huber { delta } => (2, delta),
        };
        Launch::new(source, THREADS).define("KIND", kind).number(count).number(delta)
    }
}

impl Operation<Cube, 2> for Loss {
    /// Outputs and targets.
    type Saved = [CubeTensor; 2];

    fn forward(&self, inputs: [CubeTensor; 2], save: bool) -> (CubeTensor, Option<Self::Saved>) {
        let [outputs, targets] = inputs.map(plain);
        let loss = empty(&outputs, [1], DType::F32);
        let launch = self.launch(FORWARD, outputs.meta.shape().num_elements());
        launch.reads([&outputs, &targets]).writes([&loss]).run(&outputs.client, [1; 3]);
        (loss, save.then_some([outputs, targets]))
    }

    fn backward(&self, [outputs, targets]: Self::Saved, dy: CubeTensor, _: [bool; 2]) -> [Option<CubeTensor>; 2] {
        let count = outputs.meta.shape().num_elements();
        let grads = empty(&outputs, outputs.meta.shape().clone(), DType::F32);
        let launch = self.launch(BACKWARD, count).reads([&outputs, &targets, &plain(dy)]).writes([&grads]);
        launch.run(&outputs.client, [count.div_ceil(THREADS), 1, 1]);
        [Some(grads), None]
    }
}
