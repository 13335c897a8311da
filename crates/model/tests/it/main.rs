//! The networks compute what they should, and refuse what they can't compute.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use support::numbers;
use tapeloom_core::{Scaler, Timestamp, WindowSpec};
use tapeloom_model::{
    Error, Forecaster, ForecasterSpec, LinearConfig, LstmAttentionConfig, ModelConfig, Network, Objective, Pass,
    Predict, Predictor, RecurrentNetworkConfig, Result, Stream, TcnConfig, TransformerConfig, encode_weights,
    load_weights,
};

mod fused;
mod parity;
mod support;

const STEPS: usize = 4;
const FEATURES: usize = 3;

fn models() -> [ModelConfig; 6] {
    [
        ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: 6,
            num_layers: 2,
            dropout: 0.3,
            attention_heads: 2,
        }),
        ModelConfig::Transformer(TransformerConfig {
            hidden_size: 6,
            num_layers: 1,
            feedforward_factor: 2,
            dropout: 0.3,
            attention_heads: 3,
        }),
        ModelConfig::Lstm(RecurrentNetworkConfig { hidden_size: 5, num_layers: 2, dropout: 0.3 }),
        ModelConfig::Gru(RecurrentNetworkConfig { hidden_size: 5, num_layers: 2, dropout: 0.3 }),
        ModelConfig::Tcn(TcnConfig { hidden_size: 5, num_layers: 2, kernel_size: 2, dropout: 0.3 }),
        ModelConfig::Linear(LinearConfig::default()),
    ]
}

fn spec(model: ModelConfig, objective: Objective) -> ForecasterSpec {
    let window = WindowSpec {
        steps: STEPS,
        features: ["a", "b", "c"].map(String::from).to_vec(),
        targets: vec!["y".into()],
        scaler: None,
    };
    ForecasterSpec { model, objective, window, target_scale: vec![] }
}

fn windows(n: usize) -> Vec<f32> {
    (0..n * STEPS * FEATURES).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect()
}

fn tensor(values: &[f32], device: &Device) -> Tensor<3> {
    let n = values.len() / (STEPS * FEATURES);
    Tensor::from_data(TensorData::new(values.to_vec(), [n, STEPS, FEATURES]), device)
}

#[test]
fn the_first_weights_are_a_function_of_the_seed() -> Result<()> {
    for model in models() {
        let spec = spec(model, Objective::Mse);
        let out = |seed| -> Result<Vec<f32>> {
            let device = Device::flex();
            let network = Forecaster::new(&spec, seed, &device)?;
            Ok(numbers(network.forward(tensor(&windows(2), &device), &Pass::inference())))
        };
        assert_eq!(out(5)?, out(5)?);
        assert_ne!(out(5)?, out(6)?);
    }
    Ok(())
}

#[test]
fn gradients_agree_with_finite_differences() -> Result<()> {
    for model in models() {
        let spec = spec(model, Objective::Mse);
        let device = Device::flex().autodiff();
        let network = Forecaster::new(&spec, 11, &device)?;
        let target = Tensor::<2>::from_data([[0.3], [-0.2]], &device);
        let loss = |x: &[f32]| {
            let outputs = network.forward(tensor(x, &device), &Pass::training(77, 0));
            spec.objective.loss(outputs, target.clone())
        };
        let x = windows(2);
        let input = tensor(&x, &device).require_grad();
        let outputs = network.forward(input.clone(), &Pass::training(77, 0));
        let gradients = spec.objective.loss(outputs, target.clone()).backward();
        let analytic = numbers(input.grad(&gradients).expect("the input takes part"));
        for at in 0..x.len() {
            let h = 1e-2;
            let shifted = |by: f32| {
                let mut moved = x.clone();
                moved[at] += by;
                f64::from(numbers(loss(&moved))[0])
            };
            let numeric = (shifted(h) - shifted(-h)) / (2.0 * f64::from(h));
            let error = (numeric - f64::from(analytic[at])).abs();
            assert!(error < 2e-3, "{}: input {at}: {numeric} against {}", spec.model.name(), analytic[at]);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Parameters(usize);

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += usize::from(param.val().is_require_grad());
    }
}

#[test]
fn every_parameter_gets_a_gradient() -> Result<()> {
    struct Count<'a>(&'a burn::tensor::Gradients, usize);
    impl ModuleVisitor for Count<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0).map(numbers);
            self.1 += usize::from(gradient.is_some_and(|g| g.iter().any(|x| *x != 0.0)));
        }
    }
    for model in models() {
        let spec = spec(model, Objective::Mse);
        let device = Device::flex().autodiff();
        let network = Forecaster::new(&spec, 1, &device)?;
        let outputs = network.forward(tensor(&windows(3), &device), &Pass::inference());
        let gradients = spec.objective.loss(outputs, Tensor::from_data([[1.0], [2.0], [3.0]], &device)).backward();
        let (mut all, mut with) = (Parameters::default(), Count(&gradients, 0));
        network.visit(&mut all);
        network.visit(&mut with);
        // A key bias shifts all scores of a row alike, and softmax does not see it.
        let blind = usize::from(spec.model.name() != "linear");
        assert!(with.1 + blind >= all.0 && all.0 > 0, "{}: {} of {}", spec.model.name(), with.1, all.0);
    }
    Ok(())
}

