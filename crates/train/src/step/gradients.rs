//! Walks over the gradients of a module, parameter by parameter in the module's own order.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use tapeloom_model::Clip;

use crate::Result;

/// The global norm of the gradients and their clip factor; nothing is read from the device.
pub(crate) fn clip<M: Module>(module: &M, gradients: &GradientsParams, loss: &Tensor<1>, max_norm: f64) -> Clip {
    // A loss that is not finite makes a row that is not either, and so holds the update back; any other adds nothing.
    let mut rows = AsRows { gradients, rows: vec![loss.clone() * 0.0] };
    module.visit(&mut rows);
    Clip::of(rows.rows, max_norm)
}

/// Adds `more` to `sum`.
pub(crate) fn add<M: Module>(module: &M, sum: &mut GradientsParams, mut more: GradientsParams) {
    module.visit(&mut Add { sum, more: &mut more });
}

/// All gradients as one buffer, so that ranks meet in one collective call.
pub(crate) fn flatten<M: Module>(module: &M, gradients: &GradientsParams) -> Result<Vec<f32>> {
    let mut flat = Flatten { gradients, values: Ok(Vec::new()) };
    module.visit(&mut flat);
    flat.values
}

/// Puts a buffer from [`flatten`] back.
pub(crate) fn unflatten<M: Module>(module: &M, gradients: &mut GradientsParams, values: &[f32]) {
    module.visit(&mut Unflatten { gradients, values, at: 0 });
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

struct Flatten<'a> {
    gradients: &'a GradientsParams,
    values: Result<Vec<f32>>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (Ok(values), Some(gradient)) = (self.values.as_mut(), self.gradients.get::<D>(param.id)) else { return };
        match read(gradient) {
            Ok(part) => values.extend(part),
            Err(error) => self.values = Err(error),
        }
    }
}

struct Unflatten<'a> {
    gradients: &'a mut GradientsParams,
    values: &'a [f32],
    at: usize,
}

impl ModuleVisitor for Unflatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let shape = gradient.dims();
            let count: usize = shape.iter().product();
            let part = self.values[self.at..self.at + count].to_vec();
            self.at += count;
            self.gradients.register(param.id, Tensor::<D>::from_data(TensorData::new(part, shape), &gradient.device()));
        }
    }
}
