//! PyTorch's answers and gradients, from the fixtures that `fixtures/make.py` wrote.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tapeloom_model::interop::{TorchModule, TorchWeights};
use tapeloom_model::layers::{EncoderBlock, Gru, LayerNorm, Lstm, LstmState, RecurrentConfig, SelfAttention};
use tapeloom_model::{Error, Init, Pass};

use super::support::numbers;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn fixture(name: &str) -> TorchWeights {
    TorchWeights::open(&path(name)).expect("the fixture is there")
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn tensor<const D: usize>(file: &TorchWeights, name: &str) -> Tensor<D> {
    let shape: [usize; D] = file.shape(name).expect(name).try_into().expect("the rank fits");
    Tensor::from_data(TensorData::new(file.values(name).expect(name).to_vec(), shape), &device()).require_grad()
}

/// Largest difference, as a share of the largest number.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
    got.iter().zip(want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / size
}

fn same<const D: usize>(got: Tensor<D>, file: &TorchWeights, name: &str, tolerance: f32) {
    let off = difference(&numbers(got), file.values(name).expect(name));
    assert!(off <= tolerance, "{name} is off by {off}");
}

/// A module whose numbers are the gradients of another one.
struct ToGradients<'a>(&'a Gradients);

impl ModuleMapper for ToGradients<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradient = param.val().grad(self.0).expect("each parameter has a gradient");
        Param::initialized(param.id, Tensor::from_data(gradient.into_data(), &device()))
    }
}

/// Gradients under PyTorch's names. A bias of ours is the sum of two of PyTorch's, whose gradients are equal.
fn gradients_agree<M: Module + TorchModule>(module: &M, gradients: &Gradients, file: &TorchWeights, prefix: &str) {
    let mut got = TorchWeights::default();
    module.clone().map(&mut ToGradients(gradients)).export("", &mut got);
    for name in got.names() {
        let want = file.values(&format!("{prefix}{name}")).expect(name);
        let mut values = got.values(name).expect(name).to_vec();
        if name.starts_with("bias_hh") {
            // What is written as zero is not a parameter of ours.
            values.iter_mut().zip(want).filter(|(v, _)| **v == 0.0).for_each(|(v, w)| *v = *w);
        }
        let off = difference(&values, want);
        assert!(off <= 1e-4, "{prefix}{name} is off by {off}");
    }
}

fn recurrent(inputs: usize, hidden: usize, layers: usize, bidirectional: bool) -> RecurrentConfig {
    RecurrentConfig { inputs, hidden, layers, bidirectional, dropout: 0.0 }
}

#[test]
fn lstm_agrees_with_pytorch() -> Result<(), Error> {
    let cases = [
        ("lstm.safetensors", recurrent(5, 12, 2, false)),
        ("lstm_bidirectional.safetensors", recurrent(5, 12, 1, true)),
    ];
    for (name, sizes) in cases {
        let file = fixture(name);
        let mut lstm = Lstm::new(&mut Init::new(0, &device()), &sizes);
        lstm.import("", &file)?;
        let (x, h0, c0) = (tensor::<3>(&file, "x"), tensor::<3>(&file, "h0"), tensor::<3>(&file, "c0"));
        let state = LstmState { hidden: h0.clone(), cell: c0.clone() };
        let (y, last) = lstm.forward_from(x.clone(), Some(state), &Pass::inference());
        same(y.clone(), &file, "y", 1e-5);
        same(last.hidden.clone(), &file, "hn", 1e-5);
        same(last.cell.clone(), &file, "cn", 1e-5);
        let loss = (y * tensor(&file, "wy")).sum()
            + (last.hidden * tensor(&file, "wh")).sum()
            + (last.cell * tensor(&file, "wc")).sum();
        let gradients = loss.backward();
        for (input, name) in [(x, "grad.x"), (h0, "grad.h0"), (c0, "grad.c0")] {
            same(input.grad(&gradients).expect(name), &file, name, 1e-4);
        }
        gradients_agree(&lstm, &gradients, &file, "grad.");
    }
    Ok(())
}