#[test]
fn samples_of_a_batch_do_not_touch_each_other() -> Result<()> {
    for model in models() {
        let spec = spec(model, Objective::Mse);
        let device = Device::flex();
        let network = Forecaster::new(&spec, 2, &device)?;
        let x = windows(5);
        let whole = numbers(network.forward(tensor(&x, &device), &Pass::training(3, 0)));
        let (head, tail) = x.split_at(2 * STEPS * FEATURES);
        let head = numbers(network.forward(tensor(head, &device), &Pass::training(3, 0)));
        let tail = numbers(network.forward(tensor(tail, &device), &Pass::training(3, 2)));
        for (whole, part) in whole.iter().zip(head.iter().chain(&tail)) {
            assert!((whole - part).abs() < 1e-6, "{}: {whole} against {part}", spec.model.name());
        }
    }
    Ok(())
}

#[test]
fn dropout_acts_in_training_alone() -> Result<()> {
    let [model, ..] = models();
    let spec = spec(model, Objective::Mse);
    let device = Device::flex();
    let network = Forecaster::new(&spec, 2, &device)?;
    let out = |pass: Pass| numbers(network.forward(tensor(&windows(2), &device), &pass));
    assert_eq!(out(Pass::inference()), out(Pass::inference()));
    assert_ne!(out(Pass::training(1, 0)), out(Pass::inference()));
    assert_ne!(out(Pass::training(1, 0)), out(Pass::training(2, 0)));
    Ok(())
}

#[test]
fn saved_weights_give_the_same_numbers() -> Result<()> {
    for model in models() {
        let spec = spec(model, Objective::Mse);
        let device = Device::flex().autodiff();
        let network = Forecaster::new(&spec, 21, &device)?;
        let before = Predictor::new(spec.clone(), &network, &device);
        let after = Predictor::from_weights(spec, encode_weights(&network)?, &device)?;
        assert_eq!(before.predict(&windows(3))?, after.predict(&windows(3))?);
    }
    Ok(())
}

#[test]
fn weights_of_another_shape_are_refused() -> Result<()> {
    let device = Device::flex();
    let [model, other, ..] = models();
    let network = Forecaster::new(&spec(model, Objective::Mse), 1, &device)?;
    let weights = encode_weights(&network)?;
    let other = Forecaster::new(&spec(other, Objective::Mse), 1, &device)?;
    assert!(matches!(load_weights(other.clone(), weights), Err(Error::Weights { .. })));
    assert!(matches!(load_weights(other, b"no weights".to_vec()), Err(Error::Weights { .. })));
    Ok(())
}

#[test]
fn a_window_with_nan_is_named_and_refused() -> Result<()> {
    let [.., model] = models();
    let spec = spec(model, Objective::Mse);
    let device = Device::flex();
    let predictor = Predictor::new(spec.clone(), &Forecaster::new(&spec, 1, &device)?, &device);
    let mut x = windows(2);
    x[STEPS * FEATURES + FEATURES + 2] = f32::NAN;
    let error = predictor.predict(&x).expect_err("NaN is no feature");
    assert_eq!(error.to_string(), "windows[1] step 1 feature c = NaN: fill or drop such rows first");
    assert!(predictor.predict(&x[1..]).is_err());
    assert!(predictor.predict(&[]).is_err());
    Ok(())
}

