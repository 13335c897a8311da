use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use tapeloom_dist::{Collective, DeviceCollective, ReduceOp};
use tapeloom_model::Exchange;

use super::passes::Part;
use crate::Result;

/// The way of gradients through a collective that works on the device: nothing of it is read by the host, so it can be part of
/// a recorded step.
#[derive(Debug)]
pub(super) struct OnDevice {
    exchange: Exchange,
    /// For each parameter in the network's order, whether it has a gradient on any rank.
    present: Vec<bool>,
    turn: u64,
}

impl OnDevice {
    /// For a network whose gradients are those that `present` says; none where the collective does not reach the device.
    pub(super) fn new<M: Module>(
        module: &M,
        present: Vec<bool>,
        collective: &dyn Collective,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(guest) = collective.device() else { return Ok(None) };
        let mut lengths = Lengths(Vec::new());
        module.visit(&mut lengths);
        let numbers: usize = lengths.0.iter().zip(&present).filter(|(_, present)| **present).map(|(len, _)| len).sum();
        let exchange = Exchange::new(device, numbers + 1, false)?.filter(|exchange| guest.reaches(exchange.buffer()));
        Ok(exchange.map(|exchange| Self { exchange, present, turn: 0 }))
    }

    /// Queues the collective's side of the next exchange.
    pub(super) fn announce(&mut self, guest: &dyn DeviceCollective) -> Result<()> {
        self.turn += 1;
        Ok(guest.all_reduce(self.exchange.buffer(), ReduceOp::Sum, self.turn)?)
    }

    /// Loss and gradients summed over ranks; a rank without a part adds nothing. A step that is recorded leaves the
    /// collective's side to [`OnDevice::announce`].
    pub(super) fn sum<M: Module>(
        &mut self,
        module: &M,
        part: Option<Part>,
        (guest, is_now): (&dyn DeviceCollective, bool),
        device: &Device,
    ) -> Result<(Tensor<1>, GradientsParams)> {
        let (mut loss, mut gradients) = match part {
            Some(part) => (part.loss, part.gradients),
            None => (Tensor::zeros([1], device), GradientsParams::new()),
        };
        let mut rows = Rows { gradients: &mut gradients, present: self.present.iter(), rows: Vec::new(), end: 0 };
        module.visit(&mut rows);
        let Rows { mut rows, end, .. } = rows;
        let mut places: Vec<(usize, usize)> = rows.iter().map(|(start, row)| (*start, row.dims()[0])).collect();
        places.push((end, 1));
        rows.push((end, loss));
        self.exchange.put(rows);
        self.exchange.offer();
        if is_now {
            // Kernels that run for the first time are loaded before anything is held at the gate: loading waits for the device.
            self.exchange.sync()?;
            self.announce(guest)?;
        }
        // The group's own deadline comes first; this one is for a host that is gone.
        self.exchange.wait(guest.deadline() * 2);
        let mut sums = self.exchange.take(&places);
        loss = sums.pop().expect("the loss is the last row");
        let mut assign = Assign { gradients: &mut gradients, present: self.present.iter(), sums: sums.into_iter() };
        module.visit(&mut assign);
        Ok((loss, gradients))
    }
}

struct Lengths(Vec<usize>);

impl ModuleVisitor for Lengths {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.shape().num_elements());
    }
}

/// Takes the gradients as rows, each with its place.
struct Rows<'a> {
    gradients: &'a mut GradientsParams,
    present: std::slice::Iter<'a, bool>,
    rows: Vec<(usize, Tensor<1>)>,
    end: usize,
}

impl ModuleVisitor for Rows<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.present.next().is_some_and(|present| *present) {
            let gradient = self.gradients.remove::<D>(param.id).unwrap_or_else(|| param.val().inner().zeros_like());
            let row = gradient.flatten::<1>(0, D - 1);
            let start = self.end;
            self.end += row.dims()[0];
            self.rows.push((start, row));
        }
    }
}

struct Assign<'a, I> {
    gradients: &'a mut GradientsParams,
    present: std::slice::Iter<'a, bool>,
    sums: I,
}

impl<I: Iterator<Item = Tensor<1>>> ModuleVisitor for Assign<'_, I> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.present.next().is_some_and(|present| *present) {
            let sum = self.sums.next().expect("a row comes back for each that was put");
            self.gradients.register::<D>(param.id, sum.reshape(param.shape()));
        }
    }
}