#[test]
fn lstm_of_odd_sizes_agrees_with_pytorch() -> Result<(), Error> {
    let file = fixture("lstm_odd.safetensors");
    let mut lstm = Lstm::new(&mut Init::new(0, &device()), &recurrent(3, 13, 1, false));
    lstm.import("", &file)?;
    for (case, prefix) in [("", "grad."), ("2", "grad2.")] {
        let named = |name: &str| format!("{name}{case}");
        let x = tensor::<3>(&file, &named("x"));
        let (y, last) = lstm.forward_from(x.clone(), None, &Pass::inference());
        same(y.clone(), &file, &named("y"), 1e-5);
        same(lstm.forward(x.clone(), &Pass::inference()), &file, &named("y"), 1e-5);
        let loss = (y * tensor(&file, &named("wy"))).sum()
            + (last.hidden * tensor(&file, &named("wh"))).sum()
            + (last.cell * tensor(&file, &named("wc"))).sum();
        let gradients = loss.backward();
        same(x.grad(&gradients).expect("x"), &file, &format!("{prefix}{}", named("x")), 1e-4);
        gradients_agree(&lstm, &gradients, &file, prefix);
    }
    Ok(())
}

#[test]
fn gru_agrees_with_pytorch() -> Result<(), Error> {
    let cases =
        [("gru.safetensors", recurrent(5, 12, 2, false)), ("gru_bidirectional.safetensors", recurrent(5, 12, 1, true))];
    for (name, sizes) in cases {
        let file = fixture(name);
        let mut gru = Gru::new(&mut Init::new(0, &device()), &sizes);
        gru.import("", &file)?;
        let (x, h0) = (tensor::<3>(&file, "x"), tensor::<3>(&file, "h0"));
        let (y, last) = gru.forward_from(x.clone(), Some(h0.clone()), &Pass::inference());
        same(y.clone(), &file, "y", 1e-5);
        same(last.clone(), &file, "hn", 1e-5);
        let gradients = ((y * tensor(&file, "wy")).sum() + (last * tensor(&file, "wh")).sum()).backward();
        same(x.grad(&gradients).expect("x"), &file, "grad.x", 1e-4);
        same(h0.grad(&gradients).expect("h0"), &file, "grad.h0", 1e-4);
        gradients_agree(&gru, &gradients, &file, "grad.");
    }
    Ok(())
}

#[test]
fn attention_agrees_with_pytorch() -> Result<(), Error> {
    let file = fixture("attention.safetensors");
    for (causal, output, prefix) in [(false, "y", "grad."), (true, "y_causal", "causal.grad.")] {
        let mut attention = SelfAttention::new(&mut Init::new(0, &device()), 16, 4, 0.0, causal);
        attention.import("", &file)?;
        let x = tensor::<3>(&file, "x");
        let y = attention.forward(x.clone(), &Pass::inference());
        same(y.clone(), &file, output, 1e-5);
        let gradients = (y * tensor(&file, "wy")).sum().backward();
        same(x.grad(&gradients).expect("x"), &file, &format!("{prefix}x"), 1e-4);
        gradients_agree(&attention, &gradients, &file, prefix);
    }
    Ok(())
}

#[test]
fn encoder_block_and_norm_agree_with_pytorch() -> Result<(), Error> {
    let file = fixture("encoder_layer.safetensors");
    let mut block = EncoderBlock::new(&mut Init::new(0, &device()), 16, 4, 64, 0.0);
    block.import("", &file)?;
    let x = tensor::<3>(&file, "x");
    let y = block.forward(x.clone(), &Pass::inference());
    same(y.clone(), &file, "y", 1e-5);
    let gradients = (y * tensor(&file, "wy")).sum().backward();
    same(x.grad(&gradients).expect("x"), &file, "grad.x", 1e-4);
    gradients_agree(&block, &gradients, &file, "grad.");

    let file = fixture("layer_norm.safetensors");
    let mut norm = LayerNorm::new(&Init::new(0, &device()), 16);
    norm.import("", &file)?;
    let x = tensor::<3>(&file, "x");
    let y = norm.forward(x.clone());
    same(y.clone(), &file, "y", 1e-5);
    let gradients = (y * tensor(&file, "wy")).sum().backward();
    same(x.grad(&gradients).expect("x"), &file, "grad.x", 1e-4);
    gradients_agree(&norm, &gradients, &file, "grad.");
    Ok(())
}

