use std::ops::{Add, Div};

use crate::collective::ReduceOp;

/// A number that ranks can reduce.
pub(crate) trait Element: Copy + Default + PartialOrd + Add<Output = Self> + Div<Output = Self> {
    const NAN: Self;

    fn from_count(count: usize) -> Self;

    /// The buffer for numbers of this kind.
    fn of(staging: &Staging) -> &Vec<Self>;

    fn of_mut(staging: &mut Staging) -> &mut Vec<Self>;
}

/// A place for numbers of either kind that is kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    f32: Vec<f32>,
    f64: Vec<f64>,
}

impl Element for f32 {
    const NAN: Self = Self::NAN;

    fn from_count(count: usize) -> Self {
        count as Self
    }

    fn of(staging: &Staging) -> &Vec<Self> {
        &staging.f32
    }

    fn of_mut(staging: &mut Staging) -> &mut Vec<Self> {
        &mut staging.f32
    }
}

impl Element for f64 {
    const NAN: Self = Self::NAN;

    fn from_count(count: usize) -> Self {
        count as Self
    }

    fn of(staging: &Staging) -> &Vec<Self> {
        &staging.f64
    }

    fn of_mut(staging: &mut Staging) -> &mut Vec<Self> {
        &mut staging.f64
    }
}

/// Folds the ranks' values into `out`, in the order of ranks. One rank alone is copied to the bit.
pub(crate) fn reduce<'a, T: Element + 'a>(out: &mut [T], ranks: impl Iterator<Item = &'a [T]> + Clone, op: ReduceOp) {
    /// What stays in the first cache while the ranks pass by: memory is read once and written once.
    const BLOCK: usize = 2048;
    let count = ranks.clone().count();
    for (index, out) in out.chunks_mut(BLOCK).enumerate() {
        let part = index * BLOCK..index * BLOCK + out.len();
        let mut ranks = ranks.clone();
        if let Some(first) = ranks.next() {
            out.copy_from_slice(&first[part.clone()]);
        }
        for values in ranks {
            let values = &values[part.clone()];
            match op {
                ReduceOp::Sum | ReduceOp::Mean => out.iter_mut().zip(values).for_each(|(a, b)| *a = *a + *b),
                ReduceOp::Max => out.iter_mut().zip(values).for_each(|(a, b)| *a = larger(*a, *b)),
            }
        }
        if op == ReduceOp::Mean && count > 1 {
            let count = T::from_count(count);
            out.iter_mut().for_each(|a| *a = *a / count);
        }
    }
}

fn larger<T: Element>(a: T, b: T) -> T {
    match a.partial_cmp(&b) {
        Some(order) if order.is_ge() => a,
        Some(_) => b,
        None => T::NAN,
    }
}
