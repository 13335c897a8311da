//! The operations of [`crate::ops`] on the tensors of Burn's `flex` backend.

use std::ops::Deref;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape, TensorData};

use super::memory::Buffer;
use super::{attention, dropout, gru, linear, lstm, norm, pointwise};
use crate::ops::{Attention, Dropout, DropoutAdd, Gelu, Gru, LayerNorm, Linear, Loss, Lstm, MeanTime, Operation};
use crate::update::AdamW;

type F = FloatTensor<Flex>;

/// A tensor whose numbers lie in row-major order.
struct Values(F);

impl Values {
    fn new(tensor: F) -> Self {
        let plain = tensor.is_contiguous() && tensor.layout().start_offset() == 0;
        Self(if plain { tensor } else { tensor.to_contiguous() })
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0.storage::<f32>()[..self.0.layout().num_elements()]
    }
}

fn dims<const D: usize>(tensor: &F) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// Numbers that become a tensor.
trait IntoTensor: Sized {
    fn into_data(self, shape: Shape) -> TensorData;

    fn shaped(self, shape: impl Into<Shape>) -> F {
        F::from_data(self.into_data(shape.into()))
    }

    /// In the shape of `other`.
    fn like(self, other: &F) -> F {
        self.shaped(other.layout().shape().clone())
    }
}

impl IntoTensor for Buffer {
    fn into_data(self, shape: Shape) -> TensorData {
        TensorData::from_bytes(self.into_bytes(), shape, DType::F32)
    }
}

impl IntoTensor for Vec<f32> {
    fn into_data(self, shape: Shape) -> TensorData {
        TensorData::new(self, shape)
    }
}

/// The row-major numbers of a tensor to write in, without a copy where nobody else holds them.
fn owned(tensor: F) -> Vec<f32> {
    let data = tensor.into_data();
    data.try_into_vec().expect("an f32 tensor holds f32")
}

/// Updates parameter, first and second moment by the gradient, unless the state says that it is not finite.
pub(crate) fn adamw(rule: &AdamW, [parameter, gradient, first, second]: [F; 4], state: &F) -> [F; 3] {
    let (scale, finite) = (state.storage::<f32>()[1], state.storage::<f32>()[2]);
    if finite == 0.0 {
        return [parameter, first, second];
    }
    let shape = parameter.layout().shape().clone();
    let mut values = [parameter, first, second].map(owned);
    let [parameter, first, second] = values.each_mut();
    pointwise::adamw(rule, parameter, [first, second], &Values::new(gradient), scale);
    values.map(|values| values.shaped(shape.clone()))
}

/// Norm, clip factor, and whether all numbers are finite.
pub(crate) fn clip(gradients: Vec<F>, max_norm: f64) -> F {
    let norm = gradients.into_iter().map(|g| pointwise::sum_of_squares(&Values::new(g))).sum::<f64>().sqrt();
    let factor = if max_norm > 0.0 && norm > max_norm { max_norm / norm } else { 1.0 };
    vec![norm as f32, factor as f32, f32::from(norm.is_finite()), 0.0].shaped([4])
}

impl Operation<Flex, 3> for Linear {
    type Saved = [F; 2];

    fn forward(&self, [x, weight, bias]: [F; 3], save: bool) -> (F, Option<[F; 2]>) {
        let [inputs, outputs] = dims(&weight);
        let mut shape = x.layout().shape().clone();
        let axis = shape.num_dims() - 1;
        shape[axis] = outputs;
        let (x, weight) = (Values::new(x), Values::new(weight));
        let y = linear::forward(&x, &weight, &Values::new(bias), inputs);
        (y.shaped(shape), save.then_some([x.0, weight.0]))
    }

    fn backward(&self, [x, weight]: [F; 2], dy: F, wanted: [bool; 3]) -> [Option<F>; 3] {
        let [inputs, outputs] = dims(&weight);
        let (x, weight, dy) = (Values(x), Values(weight), Values::new(dy));
        let dx = wanted[0].then(|| linear::backward_x(&weight, &dy, inputs, outputs).like(&x.0));
        let (dw, db) = linear::backward_weights(&x, &dy, inputs, outputs);
        [dx, Some(dw.shaped([inputs, outputs])), Some(db.shaped([outputs]))]
    }
}

impl Lstm {
    fn shape(&self, x: &F, hidden: usize) -> lstm::Shape {
        let [batch, steps, inputs] = dims(x);
        let Self { reverse, with_cell, has_state } = *self;
        lstm::Shape { batch, steps, inputs, hidden, reverse, with_cell, has_state }
    }
}

impl Operation<Flex, 6> for Lstm {
    /// Inputs, then output, gates and cells.
    type Saved = ([F; 6], [F; 3]);