#[test]
fn a_pt_file_holds_the_same_weights() {
    let (safe, pickled) = (fixture("lstm.safetensors"), fixture("lstm.pt"));
    assert_eq!(pickled.names().count(), 8);
    for name in pickled.names() {
        assert_eq!(pickled.values(name), safe.values(name), "{name}");
        assert_eq!(pickled.shape(name), safe.shape(name), "{name}");
    }
}

#[test]
fn what_goes_out_comes_in_again() -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gru.safetensors");
    let sizes = recurrent(3, 5, 2, true);
    let [a, mut b] = [1, 2].map(|seed| Gru::new(&mut Init::new(seed, &device()), &sizes));
    let mut weights = TorchWeights::default();
    a.export("net.", &mut weights);
    weights.save(&file)?;
    assert_eq!(TorchWeights::open(&file)?, weights);
    b.import("net.", &TorchWeights::open(&file)?)?;
    let x = Tensor::<3>::from_data([[[0.1, -0.4, 0.3], [0.0, 1.0, -1.0]]], &device());
    let run = |gru: &Gru| numbers(gru.forward(x.clone(), &Pass::inference()));
    assert_eq!(run(&a), run(&b));
    Ok(())
}

#[test]
fn weights_that_do_not_fit_are_named_and_change_nothing() {
    let file = fixture("lstm.safetensors");
    let mut lstm = Lstm::new(&mut Init::new(0, &device()), &recurrent(5, 13, 2, false));
    let before = numbers(lstm.forward(tensor(&file, "x"), &Pass::inference()));
    let error = lstm.import("", &file).expect_err("13 is not 12");
    assert!(error.to_string().contains("weight_ih_l0 has shape [48, 5]: this module takes [52, 5]"), "{error}");
    let error = lstm.import("absent.", &file).expect_err("no such prefix");
    assert!(error.to_string().contains("absent.weight_ih_l0 is missing"), "{error}");
    assert_eq!(numbers(lstm.forward(tensor(&file, "x"), &Pass::inference())), before);
    let error = TorchWeights::open(&path("make.py")).expect_err("no weights");
    assert!(error.to_string().contains("make.py"), "{error}");
    let error = TorchWeights::open(&path("absent.safetensors")).expect_err("no file");
    assert!(error.to_string().contains("absent.safetensors"), "{error}");
}

/// With `TAPELOOM_EXPORTS` set, files for `fixtures/check_export.py` go there; otherwise they are read back here.
#[test]
fn exports_hold_every_weight_and_what_the_module_answers() -> Result<(), Error> {
    let aside = tempfile::tempdir().expect("a folder");
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says where its files should go")]
    let folder = std::env::var_os("TAPELOOM_EXPORTS").map_or_else(|| aside.path().to_path_buf(), PathBuf::from);
    let device = Device::flex();
    let mut init = Init::new(21, &device);
    let sizes = RecurrentConfig { inputs: 6, hidden: 10, layers: 2, bidirectional: true, dropout: 0.0 };
    let (lstm, gru) = (Lstm::new(&mut init, &sizes), Gru::new(&mut init, &sizes));
    let attention = SelfAttention::new(&mut init, 16, 4, 0.0, false);
    let block = EncoderBlock::new(&mut init, 16, 4, 64, 0.0);
    let x = |width: usize| {
        let values: Vec<f32> = (0..3 * 7 * width).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        Tensor::<3>::from_data(TensorData::new(values, [3, 7, width]), &device)
    };
    let pass = Pass::inference();
    let modules: [(&str, usize, &dyn TorchModule, Tensor<3>); 4] = [
        ("lstm", 6, &lstm, lstm.forward(x(6), &pass)),
        ("gru", 6, &gru, gru.forward(x(6), &pass)),
        ("attention", 16, &attention, attention.forward(x(16), &pass)),
        ("encoder_layer", 16, &block, block.forward(x(16), &pass)),
    ];
    for (name, width, module, y) in modules {
        let mut weights = TorchWeights::default();
        module.export("", &mut weights);
        for (name, tensor) in [("x", x(width)), ("y", y)] {
            weights.insert(name, &tensor.dims(), numbers(tensor));
        }
        let path = folder.join(format!("{name}.safetensors"));
        weights.save(&path)?;
        assert_eq!(TorchWeights::open(&path)?, weights);
    }
    Ok(())
}
