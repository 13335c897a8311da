//! What differs where each rank moves a piece of every parameter and holds the state of that piece alone.

use std::ops::Range;

use burn::module::Module;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use tapeloom_dist::Collective;
use tapeloom_model::{Clip, Dials};

use super::{Assign, Optimizer, Parameter, Pieces, State, rules};
use crate::Result;
use crate::config::OptimizerConfig;
use crate::step::read;

impl Optimizer {
    pub(crate) const fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// The update that has begun, of this rank's pieces. `gradients` are those of the pieces that are not empty, in the network's order; a parameter
    /// that no rank has a gradient for is not `present` and stays. Gives every piece that is not empty.
    pub(crate) fn step_pieces<M: Module>(
        &mut self,
        config: &OptimizerConfig,
        learning_rate: f64,
        network: &M,
        (gradients, present): (Vec<Tensor<1>>, &[bool]),
        clip: &Clip,
        dials: Option<&Dials>,
    ) -> Vec<Tensor<1>> {
        let mut gradients = gradients.into_iter();
        let of_parameter = |(piece, present): (&Range<usize>, &bool)| {
            if piece.is_empty() { None } else { gradients.next().filter(|_| *present) }
        };
        let rows = self.pieces.iter().zip(present).map(of_parameter).collect();
        let mut moved = self.advance(config, learning_rate, network, rows, clip, dials);
        let idle = |(moved, piece): (&Option<Tensor<1>>, &Range<usize>)| moved.is_none() && !piece.is_empty();
        if moved.iter().zip(self.pieces.iter()).any(idle) {
            let old = Parameter::of(network, &self.pieces);
            moved.iter_mut().zip(old).for_each(|(moved, old)| *moved = moved.take().or(old));
        }
        moved.into_iter().flatten().collect()
    }

    /// The network with these numbers of all its parameters.
    pub(crate) fn assign<M: Module>(network: M, rows: impl Iterator<Item = Tensor<1>>) -> M {
        network.map(&mut Assign(rows.map(Some)))
    }

    /// The state of all ranks' pieces, as a rank that moves everything would have it. All ranks call this at once.
    pub(crate) fn gathered(&self, config: &OptimizerConfig, collective: &dyn Collective) -> Result<Self> {
        if self.pieces.is_whole() {
            return Ok(self.clone());
        }
        let device = self.state.time.val().device();
        let kept = rules::moments(config);
        let whole = |kept: bool, of: Vec<Tensor<1>>| -> Result<Vec<Tensor<1>>> {
            if !kept {
                return Ok(of);
            }
            let mut part = Vec::with_capacity(self.pieces.part());
            for (row, piece) in of.into_iter().zip(self.pieces.iter()) {
                if !piece.is_empty() {
                    part.extend(read(row)?);
                }
            }
            part.resize(self.pieces.part(), 0.0);
            let all = collective.all_gather(&part)?;
            Ok(rows(&self.pieces, &all, &device))
        };
        let (first, second) = self.state.clone().take().into_iter().map(|[first, second]| (first, second)).unzip();
        let (first, second) = (whole(kept[0], first)?, whole(kept[1], second)?);
        let mut state = State { first: Vec::new(), second: Vec::new(), time: self.state.time.clone() };
        first.into_iter().zip(second).for_each(|(first, second)| state.push([first, second]));
        let pieces = Pieces::new(self.pieces.lengths().to_vec(), 0, 1);
        Ok(Self { state, time: self.time, settings: self.settings.clone(), pieces })
    }

    /// This rank's pieces of the state that [`Optimizer::encode`] wrote for a network of the same shape, for whatever number of ranks.
    pub(crate) fn decode(&self, config: &OptimizerConfig, bytes: Vec<u8>) -> Result<Self, RecordError> {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))?;
        let device = self.state.time.val().device();
        let whole = Pieces::new(self.pieces.lengths().to_vec(), 0, 1);
        let mut all = State::zeros(config, &whole, &device).try_load_record(record)?;
        let time = all.time.val().into_data().iter::<i64>().next().unwrap_or(0) as u64;
        if self.pieces.is_whole() {
            return Ok(Self { state: all, time, ..self.clone() });
        }
        let kept = rules::moments(config);
        let mut state = State { first: Vec::new(), second: Vec::new(), time: all.time.clone() };
        for (moments, piece) in all.take().into_iter().zip(self.pieces.iter()) {
            let mut kept = kept.iter();
            state.push(moments.map(|row| match kept.next() {
                Some(true) if piece.is_empty() => Tensor::zeros([1], &device),
                Some(true) => row.slice([piece.clone()]),
                _ => row,
            }));
        }
        Ok(Self { state, time, ..self.clone() })
    }
}

/// A row of all numbers as one row for each parameter.
pub(crate) fn rows(pieces: &Pieces, all: &[f32], device: &Device) -> Vec<Tensor<1>> {
    let row = |(start, len): (usize, &usize)| {
        Tensor::from_data(TensorData::new(all[start..start + len].to_vec(), [*len]), device)
    };
    pieces.starts().zip(pieces.lengths()).map(row).collect()
}
