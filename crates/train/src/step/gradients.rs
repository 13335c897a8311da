//! Walks over the gradients of a module, parameter by parameter in the module's own order.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use tapeloom_model::Clip;

use super::passes::Part;
use crate::Result;

/// The global norm of the gradients and their clip factor; nothing is read from the device.
pub(super) fn clip<M: Module>(module: &M, gradients: &GradientsParams, loss: &Tensor<1>, max_norm: f64) -> Clip {
    // A loss that is not finite makes a row that is not either, and so holds the update back; any other adds nothing.
    let mut rows = AsRows { gradients, rows: vec![loss.clone() * 0.0] };
    module.visit(&mut rows);
    Clip::of(rows.rows, max_norm)
}

/// Adds `more` to `sum`.
pub(super) fn add<M: Module>(module: &M, sum: &mut GradientsParams, mut more: GradientsParams) {
    module.visit(&mut Add { sum, more: &mut more });
}

/// Multiplies every gradient.
pub(super) fn scale<M: Module>(module: &M, gradients: &mut GradientsParams, factor: f64) {
    module.visit(&mut Scale { gradients, factor });
}

/// Gradients and loss of a part as one buffer, so that ranks meet in one call: numbers of every parameter, 0 where it has no
/// gradient; for each parameter whether it has one; the loss. Without a part, which a rank may have, all are 0.
pub(super) fn flatten<M: Module>(module: &M, part: Option<Part>) -> Result<Vec<f32>> {
    let Some(part) = part else { return Ok(vec![0.0; flat_len(module)]) };
    let mut flat = Flatten { gradients: &part.gradients, rows: Vec::new(), present: Vec::new() };
    module.visit(&mut flat);
    let Flatten { mut rows, present, .. } = flat;
    let count = present.len();
    rows.push(Tensor::from_data(TensorData::new(present, [count]), &part.loss.device()));
    rows.push(part.loss);
    read(Tensor::cat(rows, 0))
}

/// Numbers in a buffer of [`flatten`].
pub(super) fn flat_len<M: Module>(module: &M) -> usize {
    let mut sizes = Sizes { numbers: 0, parameters: 0 };
    module.visit(&mut sizes);
    sizes.numbers + sizes.parameters + 1
}

/// Which parameters have a gradient, in a buffer from [`flatten`] or a sum of such.
pub(super) fn present<M: Module>(module: &M, flat: &[f32]) -> Vec<bool> {
    let mut sizes = Sizes { numbers: 0, parameters: 0 };
    module.visit(&mut sizes);
    // NaN, which a broken gradient may have spread to, counts as present.
    flat[sizes.numbers..][..sizes.parameters].iter().map(|present| *present != 0.0).collect()
}

/// Loss and gradients of a buffer from [`flatten`], or of a sum of such.
pub(super) fn unflatten<M: Module>(module: &M, flat: &[f32], device: &Device) -> (Tensor<1>, GradientsParams) {
    let mut sizes = Sizes { numbers: 0, parameters: 0 };
    module.visit(&mut sizes);
    let (values, loss) = (&flat[..sizes.numbers], &flat[sizes.numbers + sizes.parameters..]);
    let mut gradients = GradientsParams::new();
    let present = present(module, flat).into_iter();
    module.visit(&mut Unflatten { gradients: &mut gradients, values, present, device });
    (Tensor::from_floats(loss, device), gradients)
}

/// Every weight, in the module's order.
pub(super) fn weights<M: Module>(module: &M) -> Result<Vec<f32>> {
    struct All(Vec<Tensor<1>>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().inner().flatten(0, D - 1));
        }
    }
    let mut all = All(Vec::new());
    module.visit(&mut all);
    read(Tensor::cat(all.0, 0))
}

pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let fail = |source: String| tapeloom_model::Error::Device { action: "read a tensor", source: source.into() };
    let data = tensor.try_into_data().map_err(|e| fail(format!("{e:?}")))?;
    Ok(data.try_to_vec().map_err(|e| fail(format!("{e:?}")))?)
}

struct AsRows<'a> {
    gradients: &'a GradientsParams,
    rows: Vec<Tensor<1>>,
}

impl ModuleVisitor for AsRows<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.rows.extend(self.gradients.get::<D>(param.id).map(|gradient| gradient.flatten::<1>(0, D - 1)));
    }
}

struct Add<'a> {
    sum: &'a mut GradientsParams,
    more: &'a mut GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(more) = self.more.remove::<D>(param.id) {
            let sum = match self.sum.remove::<D>(param.id) {
                Some(sum) => sum + more,
                None => more,
            };
            self.sum.register(param.id, sum);
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}

struct Sizes {
    numbers: usize,
    parameters: usize,
}

impl ModuleVisitor for Sizes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.numbers += param.shape().num_elements();
        self.parameters += 1;
    }
}

struct Flatten<'a> {
    gradients: &'a GradientsParams,
    rows: Vec<Tensor<1>>,
    present: Vec<f32>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.get::<D>(param.id);
        self.present.push(f32::from(u8::from(gradient.is_some())));
        let gradient = gradient.unwrap_or_else(|| param.val().inner().zeros_like());
        self.rows.push(gradient.flatten(0, D - 1));
    }
}

struct Unflatten<'a> {
    gradients: &'a mut GradientsParams,
    values: &'a [f32],
    present: std::vec::IntoIter<bool>,
    device: &'a Device,
}

impl ModuleVisitor for Unflatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.shape();
        let (part, rest) = self.values.split_at(shape.num_elements());
        self.values = rest;
        if self.present.next().unwrap_or(false) {
            self.gradients
                .register(param.id, Tensor::<D>::from_data(TensorData::new(part.to_vec(), shape), self.device));
        }
    }
}
