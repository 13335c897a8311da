//! Depth three: a loop of your own from `Step`, `EpochOrder` and a `Collective`: two ranks, one model.
//!
//! `cargo run --example own_loop`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::Arc;

use tapeloom::core::{MatrixWindows, Segment, Timestamp, WindowSource, WindowSpec};
use tapeloom::dist::{Collective, Threads};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig};
use tapeloom::train::{EpochOrder, Result, Step, TrainConfig, target_scale, validate};

const GLOBAL_BATCH: usize = 64;

fn windows() -> tapeloom::core::Result<MatrixWindows> {
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

/// What one rank does; all ranks do the same, each on its share of every global batch.
fn rank(collective: Arc<dyn Collective>, config: &TrainConfig, windows: &MatrixWindows) -> Result<f64> {
    let device = Device::flex();
    let mut spec = config.spec(windows.spec());
    spec.target_scale = target_scale(windows, &spec.objective)?;
    let network = Forecaster::new(&spec, config.seed, &device)?;
    let mut step = Step::new(network, spec, config, &device, collective);
    let mut done = 0;
    for epoch in 1..=12 {
        let order = EpochOrder::new(config.seed, epoch, windows.len(), GLOBAL_BATCH);
        for batch in 0..order.steps() {
            step.run(windows, &order.batch(batch), 0.01, done)?;
            done += 1;
        }
    }
    Ok(validate(step.network(), windows, step.spec(), &device)?["val_loss"])
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let windows = windows()?;
    let sizes = LstmAttentionConfig { hidden_size: 8, num_layers: 1, dropout: 0.1, attention_heads: 2 };
    let config = TrainConfig { model: ModelConfig::LstmAttention(sizes), ..TrainConfig::default() };
    let losses: Vec<f64> = std::thread::scope(|scope| {
        let (config, windows) = (&config, &windows);
        let ranks: Vec<_> = Threads::group(2, Threads::DEADLINE)?
            .into_iter()
            .map(|member| scope.spawn(move || rank(Arc::new(member), config, windows)))
            .collect();
        ranks
            .into_iter()
            .map(|handle| handle.join().map_err(|_| "a rank panicked")?.map_err(Into::into))
            .collect::<std::result::Result<_, Box<dyn std::error::Error>>>()
    })?;
    println!("validation loss on each rank: {losses:?}");
    assert_eq!(losses[0].to_bits(), losses[1].to_bits(), "all ranks hold the same model");
    Ok(())
}