    fn forward(&self, inputs: [F; 6], save: bool) -> (F, Option<Self::Saved>) {
        let [hidden, _] = dims(&inputs[2]);
        let shape = self.shape(&inputs[0], hidden);
        let [x, input, hidden, bias, h0, c0] = inputs.map(Values::new);
        let weights = lstm::Weights { input: &input, hidden: &hidden, bias: &bias };
        let lstm::Forward { output, gates, cells } = lstm::forward(&shape, &x, &weights, &h0, &c0);
        let output = output.shaped([shape.batch, shape.rows(), shape.hidden]);
        let saved = save.then(|| {
            let gates = gates.shaped([shape.batch, shape.steps, 4 * shape.hidden]);
            let cells = cells.shaped([shape.batch, shape.steps, shape.hidden]);
            ([x.0, input.0, hidden.0, bias.0, h0.0, c0.0], [output.clone(), gates, cells])
        });
        (output, saved)
    }

    fn backward(&self, (inputs, kept): Self::Saved, dy: F, wanted: [bool; 6]) -> [Option<F>; 6] {
        let [hidden, _] = dims(&inputs[2]);
        let shape = self.shape(&inputs[0], hidden);
        let [x, input, hidden, bias, h0, c0] = inputs.map(Values);
        let kept = kept.map(Values);
        let grads = lstm::backward(
            &shape,
            &x,
            &lstm::Weights { input: &input, hidden: &hidden, bias: &bias },
            [&h0, &c0],
            kept.each_ref().map(Deref::deref),
            &Values::new(dy),
            wanted[0],
        );
        [
            grads.x.map(|dx| dx.like(&x.0)),
            Some(grads.input.like(&input.0)),
            Some(grads.hidden.like(&hidden.0)),
            Some(grads.bias.like(&bias.0)),
            self.has_state.then(|| grads.h0.like(&h0.0)),
            self.has_state.then(|| grads.c0.like(&c0.0)),
        ]
    }
}

impl Gru {
    fn shape(&self, x: &F, hidden: usize) -> gru::Shape {
        let [batch, steps, inputs] = dims(x);
        gru::Shape { batch, steps, inputs, hidden, reverse: self.reverse, has_state: self.has_state }
    }
}

impl Operation<Flex, 6> for Gru {
    /// Inputs, then output and gates.
    type Saved = ([F; 6], [F; 2]);

    fn forward(&self, inputs: [F; 6], save: bool) -> (F, Option<Self::Saved>) {
        let [hidden, _] = dims(&inputs[2]);
        let shape = self.shape(&inputs[0], hidden);
        let [x, input, hidden, bias, new_bias, h0] = inputs.map(Values::new);
        let weights = gru::Weights { input: &input, hidden: &hidden, bias: &bias, new_bias: &new_bias };
        let gru::Forward { output, gates } = gru::forward(&shape, &x, &weights, &h0);
        let output = output.shaped([shape.batch, shape.steps, shape.hidden]);
        let saved = save.then(|| {
            let gates = gates.shaped([shape.batch, shape.steps, 4 * shape.hidden]);
            ([x.0, input.0, hidden.0, bias.0, new_bias.0, h0.0], [output.clone(), gates])
        });
        (output, saved)
    }

    fn backward(&self, (inputs, kept): Self::Saved, dy: F, wanted: [bool; 6]) -> [Option<F>; 6] {
        let [hidden, _] = dims(&inputs[2]);
        let shape = self.shape(&inputs[0], hidden);
        let [x, input, hidden, bias, new_bias, h0] = inputs.map(Values);
        let kept = kept.map(Values);
        let weights = gru::Weights { input: &input, hidden: &hidden, bias: &bias, new_bias: &new_bias };
        let kept = kept.each_ref().map(Deref::deref);
        let grads = gru::backward(&shape, &x, &weights, &h0, kept, &Values::new(dy), wanted[0]);
        [
            grads.x.map(|dx| dx.like(&x.0)),
            Some(grads.input.like(&input.0)),
            Some(grads.hidden.like(&hidden.0)),
            Some(grads.bias.like(&bias.0)),
            Some(grads.new_bias.like(&new_bias.0)),
            self.has_state.then(|| grads.h0.like(&h0.0)),
        ]
    }
}

impl Attention {
    fn shape(&self, qkv: &F) -> attention::Shape {
        let [batch, steps, row] = dims(qkv);
        attention::Shape { batch, steps, width: row / 3, heads: self.heads, causal: self.causal }
    }
}

impl Operation<Flex, 1> for Attention {
    type Saved = F;

