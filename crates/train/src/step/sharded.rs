//! A step of ranks that hold the optimizer's state in parts (ZeRO, Rajbhandari et al. 2020): gradients are reduced to the rank
//! that moves them, and moved parameters are gathered.

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use tapeloom_dist::{Collective, DeviceCollective, ReduceOp};
use tapeloom_model::{Clip, Dials, Exchange, Network};

use super::passes::Part;
use super::{Step, gradients, read};
use crate::Result;
use crate::optimizer::{Optimizer, Pieces, rows};

/// The rows through which ranks meet on the device.
#[derive(Debug)]
pub(super) struct OnDevice {
    /// Gradients on their way there, parameters on their way back.
    numbers: Exchange,
    /// Loss, and the square of the norm of each rank's gradients.
    facts: Exchange,
    present: Vec<bool>,
    turn: u64,
}

impl OnDevice {
    fn new(pieces: &Pieces, present: Vec<bool>, collective: &dyn Collective, device: &Device) -> Result<Option<Self>> {
        let Some(guest) = collective.device() else { return Ok(None) };
        let numbers = Exchange::new(device, pieces.padded(), false)?.filter(|row| guest.reaches(row.buffer()));
        let facts = Exchange::new(device, 2, false)?;
        Ok(numbers.zip(facts).map(|(numbers, facts)| Self { numbers, facts, present, turn: 0 }))
    }

    /// Queues the collective's side of a whole step.
    pub(super) fn announce(&mut self, guest: &dyn DeviceCollective) -> Result<()> {
        self.reduce(guest)?;
        self.agree(guest)?;
        self.gather(guest)
    }

    fn reduce(&mut self, guest: &dyn DeviceCollective) -> Result<()> {
        self.turn += 1;
        Ok(guest.reduce_scatter(self.numbers.buffer(), ReduceOp::Sum, 2 * self.turn - 1)?)
    }

    fn agree(&self, guest: &dyn DeviceCollective) -> Result<()> {
        Ok(guest.all_reduce(self.facts.buffer(), ReduceOp::Sum, self.turn)?)
    }

    fn gather(&self, guest: &dyn DeviceCollective) -> Result<()> {
        Ok(guest.all_gather(self.numbers.buffer(), 2 * self.turn)?)
    }
}

impl<N: Network> Step<N> {
    /// Meets the other ranks, moves this rank's pieces, and takes over the others'. Loss and norm stay on the device.
    pub(super) fn update_pieces(
        &mut self,
        mut part: Option<Part>,
        learning_rate: f64,
        dials: Option<&Dials>,
    ) -> Result<Tensor<1>> {
        if let Some((part, scale)) = part.as_mut().zip(self.scale.as_ref()) {
            gradients::scale(&self.network, &mut part.gradients, 1.0 / scale.factor());
        }
        match self.collective.clone().device().filter(|_| self.sharded.is_some()) {
            Some(guest) => self.update_on_device(part, learning_rate, dials, guest),
            None => self.update_on_host(part, learning_rate),
        }
    }

    /// The first step of a run goes this way everywhere: it shows which parameters have gradients.
    fn update_on_host(&mut self, part: Option<Part>, learning_rate: f64) -> Result<Tensor<1>> {
        let device = self.device.clone().without_autodiff();
        let (collective, pieces) = (self.collective.clone(), self.optimizer.pieces().clone());
        let mut numbers = gradients::flatten(&self.network, part)?;
        // Flags and the loss are everyone's, and few.
        let mut facts = numbers.split_off(pieces.lengths().iter().sum());
        numbers.resize(pieces.padded(), 0.0);
        let mine = collective.reduce_scatter(&numbers, ReduceOp::Sum)?;
        collective.all_reduce(&mut facts, ReduceOp::Sum)?;
        let mut square = [mine.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>()];
        collective.all_reduce_f64(&mut square, ReduceOp::Sum)?;
        let loss = facts.pop().expect("the loss is the last number");
        let present: Vec<bool> = facts.into_iter().map(|present| present != 0.0).collect();
        let norm = Tensor::from_floats([square[0].sqrt() as f32], &device);
        let clip = self.clip_of(norm, &Tensor::from_floats([loss], &device));
        let from = self.cut.rank * pieces.part();
        let of_mine = |(start, len): (usize, usize)| Tensor::from_floats(&mine[start - from..][..len], &device);
        let mine = pieces.places().into_iter().map(of_mine).collect();
        let moved =
            self.optimizer.step_pieces(&self.config, learning_rate, &self.network, (mine, &present), &clip, None);
        let mut part = Vec::with_capacity(pieces.part());
        for piece in moved {
            part.extend(read(piece)?);
        }
        part.resize(pieces.part(), 0.0);
        let all = collective.all_gather(&part)?;
        self.network = Optimizer::assign(self.network.clone(), rows(&pieces, &all, &device).into_iter());
        self.sharded = OnDevice::new(&pieces, present, &*collective, &device)?;
        Ok(Tensor::cat(vec![Tensor::from_floats([loss], &device), clip.norm()], 0))
    }

