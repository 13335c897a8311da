//! Whole runs of the trainer on a device, with everything it does there: train, save, resume, load and predict.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tapeloom::core::{BlobStore, Event, MatrixWindows, MemoryStore, Observer, StopFlag, Timestamp, WindowSource};
use tapeloom::dist::Solo;
use tapeloom::model::burn::module::{Module, ModuleVisitor, Param};
use tapeloom::model::burn::tensor::{Device, Tensor};
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig, Network, Pass, Predict, TransformerConfig};
use tapeloom::train::{
    CheckpointConfig, ClusterConfig, EarlyStoppingConfig, Fitted, OptimizerConfig, Precision, Step, TrainConfig,
    Trainer, TrainerBuilder,
};

use crate::options::Options;
use crate::step;

/// `odd` has widths and heads that fit no vector, no cluster and no kernel of attention.
const MODELS: [&str; 7] = ["lstm_attention", "lstm", "gru", "transformer", "tcn", "linear", "odd"];

struct Run<'a> {
    windows: &'a MatrixWindows,
    config: TrainConfig,
    device: Device,
}

impl Run<'_> {
    fn builder(&self, store: &Arc<MemoryStore>) -> TrainerBuilder {
        let store: Arc<dyn BlobStore> = store.clone();
        Trainer::builder(self.config.clone(), self.device.clone()).store(store)
    }

    fn fit(&self, trainer: &Trainer) -> Fitted<Forecaster> {
        let spec = self.config.spec(self.windows.spec());
        let network = Forecaster::new(&spec, 1, &self.device).expect("a valid spec");
        trainer.fit(network, self.windows, self.windows).expect("a run")
    }
}

/// Every weight, in the network's order; ids of parameters differ from run to run.
fn weights(fitted: &Fitted<Forecaster>) -> Vec<f32> {
    struct All(Vec<f32>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().try_to_vec::<f32>().expect("f32"));
        }
    }
    let mut all = All(Vec::new());
    fitted.network.visit(&mut all);
    all.0
}

/// For each network and precision: is a recorded run the same as one launch by launch, a resumed one the same as a straight
/// one, and what does a CPU predict from the device's checkpoint?
pub(crate) fn run(o: &Options) -> Value {
    let device = step::device(o);
    // A short last batch, which no recording fits.
    let windows = step::windows(o, o.batch * 5 + o.batch / 2);
    let mut lines = Vec::new();
    for name in MODELS {
        for precision in [Precision::F32, Precision::Bf16Mixed] {
            if precision == Precision::Bf16Mixed && !tapeloom::model::supports_bf16(&device) {
                continue;
            }
            lines.push(line(o, name, precision, &windows, &device));
        }
    }
    lines.push(refused(&windows, &device));
    let bad: Vec<&Value> = lines.iter().filter(|line| line["good"] != true).collect();
    json!({ "runs": lines.len(), "bad": bad, "lines": lines })
}

