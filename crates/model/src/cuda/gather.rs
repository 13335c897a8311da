//! Batches of windows out of rows that lie on the card.

use burn::tensor::{Bytes, DType};
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, empty, plain, source};
use crate::Dials;

const GATHER: Source = source!("gather");

const THREADS: usize = 256;

/// Where samples begin.
#[derive(Debug)]
pub(crate) enum FirstRows<'a> {
    Given(&'a [usize]),
    /// On the dials, from this sample on.
    Dialled(&'a Dials, usize),
}

impl FirstRows<'_> {
    /// Words on the device, and the place of the first of them.
    fn words(&self, like: &CubeTensor) -> (CubeTensor, usize) {
        match self {
            Self::Given(rows) => {
                let bytes = rows.iter().flat_map(|row| (*row as u64).to_le_bytes()).collect();
                let handle = like.client.create(Bytes::from_bytes_vec(bytes));
                let (client, device) = (like.client.clone(), like.device.clone());
                (CubeTensor::new_contiguous(client, device, [rows.len()].into(), handle, DType::U64), 0)
            }
            Self::Dialled(dials, from) => (dials.words().tensor().clone(), dials.first_rows() + from),
        }
    }
}

/// Windows `[samples, steps, columns]` in `dtype`, and the targets of their last rows.
pub(crate) fn gather(
    rows: [CubeTensor; 2],
    [columns, outputs]: [usize; 2],
    first_rows: &FirstRows<'_>,
    samples: usize,
    steps: usize,
    dtype: DType,
) -> [CubeTensor; 2] {
    let [features, targets] = rows.map(plain);
    let (words, place) = first_rows.words(&features);
    let windows = empty(&features, [samples, steps, columns], dtype);
    let outcomes = empty(&features, [samples, outputs], DType::F32);
    Launch::new(GATHER, THREADS)
        .flag("ACT_BF16", dtype == DType::BF16)
        .reads([&features, &targets, &words])
        .writes([&windows, &outcomes])
        .numbers([steps, columns, outputs, place])
        .run(&features.client, [(steps * columns).div_ceil(4 * THREADS), samples, 1]);
    [windows, outcomes]
}
