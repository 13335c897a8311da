//! Depth two: swap the parts. A store, a ledger, an observer and a stop condition of your own.
//!
//! `cargo run --example parts`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::Arc;

use tapeloom::core::{
    Event, MatrixWindows, MemoryLedger, MemoryStore, Observer, Segment, StopFlag, Timestamp, WindowSource, WindowSpec,
};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig};
use tapeloom::train::{CheckpointConfig, TrainConfig, Trainer};

/// Ends the run as soon as validation is good enough.
#[derive(Debug)]
struct GoodEnough(StopFlag);

impl Observer for GoodEnough {
    fn observe(&self, _: Timestamp, event: &Event) {
        if let Event::EpochFinished { epoch, valid_loss: Some(loss), .. } = event {
            println!("epoch {epoch}: {loss:.4}");
            if *loss < 0.1 {
                self.0.stop();
            }
        }
    }
}

/// Windows from any store of your own: here a noiseless wave, whose next step a window tells.
fn windows() -> Result<MatrixWindows, tapeloom::core::Error> {
    let wave = |t: i32| (0.2 * t as f32).sin();
    let times: Vec<Timestamp> = (0..600).map(Timestamp::from_micros).collect();
    let segment = Segment {
        symbol: 0,
        features: (0..600).map(wave).collect(),
        targets: (1..601).map(wave).collect(),
        target_ends: times.clone(),
        times,
    };
    let spec = WindowSpec { steps: 12, features: vec!["wave".into()], targets: vec!["next".into()], scaler: None };
    MatrixWindows::all(spec, vec!["WAVE".into()], vec![segment].into())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let windows = windows()?;
    let sizes = LstmAttentionConfig { hidden_size: 8, num_layers: 1, dropout: 0.0, attention_heads: 2 };
    let config = TrainConfig {
        model: ModelConfig::LstmAttention(sizes),
        min_epochs: 1,
        max_epochs: 50,
        // The store below writes in clear, so the config must say that this is meant.
        checkpoint: CheckpointConfig { encrypt: false, ..CheckpointConfig::default() },
        ..TrainConfig::default()
    };
    let (stop, ledger) = (StopFlag::default(), Arc::new(MemoryLedger::default()));
    let network = Forecaster::new(&config.spec(windows.spec()), config.seed, &Device::flex())?;
    let fitted = Trainer::builder(config, Device::flex())
        .store(Arc::new(MemoryStore::default()))
        .ledger(ledger.clone())
        .observer(Arc::new(GoodEnough(stop.clone())))
        .stop(stop)
        .build()?
        .fit(network, &windows, &windows)?;
    println!("{:?} at a learning rate of {:.2e}", fitted.outcome, fitted.learning_rate);
    ledger.records().iter().for_each(|record| println!("ledger: {} {}", record.action, record.object));
    Ok(())
}
