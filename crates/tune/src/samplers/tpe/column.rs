use std::collections::HashMap;
use std::ops::Range;

use super::axis::{Axis, Interval, even};
use super::parzen::{ln_mass, width};
use crate::Draws;
use crate::math::simd::Registers;
use crate::math::{normal, simd};

/// One axis of all kernels.
#[derive(Clone, Debug)]
pub(super) struct Column {
    axis: Axis,
    /// By slot: where the kernel lies.
    places: Vec<f64>,
    /// By slot: how wide it is; zero until it is computed.
    widths: Vec<f64>,
    /// By slot: one over the width and the root of two.
    scales: Vec<f64>,
    /// By slot: minus the logarithm of what the kernel is divided by.
    constants: Vec<f64>,
    /// Places ascending, with the numbers of their observations.
    sorted: Vec<(f64, u64)>,
    /// Indices of `sorted` whose neighbours changed.
    stale: Range<usize>,
    classes: Classes,
}

/// Kernels of a discrete axis that are the same: a place and a width.
#[derive(Clone, Debug, Default)]
struct Classes {
    /// By slot.
    of: Vec<u32>,
    index: HashMap<(u64, u64), u32>,
    list: Vec<Class>,
    free: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Class {
    place: f64,
    width: f64,
    ln_mass: f64,
    members: u32,
}

impl Column {
    pub(super) fn new(axis: Axis) -> Self {
        Self {
            axis,
            places: Vec::new(),
            widths: Vec::new(),
            scales: Vec::new(),
            constants: Vec::new(),
            sorted: Vec::new(),
            stale: 0..0,
            classes: Classes::default(),
        }
    }

    /// `numbers` holds the new observation already.
    pub(super) fn insert(&mut self, numbers: &[u64], slot: usize, place: f64) {
        self.places.insert(slot, place);
        self.widths.insert(slot, 0.0);
        self.scales.insert(slot, 0.0);
        self.constants.insert(slot, 0.0);
        if self.axis.is_discrete() {
            self.classes.of.insert(slot, u32::MAX);
        }
        if let Axis::Choices(_) = self.axis {
            self.classes.join(slot, (place, 0.0), |_| 0.0);
            return;
        }
        let key = (place, numbers[slot]);
        let at = self.sorted.partition_point(|other| before(other, &key));
        self.sorted.insert(at, key);
        self.stale = at.saturating_sub(2)..at + 3;
    }

    /// `numbers` holds the old observation still.
    pub(super) fn remove(&mut self, numbers: &[u64], slot: usize) {
        let key = (self.places[slot], numbers[slot]);
        if self.axis.is_discrete() {
            self.classes.leave(slot);
            self.classes.of.remove(slot);
        }
        self.places.remove(slot);
        self.widths.remove(slot);
        self.scales.remove(slot);
        self.constants.remove(slot);
        if let Axis::Interval(_) = self.axis {
            let at = self.sorted.partition_point(|other| before(other, &key));
            self.sorted.remove(at);
            self.stale = at.saturating_sub(2)..at + 2;
        }
    }

    /// Computes the widths that a change made stale, and says which slots they belong to.
    pub(super) fn renew(&mut self, numbers: &[u64]) -> Vec<usize> {
        let Axis::Interval(interval) = &self.axis else { return Vec::new() };
        // Below a hundred kernels the least width depends on their number.
        let all = self.sorted.len() < 100;
        let stale = if all { 0..self.sorted.len() } else { self.stale.start..self.stale.end.min(self.sorted.len()) };
        self.stale = 0..0;
        let mut changed = Vec::new();
        for at in stale {
            let (place, number) = self.sorted[at];
            let Ok(slot) = numbers.binary_search(&number) else { continue };
            let width = width(&self.sorted, at, interval);
            if width == self.widths[slot] {
                continue;
            }
            self.widths[slot] = width;
            changed.push(slot);
            if self.axis.is_discrete() {
                self.classes.leave(slot);
                self.classes.join(slot, (place, width), |width| ln_mass(interval, place, width));
            } else {
                self.scales[slot] = std::f64::consts::FRAC_1_SQRT_2 / width;
                self.constants[slot] = -width.ln() - normal::LN_SQRT_2PI - ln_mass(interval, place, width);
            }
        }
        changed
    }

    pub(super) fn constant(&self, slot: usize) -> f64 {
        self.constants[slot]
    }