fn line(o: &Options, name: &str, precision: Precision, windows: &MatrixWindows, device: &Device) -> Value {
    let model = match name {
        "lstm_attention" => ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: 64,
            num_layers: 2,
            dropout: 0.2,
            attention_heads: 2,
        }),
        "odd" => ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: 42,
            num_layers: 2,
            dropout: 0.2,
            attention_heads: 3,
        }),
        "transformer" => ModelConfig::Transformer(TransformerConfig {
            hidden_size: 64,
            num_layers: 2,
            feedforward_factor: 2,
            dropout: 0.2,
            attention_heads: 2,
        }),
        other => ModelConfig::named(other).expect("a model"),
    };
    let cluster = ClusterConfig { precision, ..ClusterConfig::default() };
    let config = TrainConfig {
        model,
        cluster,
        batch_size: o.batch / 2,
        min_epochs: 1,
        max_epochs: 3,
        auto_lr_find: false,
        audit_trail: false,
        log_every_n_steps: 1,
        optimizer: OptimizerConfig { accumulate_grad_batches: 2, ..OptimizerConfig::default() },
        early_stopping: EarlyStoppingConfig { patience: 0, min_delta: 0.0 },
        checkpoint: CheckpointConfig {
            every_n_epochs: 1,
            save_top_k: 1,
            encrypt: false,
            ..CheckpointConfig::default()
        },
        ..TrainConfig::default()
    };
    let run = Run { windows, config, device: device.clone() };
    let store = Arc::new(MemoryStore::default());
    let trainer = run.builder(&store).build().expect("a valid config");
    let fitted = run.fit(&trainer);
    let straight = weights(&fitted);

    let mut launched = Run { windows, config: run.config.clone(), device: device.clone() };
    launched.config.cluster.cuda_graphs = false;
    let other = launched.builder(&Arc::new(MemoryStore::default())).build().expect("a valid config");
    let recorded_is_launched = weights(&launched.fit(&other)) == straight;

    let halves = Arc::new(MemoryStore::default());
    let stop = StopFlag::default();
    let builder = run.builder(&halves).stop(stop.clone()).observer(Arc::new(StopInSecondEpoch(stop)));
    run.fit(&builder.build().expect("a valid config"));
    let resumed = run.fit(&run.builder(&halves).resume(true).build().expect("a valid config"));
    let resumed_is_straight = weights(&resumed) == straight;

    let set = trainer.checkpointer().sets().expect("sets").pop().expect("a set");
    let mut inputs = vec![0.0; 64 * windows.spec().window_len()];
    let mut targets = vec![0.0; 64];
    windows.gather(&(0..64).collect::<Vec<_>>(), &mut inputs, &mut targets).expect("windows");
    let predict = |device: &Device| {
        let predictor = trainer.checkpointer().predictor(&set, device).expect("a predictor");
        predictor.predict(&inputs).expect("predictions")
    };
    let (here, again, cpu) = (predict(device), predict(device), predict(&Device::flex()));
    let largest = cpu.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    let off = here.iter().zip(&cpu).fold(0.0_f32, |a, (x, y)| a.max((x - y).abs())) / largest;
    let good = recorded_is_launched && resumed_is_straight && here == again && off < 1e-2;
    json!({
        "model": name, "precision": format!("{precision:?}"), "recorded_is_launched": recorded_is_launched,
        "resumed_is_straight": resumed_is_straight,
        "cpu_distance": off, "good": good,
    })
}

/// Raises a stop flag at the first step of the second epoch.
#[derive(Debug)]
struct StopInSecondEpoch(StopFlag);

impl Observer for StopInSecondEpoch {
    fn observe(&self, _: Timestamp, event: &Event) {
        if let Event::StepFinished { epoch: 2, .. } = event {
            self.0.stop();
        }
    }
}

/// A network whose every pass needs more memory than the one before, so that no recording succeeds.
#[derive(Module, Debug)]
struct Growing {
    inner: Forecaster,
}

impl Network for Growing {
    fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        static PASSES: AtomicUsize = AtomicUsize::new(1);
        let size = PASSES.fetch_add(1, Ordering::Relaxed) * 12_345_678;
        let zero = Tensor::<1>::zeros([size], &windows.device()).sum();
        self.inner.forward(windows, pass) + zero.unsqueeze()
    }

    fn is_recordable(&self) -> bool {
        true
    }
}

/// Does a run go on unharmed where the device does not record?
fn refused(windows: &MatrixWindows, device: &Device) -> Value {
    let losses = |graphs: bool| {
        let cluster = ClusterConfig { cuda_graphs: graphs, ..ClusterConfig::default() };
        let model = ModelConfig::named("linear").expect("a model");
        let config = TrainConfig { model, cluster, batch_size: 16, ..TrainConfig::default() };
        let spec = config.spec(windows.spec());
        let inner = Forecaster::new(&spec, 1, device).expect("a valid spec");
        let mut step = Step::new(Growing { inner }, spec, &config, device, Arc::new(Solo::new()));
        let ids: Vec<usize> = (0..16).collect();
        let losses: Vec<f64> =
            (0..16).map(|done| step.run(windows, &ids, 1e-2, done).expect("a finite step").loss).collect();
        (losses, step.is_recorded())
    };
    let (with, recorded) = losses(true);
    let (without, _) = losses(false);
    json!({ "model": "growing", "recorded": recorded, "good": with == without && !recorded })
}