    fn forward(&self, [qkv]: [F; 1], save: bool) -> (F, Option<F>) {
        let shape = self.shape(&qkv);
        let qkv = Values::new(qkv);
        let out = attention::forward(&shape, &qkv, self.draw.as_ref());
        (out.shaped([shape.batch, shape.steps, shape.width]), save.then_some(qkv.0))
    }

    fn backward(&self, qkv: F, dy: F, _: [bool; 1]) -> [Option<F>; 1] {
        let shape = self.shape(&qkv);
        let qkv = Values(qkv);
        let grads = attention::backward(&shape, &qkv, self.draw.as_ref(), &Values::new(dy));
        [Some(grads.like(&qkv.0))]
    }
}

impl Operation<Flex, 3> for LayerNorm {
    /// x, scale and the rows' statistics.
    type Saved = [F; 3];

    fn forward(&self, [x, scale, shift]: [F; 3], save: bool) -> (F, Option<[F; 3]>) {
        let (x, scale) = (Values::new(x), Values::new(scale));
        let (y, stats) = norm::forward(&x, &scale, &Values::new(shift), self.epsilon as f32);
        let y = y.like(&x.0);
        let rows = stats.len() / 2;
        (y, save.then(|| [x.0, scale.0, stats.shaped([rows, 2])]))
    }

    fn backward(&self, saved: [F; 3], dy: F, _: [bool; 3]) -> [Option<F>; 3] {
        let [x, scale, stats] = saved.map(Values);
        let (dx, dscale, dshift) = norm::backward(&x, &scale, &stats, &Values::new(dy));
        [Some(dx.like(&x.0)), Some(dscale.like(&scale.0)), Some(dshift.like(&scale.0))]
    }
}

impl Operation<Flex, 1> for MeanTime {
    /// Batch, steps and width.
    type Saved = [usize; 3];

    fn forward(&self, [x]: [F; 1], save: bool) -> (F, Option<[usize; 3]>) {
        let [batch, steps, width] = dims(&x);
        let y = pointwise::mean_time(&Values::new(x), steps, width);
        (y.shaped([batch, width]), save.then_some([batch, steps, width]))
    }

    fn backward(&self, [batch, steps, width]: [usize; 3], dy: F, _: [bool; 1]) -> [Option<F>; 1] {
        let dx = pointwise::mean_time_backward(&Values::new(dy), steps, width);
        [Some(dx.shaped([batch, steps, width]))]
    }
}

impl Operation<Flex, 2> for Loss {
    /// Outputs and targets.
    type Saved = [F; 2];

    fn forward(&self, inputs: [F; 2], save: bool) -> (F, Option<[F; 2]>) {
        let [outputs, targets] = inputs.map(Values::new);
        let loss = pointwise::loss(*self, &outputs, &targets);
        (vec![loss].shaped([1]), save.then_some([outputs.0, targets.0]))
    }

    fn backward(&self, saved: [F; 2], dy: F, _: [bool; 2]) -> [Option<F>; 2] {
        let [outputs, targets] = saved.map(Values);
        let grads = pointwise::loss_backward(*self, &outputs, &targets, Values::new(dy)[0]);
        [Some(grads.like(&outputs.0)), None]
    }
}

impl Operation<Flex, 1> for Dropout {
    type Saved = ();

    fn forward(&self, [x]: [F; 1], save: bool) -> (F, Option<()>) {
        let x = Values::new(x);
        (dropout::forward(&x, None, &self.draw).like(&x.0), save.then_some(()))
    }

    fn backward(&self, (): (), dy: F, _: [bool; 1]) -> [Option<F>; 1] {
        let dy = Values::new(dy);
        [Some(dropout::forward(&dy, None, &self.draw).like(&dy.0))]
    }
}

impl Operation<Flex, 2> for DropoutAdd {
    type Saved = ();

    fn forward(&self, [x, residual]: [F; 2], save: bool) -> (F, Option<()>) {
        let x = Values::new(x);
        let y = dropout::forward(&x, Some(&Values::new(residual)), &self.draw);
        (y.like(&x.0), save.then_some(()))
    }

    fn backward(&self, (): (), dy: F, _: [bool; 2]) -> [Option<F>; 2] {
        let dy = Values::new(dy);
        let dx = dropout::forward(&dy, None, &self.draw).like(&dy.0);
        [Some(dx), Some(dy.0)]
    }
}

impl Operation<Flex, 1> for Gelu {
    type Saved = F;

    fn forward(&self, [x]: [F; 1], save: bool) -> (F, Option<F>) {
        let x = Values::new(x);
        (pointwise::gelu(&x).like(&x.0), save.then_some(x.0))
    }

    fn backward(&self, x: F, dy: F, _: [bool; 1]) -> [Option<F>; 1] {
        let x = Values(x);
        [Some(pointwise::gelu_backward(&x, &Values::new(dy)).like(&x.0))]
    }
}
