//! A run that may be stopped at any moment, by Ctrl-C, SIGTERM or a kill, and goes on where it was.
//!
//! `cargo run --example resume -- <folder>`, and the same again
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::path::PathBuf;
use std::sync::Arc;

use tapeloom::core::{FsStore, MatrixWindows, Outcome, Segment, StopFlag, Timestamp, WindowSource, WindowSpec};
use tapeloom::model::Forecaster;
use tapeloom::model::burn::tensor::Device;
use tapeloom::track::{Axis, Console, Report, Series};
use tapeloom::train::{CheckpointConfig, DebugConfig, TrainConfig, Trainer};

/// A noiseless wave, whose next step a window tells.
fn windows() -> Result<MatrixWindows, tapeloom::core::Error> {
    let wave = |t: i32| (0.2 * t as f32).sin();
    let times: Vec<Timestamp> = (0..2000).map(Timestamp::from_micros).collect();
    let segment = Segment {
        symbol: 0,
        features: (0..2000).map(wave).collect(),
        targets: (1..2001).map(wave).collect(),
        target_ends: times.clone(),
        times,
    };
    let spec = WindowSpec { steps: 32, features: vec!["wave".into()], targets: vec!["next".into()], scaler: None };
    MatrixWindows::all(spec, vec!["WAVE".into()], vec![segment].into())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder for the run")?);
    let config = TrainConfig::from_toml(
        "max_epochs = 20\nmin_epochs = 1\naudit_trail = false\n\
         [model]\ntype = 'lstm_attention'\nhidden_size = 32\nnum_layers = 1\nattention_heads = 2\ndropout = 0.1\n",
    )?;
    let config = TrainConfig {
        checkpoint: CheckpointConfig { every_n_steps: 20, encrypt: false, ..config.checkpoint },
        debug: DebugConfig { profiler: true, ..config.debug },
        ..config
    };
    let (windows, device) = (windows()?, Device::flex());
    let network = Forecaster::new(&config.spec(windows.spec()), config.seed, &device)?;
    let trainer = Trainer::builder(config, device)
        .store(Arc::new(FsStore::open(&folder)?))
        .observer(Arc::new(Console::stderr()))
        .stop(StopFlag::on_signals()?)
        .resume(true)
        .build()?;
    let fitted = trainer.fit(network, &windows, &windows)?;
    if fitted.outcome == Outcome::Stopped {
        let (epoch, step) = (fitted.progress.epoch, fitted.progress.step);
        println!("stopped after epoch {epoch}, step {step}: run the same command to go on");
        return Ok(());
    }
    let losses = |of: fn(&tapeloom::train::EpochSummary) -> f64| {
        fitted.history.iter().map(move |e| (e.epoch as f64, of(e))).collect::<Vec<_>>()
    };
    let mut report = Report::new("A run in parts").lines(
        "Loss by epoch",
        Axis::number("epoch"),
        Axis::number("loss"),
        [Series::new("training", losses(|e| e.train_loss)), Series::new("validation", losses(|e| e.valid_loss))],
    );
    if let Some(test) = &fitted.rate_test {
        let curve = test.curve.iter().map(|[rate, loss]| (rate.log10(), *loss));
        let (rate, loss) = (Axis::number("log10 of the learning rate"), Axis::number("smoothed loss"));
        report = report.lines("Learning-rate range test", rate, loss, [Series::new("loss", curve)]);
    }
    report.write(folder.join("report.html"))?;
    std::fs::write(folder.join("trace.json"), fitted.profile.chrome_trace())?;
    println!("{} steps in all; report.html and trace.json are in {}", fitted.progress.global_step, folder.display());
    Ok(())
}
