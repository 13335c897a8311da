//! The kernels against Burn's own operations in double precision, over shapes of all kinds.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use proptest::prelude::*;
use tapeloom_model::layers::{CausalConv, EncoderBlock, Gru, Lstm, LstmState, RecurrentConfig};
use tapeloom_model::{Init, Pass};

use super::support::numbers;

fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + salt) * 7919 % 2003) as f32 / 1001.0 - 1.0) * 0.8).collect()
}

fn tensor<const D: usize>(shape: [usize; D], salt: usize, dtype: DType) -> Tensor<D> {
    let data = TensorData::new(values(shape.iter().product(), salt), shape);
    Tensor::<D>::from_data(data, &Device::flex()).cast(dtype).autodiff().require_grad()
}

struct Widen;

impl ModuleMapper for Widen {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(DType::F64))
    }
}

struct Read<'a>(&'a Gradients, Vec<Vec<f32>>);

impl ModuleVisitor for Read<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // A parameter that took no part, such as hidden weights in a single step from zero, has no gradient.
        let gradient = param.val().grad(self.0).unwrap_or_else(|| param.val().zeros_like());
        self.1.push(numbers(gradient));
    }
}

/// Output, gradient of the input, and those of the parameters.
fn answers<M: Module>(
    module: M,
    dtype: DType,
    shape: [usize; 3],
    run: impl Fn(&M, Tensor<3>, DType) -> Tensor<3>,
) -> Vec<Vec<f32>> {
    let module = if dtype == DType::F64 { module.map(&mut Widen) } else { module }.train();
    let x = tensor(shape, 1, dtype);
    let y = run(&module, x.clone(), dtype);
    let gradients = (y.clone() * tensor(y.dims(), 5, dtype)).sum().backward();
    let mut read = Read(&gradients, vec![]);
    module.visit(&mut read);
    [vec![numbers(y), numbers(x.grad(&gradients).expect("x"))], read.1].concat()
}

fn agree<M: Module>(module: M, shape: [usize; 3], run: impl Fn(&M, Tensor<3>, DType) -> Tensor<3>) {
    let got = answers(module.clone(), DType::F32, shape, &run);
    let want = answers(module, DType::F64, shape, &run);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let size = want.iter().fold(1e-2_f32, |m, x| m.max(x.abs()));
        let off = got.iter().zip(want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / size;
        assert!(off < 2e-5, "part {i} is off by {off} for {shape:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn recurrent_layers_agree_for_any_shape(
        batch in 1_usize..14, steps in 1_usize..9, inputs in 1_usize..11, hidden in 1_usize..35,
        layers in 1_usize..3, bidirectional: bool, dropout in prop_oneof![Just(0.0), Just(0.4)], from_state: bool,
    ) {
        let config = RecurrentConfig { inputs, hidden, layers, bidirectional, dropout };
        let planes = layers * (1 + usize::from(bidirectional));
        let pass = || Pass::training(9, 3);
        let device = Device::flex();
        agree(Lstm::new(&mut Init::new(4, &device), &config), [batch, steps, inputs], |lstm, x, dtype| {
            let state = |salt| tensor([planes, batch, hidden], salt, dtype);
            let before = from_state.then(|| LstmState { hidden: state(2), cell: state(3) });
            let (y, last) = lstm.forward_from(x, before, &pass());
            let ends = Tensor::cat(vec![last.hidden, last.cell], 2).swap_dims(0, 1);
            Tensor::cat(vec![y.flatten::<2>(1, 2), ends.flatten::<2>(1, 2)], 1).unsqueeze()
        });
        agree(Gru::new(&mut Init::new(4, &device), &config), [batch, steps, inputs], |gru, x, dtype| {
            let before = from_state.then(|| tensor([planes, batch, hidden], 2, dtype));
            gru.forward_from(x, before, &pass()).0
        });
    }

    #[test]
    fn encoder_blocks_agree_for_any_shape(
        batch in 1_usize..6, steps in 1_usize..21, heads in 1_usize..4, depth in 1_usize..19,
        dropout in prop_oneof![Just(0.0), Just(0.3)],
    ) {
        let width = heads * depth;
        // A norm over one number has no gradient to speak of.
        prop_assume!(width > 1);
        let block = EncoderBlock::new(&mut Init::new(8, &Device::flex()), width, heads, 2 * width, dropout);
        agree(block, [batch, steps, width], |block, x, _| block.forward(x, &Pass::training(7, 11)));
    }
}

#[test]
fn a_convolution_sees_no_future() {
    let conv = CausalConv::new(&mut Init::new(1, &Device::flex()), 2, 3, 3, 2);
    let run = |x: Vec<f32>| numbers(conv.forward(Tensor::from_data(TensorData::new(x, [1, 7, 2]), &Device::flex())));
    let x = values(14, 0);
    let mut changed = x.clone();
    changed[9] += 1.0;
    let (before, after) = (run(x), run(changed));
    let moved: Vec<usize> = (0..7).filter(|t| before[t * 3..][..3] != after[t * 3..][..3]).collect();
    assert_eq!(moved, [4, 6], "the change at step 4 shows there and two steps later");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let config = RecurrentConfig { inputs: 20, hidden: 70, layers: 2, bidirectional: false, dropout: 0.2 };
            let lstm = Lstm::new(&mut Init::new(1, &device), &config);
            let gru = Gru::new(&mut Init::new(2, &device), &config);
            let block = EncoderBlock::new(&mut Init::new(3, &device), 70, 5, 300, 0.2);
            let pass = || Pass::training(1, 0);
            let shape = [53, 17, 20];
            [
                answers(lstm, DType::F32, shape, |m, x, _| m.forward(x, &pass())),
                answers(gru, DType::F32, shape, |m, x, _| m.forward(x, &pass())),
                answers(block, DType::F32, [53, 17, 70], |m, x, _| m.forward(x, &pass())),
            ]
        })
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}
