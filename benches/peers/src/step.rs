use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tapeloom::core::{MatrixWindows, Philox, Segment, Timestamp, WindowSource, WindowSpec};
use tapeloom::dist::Solo;
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig, TransformerConfig};
use tapeloom::train::{ClusterConfig, OptimizerConfig, Precision, Step, TrainConfig};

use crate::options::Options;

/// Batches that differ; steps take them in turn.
const BATCHES: usize = 8;

/// Noise, as many samples as `batches` batches hold.
pub(crate) fn windows(o: &Options, batches: usize) -> MatrixWindows {
    let rows = o.seq + o.batch * batches - 1;
    let mut noise = vec![0.0; rows * o.features];
    Philox::new(2).uniform(0, 0, &mut noise);
    noise.iter_mut().for_each(|x| *x = (*x - 0.5) * 3.46);
    let times: Vec<Timestamp> = (0..rows as i64).map(Timestamp::from_micros).collect();
    let segment = Segment {
        symbol: 0,
        targets: noise.iter().step_by(o.features).copied().collect(),
        features: noise,
        target_ends: times.clone(),
        times,
    };
    let features = (0..o.features).map(|i| format!("f{i}")).collect();
    let spec = WindowSpec { steps: o.seq, features, targets: vec!["y".into()], scaler: None };
    MatrixWindows::all(spec, vec!["S".into()], [segment].into()).expect("well formed")
}

pub(crate) fn device(o: &Options) -> Device {
    match o.device.as_str() {
        "cpu" => Device::flex(),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(tapeloom::model::burn::tensor::DeviceKind::DefaultDevice),
        other => panic!("--device {other}: this build has no such device"),
    }
}

pub(crate) fn time(o: &Options) -> Value {
    let start = Instant::now();
    let model = match o.model.as_str() {
        "lstm_attention" => ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: o.hidden,
            num_layers: o.layers,
            dropout: o.dropout,
            attention_heads: o.heads,
        }),
        "transformer" => ModelConfig::Transformer(TransformerConfig {
            hidden_size: o.hidden,
            num_layers: o.layers,
            feedforward_factor: 4,
            dropout: o.dropout,
            attention_heads: o.heads,
        }),
        other => ModelConfig::named(other).expect("a model"),
    };
    let optimizer = OptimizerConfig { gradient_clip_norm: o.clip, ..OptimizerConfig::default() };
    let precision = if o.precision == "bf16" { Precision::Bf16Mixed } else { Precision::F32 };
    let cluster = ClusterConfig { precision, ..ClusterConfig::default() };
    let config = TrainConfig { model, optimizer, cluster, batch_size: o.batch, ..TrainConfig::default() };
    let windows = windows(o, BATCHES);
    let spec = config.spec(windows.spec());
    let device = device(o);
    let network = Forecaster::new(&spec, 1, &device).expect("a valid spec");
    let mut step = Step::new(network, spec, &config, &device, Arc::new(Solo::new()));
    let mut done = 0;
    let mut run = || {
        let first = done as usize % BATCHES * o.batch;
        let ids: Vec<usize> = (first..first + o.batch).collect();
        done += 1;
        step.run(&windows, &ids, 1e-3, done).expect("a finite step").loss
    };
    let first_loss = run();
    let first_s = start.elapsed().as_secs_f64();
    for _ in 1..o.warmup {
        run();
    }
    let (mut last_loss, mut sum) = (first_loss, 0.0);
    let mut times: Vec<f64> = (0..o.reps)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..o.steps {
                last_loss = run();
                sum += last_loss;
            }
            begin.elapsed().as_secs_f64() * 1e3 / o.steps as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let ms = times[times.len() / 2];
    json!({
        "peer": "tapeloom", "model": o.model, "device": o.device, "precision": o.precision, "threads": o.threads,
        "batch": o.batch, "seq": o.seq, "features": o.features, "hidden": o.hidden, "layers": o.layers,
        "heads": o.heads, "ms_step": ms, "ms_steps": times, "samples_per_s": o.batch as f64 / ms * 1e3,
        "first_step_s": first_s, "first_loss": first_loss, "last_loss": last_loss,
        "mean_loss": sum / (o.steps * o.reps) as f64,
        "reserved_mib": device.memory_pool_usage().map(|usage| usage.bytes_reserved as f64 / 1048576.0),
    })
}
