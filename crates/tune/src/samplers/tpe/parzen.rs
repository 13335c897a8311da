use super::axis::{Axis, Interval};
use super::column::Column;
use crate::Draws;
use crate::math::simd::Registers;
use crate::math::{normal, simd};

/// A density over several axes: a weighted mixture of kernels, one at each observation, and a wide one over everything.
///
/// Each kernel is a product over the axes: truncated normals on intervals, as wide as the larger gap to a neighbour, and a
/// weighted choice among choices. (Bergstra and others, "Algorithms for hyper-parameter optimization", NeurIPS 2011; Watanabe,
/// "Tree-structured Parzen estimator", arXiv 2304.11127.) Observations come and go one by one, and only what they change is
/// computed anew; what it says depends on the set of observations alone, not on how it came about.
#[derive(Clone, Debug)]
pub(crate) struct Parzen {
    /// Of the observations, ascending. All other lists are in this order.
    numbers: Vec<u64>,
    columns: Vec<Column>,
    /// Logarithm of what each kernel is divided by.
    constants: Vec<f64>,
    weights: Weights,
}

/// How much a kernel counts by its age.
#[derive(Clone, Debug)]
struct Weights {
    fades: bool,
    /// Of the observations, newest last; stale when their number differs.
    values: Vec<f64>,
    /// Of all observations and the wide kernel.
    total: f64,
}

/// Observations up to here all count the same.
const FRESH: usize = 25;

impl Parzen {
    /// Without observations. Unless it `fades`, old observations count as much as new ones.
    pub(crate) fn new(axes: &[Axis], fades: bool) -> Self {
        let columns = axes.iter().map(|axis| Column::new(axis.clone())).collect();
        let weights = Weights { fades, values: Vec::new(), total: 1.0 };
        Self { numbers: Vec::new(), columns, constants: Vec::new(), weights }
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Takes an observation, a place on each axis. One that is there already is kept.
    pub(crate) fn insert(&mut self, number: u64, places: &[f64]) {
        let Err(slot) = self.numbers.binary_search(&number) else { return };
        self.numbers.insert(slot, number);
        self.constants.insert(slot, 0.0);
        for (column, place) in self.columns.iter_mut().zip(places) {
            column.insert(&self.numbers, slot, *place);
        }
        self.renew(Some(slot));
    }

    /// Drops an observation, if it is there.
    pub(crate) fn remove(&mut self, number: u64) {
        let Ok(slot) = self.numbers.binary_search(&number) else { return };
        self.columns.iter_mut().for_each(|column| column.remove(&self.numbers, slot));
        self.numbers.remove(slot);
        self.constants.remove(slot);
        self.renew(None);
    }

    /// Brings the weights up to date; due after observations came or went, before the density is asked.
    pub(crate) fn settle(&mut self) {
        self.weights.renew(self.numbers.len());
    }

    /// Draws a place on each axis, all from the same kernel.
    pub(crate) fn sample(&self, draws: &mut Draws) -> Vec<f64> {
        let mut left = draws.unit() * self.weights.total;
        let kernel = self.weights.values.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        self.columns.iter().map(|column| column.sample(kernel, self.len(), draws)).collect()
    }

    /// The logarithm of the density at each candidate.
    pub(crate) fn ln_density(&self, candidates: &[Vec<f64>]) -> Vec<f64> {
        let registers = Registers::detect();
        // The wide kernel first; each block of kernels then adds to it.
        let wide = |candidate: &Vec<f64>| -> f64 {
            self.columns.iter().zip(candidate).map(|(column, place)| column.ln_wide(*place)).sum()
        };
        let mut largest: Vec<f64> = candidates.iter().map(wide).collect();
        let mut sums = vec![1.0; candidates.len()];
        let tables: Vec<Vec<Vec<f64>>> = candidates
            .iter()
            .map(|candidate| self.columns.iter().zip(candidate).map(|(column, place)| column.table(*place)).collect())
            .collect();
        let mut block = [0.0; simd::BLOCK];
        for start in (0..self.len()).step_by(simd::BLOCK) {
            let end = (start + simd::BLOCK).min(self.len());
            let block = &mut block[..end - start];
            for (i, candidate) in candidates.iter().enumerate() {
                block.copy_from_slice(&self.constants[start..end]);
                for ((column, place), table) in self.columns.iter().zip(candidate).zip(&tables[i]) {
                    column.add(registers, block, start..end, *place, table);
                }
                let top = simd::max(registers, block);
                if top > largest[i] {
                    sums[i] *= (largest[i] - top).exp();
                    largest[i] = top;
                }
                sums[i] += simd::weighted_exp_sum(registers, block, &self.weights.values[start..end], largest[i]);
            }
        }
        let ln_total = self.weights.total.ln();
        largest.iter().zip(sums).map(|(top, sum)| top + sum.ln() - ln_total).collect()
    }

    /// Brings constants up to date after a change, `added` at its slot.
    fn renew(&mut self, added: Option<usize>) {
        let mut changed: Vec<usize> = added.into_iter().collect();
        for column in &mut self.columns {
            changed.append(&mut column.renew(&self.numbers));
        }
        changed.sort_unstable();
        changed.dedup();
        for slot in changed {
            self.constants[slot] = self.columns.iter().map(|column| column.constant(slot)).sum();
        }
    }
}

impl Weights {
    fn renew(&mut self, len: usize) {
        if self.values.len() == len {
            return;
        }
        self.values.clear();
        let old = if self.fades { len.saturating_sub(FRESH) } else { 0 };
        // Old ones count from 1 / len up to 1.
        let (first, steps) = (1.0 / len.max(1) as f64, old.saturating_sub(1).max(1) as f64);
        self.values.extend((0..old).map(|age| first + (1.0 - first) * age as f64 / steps));
        self.values.resize(len, 1.0);
        self.total = self.values.iter().sum::<f64>() + 1.0;
    }
}

/// The widths that observations at these sorted places have: the larger gap to a neighbour, where the ends of the interval are
/// neighbours of the outermost unless these have one of their own.
pub(super) fn width(sorted: &[(f64, u64)], at: usize, interval: &Interval) -> f64 {
    let place = sorted[at].0;
    let left = at.checked_sub(1).map(|left| place - sorted[left].0);
    let right = sorted.get(at + 1).map(|right| right.0 - place);
    let gap = match (left, right) {
        (Some(left), Some(right)) => left.max(right),
        (Some(gap), None) | (None, Some(gap)) => gap,
        (None, None) => (place - interval.low).max(interval.high - place),
    };
    let range = interval.high - interval.low;
    // The wide kernel counts as one of the kernels.
    gap.clamp(range / 100.0_f64.min(sorted.len() as f64 + 2.0), range)
}

/// The logarithm of what a normal kernel cut to the interval is divided by, without the root of two pi.
pub(super) fn ln_mass(interval: &Interval, place: f64, width: f64) -> f64 {
    normal::ln_between((interval.low - place) / width, (interval.high - place) / width)
}
