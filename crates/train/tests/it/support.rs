use std::sync::Arc;

use tapeloom_core::{
    BlobStore, Event, MatrixWindows, MemoryStore, Observer, Philox, Recorder, Segment, StopFlag, Timestamp,
    WindowSource, WindowSpec,
};
use tapeloom_model::burn::tensor::Device;
use tapeloom_model::{Forecaster, LstmAttentionConfig, ModelConfig, encode_weights};
use tapeloom_train::{
    CheckpointConfig, EarlyStoppingConfig, Fitted, OptimizerConfig, Result, TrainConfig, Trainer, TrainerBuilder,
};

pub(crate) const STEPS: usize = 6;

/// A panel of noise whose target is partly the first feature of the last row.
pub(crate) fn panel(seed: u64, symbols: u32, rows: usize, signal: f32) -> MatrixWindows {
    let segment = |symbol: u32| {
        let mut noise = vec![0.0; rows * 3];
        Philox::new(seed).uniform(u64::from(symbol), 0, &mut noise);
        let noise: Vec<f32> = noise.into_iter().map(|u| (u - 0.5) * 3.464).collect();
        let times: Vec<Timestamp> = (0..rows as i64).map(Timestamp::from_micros).collect();
        Segment {
            symbol,
            features: noise.chunks(3).flat_map(|n| [n[0], n[1]]).collect(),
            targets: noise.chunks(3).map(|n| 0.01 * (signal * n[0] + (1.0 - signal) * n[2])).collect(),
            target_ends: times.clone(),
            times,
        }
    };
    let spec =
        WindowSpec { steps: STEPS, features: vec!["a".into(), "b".into()], targets: vec!["y".into()], scaler: None };
    let names = (0..symbols).map(|s| format!("S{s}")).collect();
    MatrixWindows::all(spec, names, (0..symbols).map(segment).collect()).expect("well formed")
}

/// A small LSTM with dropout, two batches a step, no evidence, no encryption.
pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        seed: 3,
        model: ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: 8,
            num_layers: 2,
            dropout: 0.2,
            attention_heads: 2,
        }),
        batch_size: 16,
        min_epochs: 1,
        max_epochs: 4,
        log_every_n_steps: 1,
        auto_lr_find: false,
        audit_trail: false,
        optimizer: OptimizerConfig { learning_rate: 0.01, ..OptimizerConfig::default() },
        early_stopping: EarlyStoppingConfig { patience: 0, min_delta: 0.0 },
        checkpoint: CheckpointConfig {
            every_n_epochs: 1,
            save_top_k: 2,
            encrypt: false,
            ..CheckpointConfig::default()
        },
        ..TrainConfig::default()
    }
}

pub(crate) fn network(config: &TrainConfig, source: &dyn WindowSource) -> Forecaster {
    Forecaster::new(&config.spec(source.spec()), config.seed, &Device::flex()).expect("a valid spec")
}

/// What a run leaves to compare: its step losses to the bit and its last weights.
pub(crate) struct Trace {
    pub(crate) fitted: Fitted<Forecaster>,
    pub(crate) losses: Vec<u64>,
    pub(crate) weights: Vec<f32>,
}

pub(crate) fn fit(
    config: TrainConfig,
    store: Arc<dyn BlobStore>,
    adjust: impl FnOnce(TrainerBuilder) -> TrainerBuilder,
) -> Result<Trace> {
    let (train, valid) = (panel(1, 3, 60, 0.8), panel(2, 3, 40, 0.8));
    let recorder = Arc::new(Recorder::default());
    let network = network(&config, &train);
    let builder = Trainer::builder(config, Device::flex()).store(store).observer(recorder.clone());
    let fitted = adjust(builder).build()?.fit(network, &train, &valid)?;
    let losses = recorder.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFinished { loss, .. } => Some(loss.to_bits()),
        _ => None,
    });
    Ok(Trace { losses: losses.collect(), weights: weights(&fitted.network), fitted })
}

/// Every weight of a network, in the module's order. Parameter ids differ from run to run, so bytes can't be compared.
pub(crate) fn weights(network: &Forecaster) -> Vec<f32> {
    use tapeloom_model::burn::module::{Module, ModuleVisitor, Param};
    use tapeloom_model::burn::tensor::Tensor;
    struct All(Vec<f32>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().try_to_vec::<f32>().expect("f32"));
        }
    }
    assert!(!encode_weights(network).expect("encodes").is_empty());
    let mut all = All(vec![]);
    network.visit(&mut all);
    all.0
}

pub(crate) fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::default())
}

/// Raises a stop flag when a given moment of the run comes.
#[derive(Debug)]
pub(crate) struct StopAt {
    pub(crate) flag: StopFlag,
    pub(crate) epoch: u64,
    pub(crate) step: u64,
}

impl Observer for StopAt {
    fn observe(&self, _: Timestamp, event: &Event) {
        if let Event::StepFinished { epoch, step, .. } = event
            && (*epoch, *step) == (self.epoch, self.step)
        {
            self.flag.stop();
        }
    }
}