    /// Draws a place from a kernel, or from the wide one.
    pub(super) fn sample(&self, kernel: Option<usize>, kernels: usize, draws: &mut Draws) -> f64 {
        match (&self.axis, kernel) {
            (Axis::Choices(count), Some(kernel)) => {
                // Each choice has a share, and the kernel's own one share more for each kernel.
                let own = (kernels + 1) as f64;
                let place = draws.unit() * (*count as f64 + own);
                if place < own { self.places[kernel] } else { (place - own).floor().min(*count as f64 - 1.0) }
            }
            (Axis::Choices(_), None) => even(&self.axis, draws),
            (Axis::Interval(interval), kernel) => {
                let (place, width) =
                    kernel.map_or_else(|| wide(interval), |slot| (self.places[slot], self.widths[slot]));
                let (a, b) = ((interval.low - place) / width, (interval.high - place) / width);
                place + width * normal::truncated_quantile(draws.unit(), a, b)
            }
        }
    }

    /// The logarithm of the wide kernel at a place.
    pub(super) fn ln_wide(&self, place: f64) -> f64 {
        match &self.axis {
            Axis::Choices(count) => -(*count as f64).ln(),
            Axis::Interval(interval) => {
                let (middle, width) = wide(interval);
                if self.axis.is_discrete() {
                    return ln_step(interval, place, middle, width) - ln_mass(interval, middle, width);
                }
                let z = (place - middle) / width;
                -0.5 * z * z - width.ln() - normal::LN_SQRT_2PI - ln_mass(interval, middle, width)
            }
        }
    }

    /// The logarithm of each class's kernels at a place; empty on a continuous axis.
    pub(super) fn table(&self, place: f64) -> Vec<f64> {
        let kernels = self.places.len() as f64 + 1.0;
        match &self.axis {
            Axis::Choices(count) => {
                let whole = (*count as f64 / kernels + 1.0).ln();
                let (hit, miss) = ((1.0 / kernels + 1.0).ln() - whole, (1.0 / kernels).ln() - whole);
                self.classes.list.iter().map(|class| if class.place == place { hit } else { miss }).collect()
            }
            Axis::Interval(interval) if self.axis.is_discrete() => {
                let (low, high) = interval.around(place);
                let ln = |class: &Class| {
                    if class.members == 0 {
                        return 0.0;
                    }
                    let (a, b) = ((low - class.place) / class.width, (high - class.place) / class.width);
                    normal::ln_between_quick(a, b) - class.ln_mass
                };
                self.classes.list.iter().map(ln).collect()
            }
            Axis::Interval(_) => Vec::new(),
        }
    }

    /// Adds the logarithm of each kernel of `slots` at a place, without its constant.
    pub(super) fn add(&self, registers: Registers, sums: &mut [f64], slots: Range<usize>, place: f64, table: &[f64]) {
        if self.axis.is_discrete() {
            simd::add_classes(sums, &self.classes.of[slots], table);
        } else {
            simd::subtract_squares(registers, sums, &self.places[slots.clone()], &self.scales[slots], place);
        }
    }
}

impl Classes {
    fn join(&mut self, slot: usize, (place, width): (f64, f64), ln_mass: impl FnOnce(f64) -> f64) {
        let key = (place.to_bits(), width.to_bits());
        let class = *self.index.entry(key).or_insert_with(|| {
            let class = Class { place, width, ln_mass: ln_mass(width), members: 0 };
            if let Some(free) = self.free.pop() {
                self.list[free as usize] = class;
                free
            } else {
                self.list.push(class);
                self.list.len() as u32 - 1
            }
        });
        self.list[class as usize].members += 1;
        self.of[slot] = class;
    }

    fn leave(&mut self, slot: usize) {
        let index = self.of[slot];
        let Some(class) = self.list.get_mut(index as usize) else { return };
        class.members -= 1;
        if class.members == 0 {
            self.index.remove(&(class.place.to_bits(), class.width.to_bits()));
            self.free.push(index);
        }
        self.of[slot] = u32::MAX;
    }
}

fn before(a: &(f64, u64), b: &(f64, u64)) -> bool {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_lt()
}

/// Place and width of the kernel over everything.
fn wide(interval: &Interval) -> (f64, f64) {
    (f64::midpoint(interval.low, interval.high), interval.high - interval.low)
}

/// The logarithm of a normal kernel's share of the step around a place.
fn ln_step(interval: &Interval, at: f64, place: f64, width: f64) -> f64 {
    let (low, high) = interval.around(at);
    normal::ln_between_quick((low - place) / width, (high - place) / width)
}
