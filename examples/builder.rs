//! Depth one: a config, a trainer, a forecast. Prices in, a direction out.
//!
//! `cargo run --example builder`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::Arc;

use tapeloom::core::{FsStore, SystemClock, WindowSource};
use tapeloom::data::{CsvSource, Pipeline, PipelineConfig, Split};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LinearConfig, ModelConfig, Predict};
use tapeloom::seal::{AuditLog, Key, SealedStore};
use tapeloom::track::Console;
use tapeloom::train::{TrainConfig, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prices = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/sp500.csv.gz");
    let source = CsvSource::bars(prices, "SPX").date_format("%m/%d/%Y");
    let frame = Pipeline::new(PipelineConfig::daily())?.csv(source).run_blocking()?;
    let fold = Split::walk_forward(1, 252, 252)?.embargo(5).folds(&frame)?.remove(0);

    let config = TrainConfig {
        model: ModelConfig::Linear(LinearConfig::default()),
        min_epochs: 1,
        max_epochs: 5,
        ..TrainConfig::default()
    };
    let folder = tempfile::tempdir()?;
    let key = Key::generate()?;
    let device = Device::flex();
    let network = Forecaster::new(&config.spec(fold.train.spec()), config.seed, &device)?;
    let trainer = Trainer::builder(config, device.clone())
        .store(Arc::new(SealedStore::new(FsStore::open(folder.path())?, key.clone())))
        .ledger(Arc::new(AuditLog::open(folder.path().join("audit.log"), Some(&key), Arc::new(SystemClock))?))
        .observer(Arc::new(Console::stderr()))
        .build()?;
    let fitted = trainer.fit(network, &fold.train, &fold.valid)?;

    let best = fitted.best.ok_or("no checkpoint was kept")?;
    let predictor = trainer.checkpointer().predictor(&best, &device)?;
    let (time, window) = frame.last_window("SPX").ok_or("SPX is in the data")?;
    let forecast = predictor.predict_raw(&window)?[0];
    println!("after {}: log return of the next day but one {forecast:+.5} ({best})", time.date());
    Ok(())
}
