//! What the trainer costs around a step: its loop, and the sets that it writes beside the steps.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tapeloom::core::{Event, FsStore, MemoryLedger, Observer, Timestamp, WindowSource};
use tapeloom::dist::Solo;
use tapeloom::model::burn::tensor::{Tensor, TensorData};
use tapeloom::model::{Clip, Forecaster, LinearConfig, LstmAttentionConfig, ModelConfig, TransformerConfig};
use tapeloom::train::{
    CheckpointConfig, DebugConfig, EarlyStoppingConfig, EpochOrder, OptimizerConfig, Step, TrainConfig, Trainer,
};

use crate::options::Options;
use crate::step::{device, windows};

/// When each step ended, and what the training thread spent on sets.
#[derive(Debug, Default)]
struct Moments {
    steps: Mutex<Vec<Instant>>,
    saves: Mutex<Vec<f64>>,
}

impl Observer for Moments {
    fn observe(&self, _: Timestamp, event: &Event) {
        match event {
            Event::StepFinished { .. } => self.steps.lock().expect("one thread").push(Instant::now()),
            Event::CheckpointSaved { seconds, .. } => self.saves.lock().expect("one thread").push(*seconds),
            _ => {}
        }
    }
}

fn config(o: &Options, model: ModelConfig) -> TrainConfig {
    TrainConfig {
        model,
        batch_size: o.batch,
        min_epochs: 1,
        max_epochs: o.reps as u64,
        log_every_n_steps: 1,
        auto_lr_find: false,
        audit_trail: true,
        optimizer: OptimizerConfig {
            accumulate_grad_batches: 1,
            gradient_clip_norm: 1.0,
            ..OptimizerConfig::default()
        },
        early_stopping: EarlyStoppingConfig { patience: 0, ..EarlyStoppingConfig::default() },
        checkpoint: CheckpointConfig {
            every_n_epochs: 0,
            save_top_k: 0,
            encrypt: false,
            ..CheckpointConfig::default()
        },
        debug: DebugConfig { num_sanity_val_steps: 0, ..DebugConfig::default() },
        ..TrainConfig::default()
    }
}

fn model(o: &Options) -> ModelConfig {
    match o.model.as_str() {
        "loop" => ModelConfig::Linear(LinearConfig::default()),
        "checkpoint" => ModelConfig::Transformer(TransformerConfig {
            hidden_size: o.hidden,
            num_layers: o.layers,
            feedforward_factor: 4,
            dropout: 0.0,
            attention_heads: o.heads,
        }),
        _ => ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: o.hidden,
            num_layers: o.layers,
            dropout: o.dropout,
            attention_heads: o.heads,
        }),
    }
}

/// Microseconds a step: in a bare loop around `Step`, and in `Trainer::fit` with clip, guard, events and evidence.
pub(crate) fn overhead(o: &Options) -> Value {
    let (config, device) = (config(o, model(o)), device(o));
    let train = windows(o, o.batch * o.steps);
    let valid = windows(&Options { batch: 1, ..o.clone() }, 1);
    let first = Forecaster::new(&config.spec(train.spec()), 1, &device).expect("a valid spec");
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    // In turn, so that both see the same machine.
    for _ in 0..o.reps {
        let spec = config.spec(train.spec());
        let mut step = Step::new(first.clone(), spec, &config, &device, Arc::new(Solo::new()));
        let order = EpochOrder::new(config.seed, 1, train.len(), o.batch);
        let begin = Instant::now();
        for at in 0..order.steps() {
            step.run(&train, &order.batch(at), 1e-3, at).expect("a finite step");
        }
        bare.push(begin.elapsed().as_secs_f64() * 1e6 / order.steps() as f64);
        let moments = Arc::new(Moments::default());
        let one = TrainConfig { max_epochs: 1, ..config.clone() };
        let trainer = Trainer::builder(one, device.clone())
            .ledger(Arc::new(MemoryLedger::default()))
            .observer(moments.clone())
            .build()
            .expect("a valid config");
        trainer.fit(first.clone(), &train, &valid).expect("a run");
        let steps = moments.steps.lock().expect("one thread");
        whole.push((steps[steps.len() - 1] - steps[0]).as_secs_f64() * 1e6 / (steps.len() - 1) as f64);
    }
    let debug = DebugConfig { profiler: true, ..config.debug.clone() };
    let profiled = TrainConfig { max_epochs: 1, debug, ..config.clone() };
    let trainer = Trainer::builder(profiled, device.clone()).ledger(Arc::new(MemoryLedger::default()));
    let fitted = trainer.build().expect("a valid config").fit(first.clone(), &train, &valid).expect("a run");
    let phases = fitted.profile.phases();
    let of_steps = ["gather", "forward", "backward", "reduce", "update", "wait"];
    let seconds: f64 = of_steps.iter().map(|phase| phases[phase].seconds).sum();
    let parameters = {
        use tapeloom::model::burn::module::Module;
        first.num_params()
    };
    json!({
        "peer": "tapeloom", "model": o.model, "batch": o.batch, "features": o.features, "seq": o.seq,
        "parameters": parameters, "bare_us": median(bare), "trainer_us": median(whole),
        "guard_us": guard(parameters, &device), "gather_share": phases["gather"].seconds / seconds, "steps": o.steps,
    })
}

