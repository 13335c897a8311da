//! The kernels of a device against those of the CPU, and training curves of its precisions.

use serde_json::{Value, json};
use tapeloom::core::Philox;
use tapeloom::model::burn::module::{Module, ModuleVisitor, Param};
use tapeloom::model::burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use tapeloom::model::layers::{EncoderBlock, Gru, Lstm, RecurrentConfig};
use tapeloom::model::{Init, Pass, supports_bf16};

use crate::options::Options;
use crate::step;

struct Read<'a>(&'a Gradients, Vec<Vec<f32>>);

impl ModuleVisitor for Read<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.0).unwrap_or_else(|| param.val().inner().zeros_like());
        self.1.push(numbers(gradient));
    }
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_to_vec().expect("f32")
}

fn input(shape: [usize; 3], salt: u64, device: &Device) -> Tensor<3> {
    let mut values = vec![0.0; shape.iter().product()];
    Philox::new(salt).uniform(0, 0, &mut values);
    values.iter_mut().for_each(|x| *x = 2.0 * *x - 1.0);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Output, gradient of the input, and those of the parameters.
fn answers<M: Module>(
    build: impl Fn(&Device) -> M,
    run: impl Fn(&M, Tensor<3>) -> Tensor<3>,
    shape: [usize; 3],
    device: &Device,
    dtype: DType,
) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let module = build(&device);
    let x = input(shape, 1, &device).require_grad();
    let y = run(&module, x.clone().cast(dtype)).cast(DType::F32);
    let gradients = (y.clone() * input(y.dims(), 5, &device)).sum().backward();
    let mut read = Read(&gradients, vec![]);
    module.visit(&mut read);
    [vec![numbers(y), numbers(x.grad(&gradients).expect("x"))], read.1].concat()
}

/// The distance as a share of the length, for each part.
fn distances(got: &[Vec<f32>], want: &[Vec<f32>]) -> Vec<f64> {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let part = |(got, want): (&Vec<f32>, &Vec<f32>)| {
        let off: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
        let size: f64 = want.iter().map(|x| square(*x)).sum();
        // A gradient that is zero in truth, such as that of the keys' bias, has no length to compare with.
        if size < 1e-12 * want.len() as f64 { 0.0 } else { (off / size).sqrt() }
    };
    got.iter().zip(want).map(part).collect()
}

fn compare<M: Module>(
    name: &str,
    shape: [usize; 3],
    device: &Device,
    build: impl Fn(&Device) -> M,
    run: impl Fn(&M, Tensor<3>) -> Tensor<3>,
    lines: &mut Vec<Value>,
) {
    let want = answers(&build, &run, shape, &Device::flex(), DType::F32);
    let limits = [(DType::F32, 3e-3), (DType::BF16, 4e-2)];
    for (dtype, limit) in limits.into_iter().take(if supports_bf16(device) { 2 } else { 1 }) {
        let got = answers(&build, &run, shape, device, dtype);
        let again = answers(&build, &run, shape, device, dtype);
        let parts = distances(&got, &want);
        let off = parts.iter().copied().fold(0.0, f64::max);
        let good = parts.iter().all(|x| *x < limit) && got == again;
        lines.push(json!({
            "layer": name, "shape": shape, "dtype": format!("{dtype:?}"), "distance": off, "parts": parts, "repeats": got == again,
            "good": good,
        }));
    }
}

pub(crate) fn run(o: &Options) -> Value {
    let device = step::device(o);
    let mut lines = Vec::new();
    let shapes = [
        (1, 1, 5, 32),
        (7, 9, 6, 64),
        (130, 13, 16, 96),
        (9, 5, 7, 160),
        (3, 4, 12, 224),
        (128, 60, 16, 256),
        (7, 6, 5, 100),
        (33, 11, 16, 320),
    ];
    // On a slow device smaller options leave out the larger shapes.
    let fits = |batch: usize, steps: usize, width: usize| batch * steps <= o.batch * o.seq && width <= o.hidden;
    for (batch, steps, inputs, hidden) in shapes {
        if !fits(batch, steps, hidden) {
            continue;
        }
        for (layers, bidirectional, dropout) in [(2, false, 0.2), (1, true, 0.0)] {
            let config = RecurrentConfig { inputs, hidden, layers, bidirectional, dropout };
            let shape = [batch, steps, inputs];
            compare(
                &format!("lstm {hidden} x {layers}"),
                shape,
                &device,
                |device| Lstm::new(&mut Init::new(3, device), &config),
                |lstm, x| lstm.forward(x, &Pass::training(5, 3)),
                &mut lines,
            );
            compare(
                &format!("gru {hidden} x {layers}"),
                shape,
                &device,
                |device| Gru::new(&mut Init::new(4, device), &config),
                |gru, x| gru.forward(x, &Pass::training(5, 3)),
                &mut lines,
            );
            // The same from the state that a first run leaves, with the states at the end beside the output.
            let width = if bidirectional { 2 * hidden } else { hidden };
            let beside = |y: Tensor<3>, states: Tensor<3>| {
                Tensor::cat(vec![y, states.swap_dims(0, 1).reshape([batch, layers, width])], 1)
            };
            compare(
                &format!("lstm {hidden} x {layers} carried on"),
                shape,
                &device,
                |device| Lstm::new(&mut Init::new(3, device), &config),
                |lstm, x| {
                    let (_, state) = lstm.forward_from(x.clone(), None, &Pass::inference());
                    let (y, state) = lstm.forward_from(x, Some(state), &Pass::training(5, 3));
                    beside(beside(y, state.hidden), state.cell)
                },
                &mut lines,
            );
            compare(
                &format!("gru {hidden} x {layers} carried on"),
                shape,
                &device,
                |device| Gru::new(&mut Init::new(4, device), &config),
                |gru, x| {
                    let (_, state) = gru.forward_from(x.clone(), None, &Pass::inference());
                    let (y, state) = gru.forward_from(x, Some(state), &Pass::training(5, 3));
                    beside(y, state)
                },
                &mut lines,
            );
        }
    }
    for (batch, steps, width, heads) in [
        (2, 8, 32, 2),
        (5, 70, 96, 3),
        (128, 60, 256, 8),
        (3, 130, 64, 1),
        (6, 60, 64, 8),
        (4, 33, 120, 5),
        (5, 7, 36, 3),
    ] {
        if !fits(batch, steps, width) {
            continue;
        }
        compare(
            &format!("encoder {width} / {heads}"),
            [batch, steps, width],
            &device,
            |device| EncoderBlock::new(&mut Init::new(6, device), width, heads, 4 * width, 0.1),
            |block, x| block.forward(x, &Pass::training(7, 2)),
            &mut lines,
        );
    }
    let bad: Vec<&Value> = lines.iter().filter(|line| line["good"] != true).collect();
    let worst = |dtype: &str| {
        let of = lines.iter().filter(|line| line["dtype"] == dtype).filter_map(|line| line["distance"].as_f64());
        of.fold(0.0, f64::max)
    };
    json!({"checked": lines.len(), "bad": bad, "worst_f32": worst("F32"), "worst_bf16": worst("BF16")})
}
