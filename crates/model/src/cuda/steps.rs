//! Recurrences of widths that no cluster holds: for each time step a product and a small kernel. Recorded, their many launches
//! cost little.

use burn::backend::Cube;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Launch, Source, empty, is_bf16, plain, source};
use super::product::{REDUCE, Sizes, View, multiply};

const LSTM_FORWARD: Source = source!("lstm_step", "lstm_step_forward");
const LSTM_BACKWARD: Source = source!("lstm_step", "lstm_step_backward");
const GRU_FORWARD: Source = source!("gru_step", "gru_step_forward");
const GRU_BACKWARD: Source = source!("gru_step", "gru_step_backward");
const GRU_START: Source = source!("gru_step", "gru_step_start");

const THREADS: usize = 256;

/// The walk of a recurrence over `[batch, steps, ..]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) batch: usize,
    pub(super) steps: usize,
    pub(super) hidden: usize,
    pub(super) reverse: bool,
}

impl Walk {
    /// Each step, with the one before it, in the order of the forward pass.
    fn forward(self) -> impl DoubleEndedIterator<Item = (usize, Option<usize>)> {
        let Self { steps, reverse, .. } = self;
        (0..steps).map(move |i| {
            let step = |i: usize| if reverse { steps - 1 - i } else { i };
            (step(i), i.checked_sub(1).map(step))
        })
    }

    /// The rows of one step in a tensor whose last axis has `width`.
    const fn rows(self, tensor: &CubeTensor, step: usize, width: usize) -> View<'_> {
        View { tensor, offset: step * width, pitch: self.steps * width }
    }

    fn launch(self, source: Source, like: &CubeTensor) -> Launch {
        Launch::new(source, THREADS).flag("ACT_BF16", is_bf16(like))
    }

    fn run(self, launch: Launch, like: &CubeTensor) {
        launch.run(&like.client, [self.hidden.div_ceil(THREADS), self.batch, 1]);
    }

    /// Sizes of the product of a state with `gates` columns of the weight, and its way back.
    const fn sizes(self, gates: usize) -> [Sizes; 2] {
        let Self { batch, hidden, .. } = self;
        [Sizes { m: batch, n: gates * hidden, k: hidden }, Sizes { m: batch, n: hidden, k: gates * hidden }]
    }

    /// Room for the parts of a product.
    fn work(sizes: Sizes, like: &CubeTensor) -> CubeTensor {
        empty(like, [sizes.step_splits(), sizes.m, sizes.n], DType::F32)
    }

    /// The state before a step: a row of the output, or the first state, or nothing.
    fn state<'a>(self, y: &'a CubeTensor, h0: Option<&'a CubeTensor>, before: Option<usize>) -> Option<View<'a>> {
        match before {
            Some(step) => Some(self.rows(y, step, self.hidden)),
            None => h0.map(|h0| View { tensor: h0, offset: 0, pitch: self.hidden }),
        }
    }
}

/// A step's number where there is one before it, as the kernels have it.
fn place(step: Option<usize>) -> u64 {
    step.map_or(u64::MAX, |step| step as u64)
}

/// Turns what the inputs gave in `gates` into gates, and writes output, cells and the last cell.
pub(super) fn lstm_forward(
    walk: Walk,
    gates: &CubeTensor,
    weight: &CubeTensor,
    state: Option<[&CubeTensor; 2]>,
    [y, cells, last]: [&CubeTensor; 3],
) {
    let hidden = walk.hidden;
    let [sizes, _] = walk.sizes(4);
    let work = Walk::work(sizes, y);
    let h0 = state.map(|[h0, _]| plain(Cube::float_cast(h0.clone(), y.dtype.into())));
    for (step, before) in walk.forward() {
        let from = walk.state(y, h0.as_ref(), before);
        let splits = from.map_or(0, |from| {
            multiply(from, View { tensor: weight, offset: 0, pitch: 4 * hidden }, false, sizes, &work)
        });
        let cell = match (before, state) {
            (None, Some([_, c0])) => c0,
            _ => last,
        };
        let launch =
            walk.launch(LSTM_FORWARD, y).reads([&work]).updates([gates]).reads([cell]).writes([y, cells, last]);
        let has_cell = before.is_some() || state.is_some();
        walk.run(launch.numbers([hidden, walk.steps, step, splits]).number(has_cell).numbers([0_usize; 2]), y);
    }
}