/// Microseconds of the pass over the gradient that finds its norm and whether it is finite.
fn guard(parameters: usize, device: &tapeloom::model::burn::tensor::Device) -> f64 {
    let row = Tensor::<1>::from_data(TensorData::new(vec![0.5_f32; parameters], [parameters]), device);
    let times = (0..200).map(|_| {
        let begin = Instant::now();
        let clip = Clip::of(vec![row.clone()], 1.0);
        let norm: Vec<f32> = clip.norm().into_data().try_to_vec().expect("f32");
        assert!(norm[0] > 0.0);
        begin.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

/// What a set costs the steps: time that the training thread spends on it, and how much longer the step behind it takes.
pub(crate) fn checkpoint(o: &Options) -> Value {
    const EVERY: usize = 20;
    let device = device(o);
    let folder = std::env::temp_dir().join(format!("tapeloom-peers-{}", std::process::id()));
    let store = Arc::new(FsStore::open(&folder).expect("a folder"));
    let base = config(o, model(o));
    let checkpoint = CheckpointConfig { every_n_steps: EVERY as u64, ..base.checkpoint.clone() };
    let debug = DebugConfig { profiler: true, ..base.debug.clone() };
    let config = TrainConfig { checkpoint, debug, max_epochs: 1, ..base };
    let train = windows(o, o.batch * o.steps);
    let valid = windows(&Options { batch: 1, ..o.clone() }, 1);
    let first = Forecaster::new(&config.spec(train.spec()), 1, &device).expect("a valid spec");
    let moments = Arc::new(Moments::default());
    let trainer = Trainer::builder(config, device)
        .store(store)
        .ledger(Arc::new(MemoryLedger::default()))
        .observer(moments.clone())
        .build()
        .expect("a valid config");
    let fitted = trainer.fit(first, &train, &valid).expect("a run");
    // The update behind a set copies what it would otherwise change in place.
    let trace: Value = serde_json::from_str(&fitted.profile.chrome_trace()).expect("JSON");
    let spans = trace["traceEvents"].as_array().expect("spans").iter();
    let updates: Vec<f64> = spans
        .filter(|span| span["name"] == "update")
        .filter_map(|span| span["dur"].as_f64())
        .map(|us| us / 1e3)
        .collect();
    let update = |behind_set: bool| {
        let picked = updates.iter().enumerate().filter(|(at, _)| (*at > 0 && at.is_multiple_of(EVERY)) == behind_set);
        median(picked.map(|(_, ms)| *ms).collect())
    };
    let set = trainer.checkpointer().sets().expect("a store").pop().expect("a set");
    let bytes: u64 = trainer.checkpointer().manifest(&set).expect("sound").parts.iter().map(|part| part.length).sum();
    drop(trainer);
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    let steps = moments.steps.lock().expect("one thread");
    let times: Vec<f64> = steps.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
    // A set is handed over behind each 20th step, so its cost is in the time to the next one.
    let behind = |at: &usize| (at + 1).is_multiple_of(EVERY);
    let pick =
        |wanted: bool| (0..times.len()).filter(|at| behind(at) == wanted).map(|at| times[at]).collect::<Vec<_>>();
    let (plain, with_set) = (median(pick(false)), pick(true));
    let saves: Vec<f64> = moments.saves.lock().expect("one thread").iter().map(|s| s * 1e3).collect();
    json!({
        "peer": "tapeloom", "model": o.model, "bytes": bytes, "sets": saves.len(), "step_ms": plain,
        "handover_ms": median(saves.clone()), "handover_ms_max": saves.iter().copied().fold(0.0, f64::max),
        "update_ms": update(false), "update_behind_set_ms": update(true), "stall_ms": median(with_set.clone()) - plain,
        "stall_ms_max": with_set.iter().copied().fold(0.0, f64::max) - plain,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
