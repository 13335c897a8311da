use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

use super::{
    Attention, Dropout, DropoutAdd, Fused, Gelu, Gru, LayerNorm, Linear, Loss, Lstm, MeanTime, Operation, fused_methods,
};

/// The backward step of an operation.
#[derive(Debug)]
struct Step<O>(O);

impl<B: Backend, O: Operation<B, N>, const N: usize> Backward<B, N> for Step<O> {
    type State = O::Saved;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let computed = self.0.backward(ops.state, dy, wanted);
        for (parent, grad) in ops.parents.into_iter().zip(computed) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

fn tracked<B: Backend, C: CheckpointStrategy, O: Operation<B, N>, const N: usize>(
    call: O,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let guards = inputs.each_ref().map(|input| input.node());
    let primitives = inputs.map(|input| input.into_primitive());
    match Step(call.clone()).prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (output, saved) = call.forward(primitives, true);
            prep.finish(saved.expect("an operation keeps what it is asked to keep"), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(call.forward(primitives, false).0),
    }
}

impl<B, C> Fused for Autodiff<B, C>
where
    B: Backend,
    C: CheckpointStrategy,
    Linear: Operation<B, 3>,
    Lstm: Operation<B, 6>,
    Gru: Operation<B, 6>,
    Attention: Operation<B, 1>,
    LayerNorm: Operation<B, 3>,
    Dropout: Operation<B, 1>,
    DropoutAdd: Operation<B, 2>,
    Gelu: Operation<B, 1>,
    MeanTime: Operation<B, 1>,
    Loss: Operation<B, 2>,
{
    fused_methods!(tracked::<B, C, _, _>);
}