    fn update_on_device(
        &mut self,
        part: Option<Part>,
        learning_rate: f64,
        dials: Option<&Dials>,
        guest: &dyn DeviceCollective,
    ) -> Result<Tensor<1>> {
        let on_device = self.sharded.as_mut().expect("the first step made it");
        // Kernels that run for the first time are loaded before anything is held at a gate: loading waits for the device.
        let is_now = !self.is_recording;
        // The group's own deadline comes first; this one is for a host that is gone.
        let limit = guest.deadline() * 2;
        let (pieces, places) = (self.optimizer.pieces().clone(), self.optimizer.pieces().places());
        let loss = part.as_ref().map(|part| part.loss.clone());
        let mut rows = Rows { part, rows: Vec::new() };
        self.network.visit(&mut rows);
        on_device.numbers.put(pieces.starts().zip(rows.rows).collect());
        on_device.numbers.offer();
        if is_now {
            on_device.numbers.sync()?;
            on_device.reduce(guest)?;
        }
        on_device.numbers.wait(limit);
        let mine = on_device.numbers.take(&places);
        let square = match mine.is_empty() {
            true => Tensor::zeros([1], &self.device.clone().without_autodiff()),
            false => Clip::of(mine.clone(), 0.0).norm().square(),
        };
        let loss = loss.unwrap_or_else(|| square.zeros_like());
        on_device.facts.put(vec![(0, loss), (1, square)]);
        on_device.facts.offer();
        if is_now {
            on_device.facts.sync()?;
            on_device.agree(guest)?;
        }
        on_device.facts.wait(limit);
        let mut facts = on_device.facts.take(&[(0, 1), (1, 1)]).into_iter();
        let (loss, square) = facts.next().zip(facts.next()).expect("two facts");
        let present = on_device.present.clone();
        let clip = self.clip_of(square.sqrt(), &loss);
        let gradients = (mine, &present[..]);
        let moved = self.optimizer.step_pieces(&self.config, learning_rate, &self.network, gradients, &clip, dials);
        let on_device = self.sharded.as_ref().expect("the first step made it");
        on_device.numbers.put(places.into_iter().map(|(start, _)| start).zip(moved).collect());
        on_device.numbers.offer();
        if is_now {
            on_device.numbers.sync()?;
            on_device.gather(guest)?;
        }
        on_device.numbers.wait(limit);
        let mut all = Whole(Vec::new());
        self.network.visit(&mut all);
        let all = on_device.numbers.fill(pieces.starts().zip(all.0).collect());
        self.network = Optimizer::assign(self.network.clone(), all.into_iter());
        Ok(Tensor::cat(vec![loss, clip.norm()], 0))
    }

    /// The clip of a gradient of this norm. A loss that is not finite holds the update back.
    fn clip_of(&self, norm: Tensor<1>, loss: &Tensor<1>) -> Clip {
        Clip::of(vec![norm, loss.clone() * 0.0], self.config.gradient_clip_norm)
    }
}

/// The gradient of every parameter as a row, zeros where there is none.
struct Rows {
    part: Option<Part>,
    rows: Vec<Tensor<1>>,
}

impl ModuleVisitor for Rows {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.part.as_mut().and_then(|part| part.gradients.remove::<D>(param.id));
        self.rows.push(gradient.unwrap_or_else(|| param.val().inner().zeros_like()).flatten(0, D - 1));
    }
}

/// Every parameter as a row.
struct Whole(Vec<Tensor<1>>);

impl ModuleVisitor for Whole {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().inner().flatten(0, D - 1));
    }
}