#[test]
fn raw_windows_are_scaled_before_they_are_predicted() -> Result<()> {
    let [.., model] = models();
    let mut spec = spec(model, Objective::Mse);
    let device = Device::flex();
    let network = Forecaster::new(&spec, 1, &device)?;
    let plain = Predictor::new(spec.clone(), &network, &device);
    spec.window.scaler = Some(Scaler {
        mean: vec![1.0, 2.0, 3.0],
        std: vec![2.0, 2.0, 4.0],
        fitted_from: Timestamp::default(),
        fitted_to: Timestamp::default(),
        rows: 9,
    });
    let scaled = Predictor::new(spec, &network, &device);
    let raw: Vec<f32> =
        windows(1).chunks(3).flat_map(|r| [r[0] * 2.0 + 1.0, r[1] * 2.0 + 2.0, r[2] * 4.0 + 3.0]).collect();
    let (a, b) = (plain.predict(&windows(1))?, scaled.predict_raw(&raw)?);
    assert!((a[0] - b[0]).abs() < 1e-5, "{a:?} against {b:?}");
    Ok(())
}

#[test]
fn predictions_come_in_the_unit_of_the_target() -> Result<()> {
    let [.., model] = models();
    let mut spec = spec(model, Objective::Mse);
    let device = Device::flex();
    let network = Forecaster::new(&spec, 1, &device)?;
    let plain = Predictor::new(spec.clone(), &network, &device).predict(&windows(2))?;
    spec.target_scale = vec![0.5];
    let halved = Predictor::new(spec.clone(), &network, &device).predict(&windows(2))?;
    assert!(plain.iter().zip(&halved).all(|(a, b)| a * 0.5 == *b));
    spec.target_scale = vec![0.0];
    assert!(spec.validate().is_err_and(|e| e.to_string().contains("target_scale")));
    Ok(())
}

#[test]
fn losses_have_their_textbook_values() {
    let device = Device::flex();
    let outputs = || Tensor::<2>::from_data([[0.5], [3.0]], &device);
    let targets = || Tensor::<2>::from_data([[0.0], [0.0]], &device);
    let value = |objective: Objective| numbers(objective.loss(outputs(), targets()))[0];
    assert!((value(Objective::Mse) - (0.25 + 9.0) / 2.0).abs() < 1e-6);
    assert!((value(Objective::Mae) - 3.5 / 2.0).abs() < 1e-6);
    assert!((value(Objective::Huber { delta: 1.0 }) - (0.125 + 2.5) / 2.0).abs() < 1e-6);
    let uniform = Objective::CrossEntropy { classes: 3 }
        .loss(Tensor::<2>::zeros([2, 3], &device), Tensor::<2>::from_data([[0.0], [2.0]], &device));
    assert!((numbers(uniform)[0] - 3.0_f32.ln()).abs() < 1e-6);
}

#[test]
fn class_probabilities_sum_to_one() -> Result<()> {
    let [model, ..] = models();
    let spec = spec(model, Objective::CrossEntropy { classes: 3 });
    let device = Device::flex();
    let predictor = Predictor::new(spec.clone(), &Forecaster::new(&spec, 4, &device)?, &device);
    let p = predictor.predict(&windows(2))?;
    assert_eq!(p.len(), 6);
    assert!(p.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    Ok(())
}

#[test]
fn a_stream_says_what_the_window_says() -> Result<()> {
    for model in models() {
        let mut spec = spec(model, Objective::Mse);
        spec.target_scale = vec![3.0];
        let network = Forecaster::new(&spec, 5, &Device::flex())?;
        let windows = windows(1);
        let mut stream = match Stream::new(spec.clone(), &network) {
            Ok(stream) => stream,
            Err(error) => {
                assert!(error.to_string().contains("carries no state"), "{error}");
                continue;
            }
        };
        let whole = Predictor::new(spec.clone(), &network, &Device::flex()).predict(&windows)?;
        for round in 0..2 {
            let mut last = vec![];
            for row in windows.chunks(FEATURES) {
                last = stream.push(row)?;
            }
            assert_eq!(stream.rows(), STEPS as u64);
            assert!(
                (last[0] - whole[0]).abs() < 1e-5,
                "{} round {round}: {last:?} against {whole:?}",
                spec.model.name()
            );
            stream.reset();
        }
        let error = stream.push(&[0.0, f32::NAN, 0.0]).expect_err("NaN");
        assert!(error.to_string().starts_with("row feature b = NaN"), "{error}");
        assert!(stream.push(&[0.0]).is_err());
        assert_eq!(stream.rows(), 0);
    }
    Ok(())
}
