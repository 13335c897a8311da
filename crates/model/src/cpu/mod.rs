//! The kernels of the CPU: plain functions on slices, and what makes of them operations of Burn's `flex` backend.

mod attention;
mod dropout;
mod gru;
mod linear;
mod lstm;
mod math;
mod memory;
mod norm;
mod pointwise;
mod product;
mod provider;
mod sums;
pub(crate) mod tick;
mod words;

use std::ops::Range;

pub(crate) use provider::{adamw, clip};

/// Cuts `0..count` into one run for each thread.
fn runs(count: usize) -> Vec<Range<usize>> {
    let threads = rayon::current_num_threads().clamp(1, count.max(1));
    (0..threads).map(|i| i * count / threads..(i + 1) * count / threads).collect()
}

/// Calls `work` for each run, with that run's part of each buffer; a buffer says how many numbers a sample has in it.
fn join_runs<const N: usize>(
    runs: &[Range<usize>],
    buffers: [(&mut memory::Buffer, usize); N],
    work: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
) {
    let mut rest = buffers.map(|(buffer, width)| (&mut **buffer, width));
    let mut parts = Vec::with_capacity(runs.len());
    for run in runs {
        let part = rest.each_mut().map(|(buffer, width)| {
            let (head, tail) = std::mem::take(buffer).split_at_mut(run.len() * *width);
            *buffer = tail;
            head
        });
        parts.push((run.clone(), part));
    }
    if let [_] = runs {
        return parts.into_iter().for_each(|(run, part)| work(run, part));
    }
    rayon::scope(|scope| {
        for (run, part) in parts {
            scope.spawn(|_| work(run, part));
        }
    });
}

/// One step of an LSTM cell for one sequence: gate sums in, cell and hidden state updated; `spare` is of their size.
pub(crate) fn lstm_cell(sums: &mut [f32], cell: &mut Vec<f32>, hidden: &mut [f32], spare: &mut Vec<f32>) {
    std::mem::swap(cell, spare);
    cell.resize(hidden.len(), 0.0);
    lstm::cell_forward(sums, spare, cell, hidden);
}

/// The same of a GRU cell: sums of the input, widened to four gates, and of the state.
pub(crate) fn gru_cell(sums: &mut [f32], products: &[f32], hidden: &mut Vec<f32>, spare: &mut Vec<f32>) {
    std::mem::swap(hidden, spare);
    hidden.resize(spare.len(), 0.0);
    gru::cell_forward(sums, products, spare, hidden);
}
