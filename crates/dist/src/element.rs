use std::ops::{Add, Div};

use crate::collective::ReduceOp;
use crate::meeting::Payload;

/// A number that ranks can reduce.
pub(crate) trait Element: Copy + PartialOrd + Add<Output = Self> + Div<Output = Self> {
    const NAN: Self;

    fn from_count(count: usize) -> Self;

    fn pack(values: Vec<Self>) -> Payload;

    /// The values of a payload of this kind. Calls of one name bring one kind, and names are compared before payloads.
    fn unpack(payload: &Payload) -> &[Self];
}

impl Element for f32 {
    const NAN: Self = Self::NAN;

    fn from_count(count: usize) -> Self {
        count as Self
    }

    fn pack(values: Vec<Self>) -> Payload {
        Payload::F32(values)
    }

    fn unpack(payload: &Payload) -> &[Self] {
        if let Payload::F32(values) = payload { values } else { &[] }
    }
}

impl Element for f64 {
    const NAN: Self = Self::NAN;

    fn from_count(count: usize) -> Self {
        count as Self
    }

    fn pack(values: Vec<Self>) -> Payload {
        Payload::F64(values)
    }

    fn unpack(payload: &Payload) -> &[Self] {
        if let Payload::F64(values) = payload { values } else { &[] }
    }
}

/// Folds the ranks' values into `out`, in the order of ranks. One rank alone is copied to the bit.
pub(crate) fn reduce<'a, T: Element + 'a>(out: &mut [T], mut ranks: impl Iterator<Item = &'a [T]>, op: ReduceOp) {
    let mut count = 0;
    if let Some(first) = ranks.next() {
        out.copy_from_slice(first);
        count = 1;
    }
    for values in ranks {
        match op {
            ReduceOp::Sum | ReduceOp::Mean => out.iter_mut().zip(values).for_each(|(a, b)| *a = *a + *b),
            ReduceOp::Max => out.iter_mut().zip(values).for_each(|(a, b)| *a = larger(*a, *b)),
        }
        count += 1;
    }
    if op == ReduceOp::Mean && count > 1 {
        let count = T::from_count(count);
        out.iter_mut().for_each(|a| *a = *a / count);
    }
}

fn larger<T: Element>(a: T, b: T) -> T {
    match a.partial_cmp(&b) {
        Some(order) if order.is_ge() => a,
        Some(_) => b,
        None => T::NAN,
    }
}