/// The gradients of the gates, and those of h0 and c0 where they are `wanted`.
pub(super) fn lstm_backward(
    walk: Walk,
    weight: &CubeTensor,
    c0: Option<&CubeTensor>,
    [gates, cells, dy]: [&CubeTensor; 3],
    dc_last: Option<&CubeTensor>,
    dgates: &CubeTensor,
    wanted: Option<[&CubeTensor; 2]>,
) {
    let hidden = walk.hidden;
    let [_, sizes] = walk.sizes(4);
    let work = Walk::work(sizes, dy);
    let own = empty(dy, [walk.batch, hidden], DType::F32);
    let dcell = wanted.map_or(&own, |[_, dc0]| dc0);
    let mut splits = 0;
    let mut after = dc_last;
    for (step, before) in walk.forward().rev() {
        let launch = walk.launch(LSTM_BACKWARD, dy).reads([&work, gates, cells, c0.unwrap_or(weight), dy]);
        let launch = launch.reads([after.unwrap_or(dcell)]).writes([dgates, dcell]);
        let launch = launch.numbers([hidden, walk.steps, step, splits]).number(after.is_some());
        walk.run(launch.number(place(before)).number(c0.is_some()), dy);
        after = Some(dcell);
        if before.is_some() || wanted.is_some() {
            let from = walk.rows(dgates, step, 4 * hidden);
            splits = multiply(from, View { tensor: weight, offset: 0, pitch: 4 * hidden }, true, sizes, &work);
        }
    }
    if let Some([dh0, _]) = wanted {
        let count = walk.batch * hidden;
        let launch = Launch::new(REDUCE, THREADS).reads([&work]).writes([dh0]).reads([&work]).writes([dh0]);
        launch.numbers([count, 0, splits, 0]).run(&dy.client, [count.div_ceil(THREADS), 1, 1]);
    }
}

/// Turns what the inputs gave in `gates` into gates, and writes output and the hidden product of the new gate.
pub(super) fn gru_forward(
    walk: Walk,
    gates: &CubeTensor,
    [weight, new_bias]: [&CubeTensor; 2],
    h0: Option<&CubeTensor>,
    [y, products]: [&CubeTensor; 2],
) {
    let hidden = walk.hidden;
    let [sizes, _] = walk.sizes(3);
    let work = Walk::work(sizes, y);
    let cast = h0.map(|h0| plain(Cube::float_cast(h0.clone(), y.dtype.into())));
    for (step, before) in walk.forward() {
        let splits = walk.state(y, cast.as_ref(), before).map_or(0, |from| {
            multiply(from, View { tensor: weight, offset: 0, pitch: 3 * hidden }, false, sizes, &work)
        });
        let launch = walk.launch(GRU_FORWARD, y).reads([&work]).updates([gates]);
        let launch = launch.reads([new_bias, h0.unwrap_or(weight)]).updates([y]).writes([products]);
        let launch = launch.numbers([hidden, walk.steps, step, splits, 0]).number(place(before));
        walk.run(launch.number(h0.is_some()).number(false), y);
    }
}

/// The gradients of the gates and of the new gate's hidden product, and that of h0 where it is `wanted`.
pub(super) fn gru_backward(
    walk: Walk,
    weight: &CubeTensor,
    h0: Option<&CubeTensor>,
    [gates, products, y, dy]: [&CubeTensor; 4],
    [dgates, dproducts]: [&CubeTensor; 2],
    wanted: Option<&CubeTensor>,
) {
    let hidden = walk.hidden;
    let ([_, through_gates], [_, through_new]) = (walk.sizes(2), walk.sizes(1));
    let work = [Walk::work(through_gates, dy), Walk::work(through_new, dy)];
    let carry = empty(dy, [walk.batch, hidden], DType::F32);
    let mut splits = [0, 0];
    for (i, (step, before)) in walk.forward().rev().enumerate() {
        let launch = walk.launch(GRU_BACKWARD, dy).reads(&work).reads([gates, products, y, h0.unwrap_or(weight), dy]);
        let launch = launch.reads([&carry]).writes([dgates, dproducts, &carry]);
        let launch = launch.numbers([hidden, walk.steps, step, splits[0], splits[1]]).number(place(before));
        walk.run(launch.number(h0.is_some()).number(i > 0), dy);
        if before.is_some() || wanted.is_some() {
            let columns = |offset: usize| View { tensor: weight, offset, pitch: 3 * hidden };
            let from = walk.rows(dgates, step, 3 * hidden);
            let from_new = walk.rows(dproducts, step, hidden);
            splits = [
                multiply(from, columns(0), true, through_gates, &work[0]),
                multiply(from_new, columns(2 * hidden), true, through_new, &work[1]),
            ];
        }
    }
    if let Some(dh0) = wanted {
        let launch = walk.launch(GRU_START, dy).reads(&work).reads([&carry]).writes([dh0]);
        let launch = launch.numbers([hidden, walk.steps, 0, splits[0], splits[1]]);
        walk.run(launch.numbers([0_usize; 3]), dy);
    }
}
