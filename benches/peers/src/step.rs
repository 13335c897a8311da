use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tapeloom::core::{MatrixWindows, Philox, Segment, Timestamp, WindowSource, WindowSpec};
use tapeloom::dist::{Collective, Solo};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig, TransformerConfig};
use tapeloom::train::{ClusterConfig, OptimizerConfig, Precision, Step, Strategy, TrainConfig};

use crate::options::Options;

/// So many windows of noise, with something in them that a network can learn.
pub(crate) fn windows(o: &Options, count: usize) -> MatrixWindows {
    let rows = o.seq + count - 1;
    let mut noise = vec![0.0; rows * o.features];
    Philox::new(2).uniform(0, 0, &mut noise);
    noise.iter_mut().for_each(|x| *x = (*x - 0.5) * 3.46);
    let times: Vec<Timestamp> = (0..rows as i64).map(Timestamp::from_micros).collect();
    let mut error = vec![0.0; rows];
    Philox::new(3).uniform(0, 0, &mut error);
    // The mean of the first feature over the window, in units of its own deviation.
    let first: Vec<f32> = noise.iter().step_by(o.features).copied().collect();
    let signal = |row: usize| first[(row + 1).saturating_sub(o.seq)..=row].iter().sum::<f32>() / (o.seq as f32).sqrt();
    let target = |(row, e): (usize, f32)| signal(row) + o.noise as f32 * (e - 0.5) * 3.46;
    let segment = Segment {
        symbol: 0,
        targets: error.into_iter().enumerate().map(target).collect(),
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

/// The ranks that this one trains with, and its device.
fn place(o: &Options) -> (Arc<dyn Collective>, Device) {
    #[cfg(feature = "cuda")]
    if o.ranks {
        let (group, device) = crate::ranks::join(o);
        return (group, device);
    }
    assert!(!o.ranks, "--ranks needs a build for CUDA");
    (Arc::new(Solo::new()), device(o))
}

pub(crate) fn time(o: &Options) -> Value {
    let start = Instant::now();
    let (collective, device) = place(o);
    let (rank, world_size) = (collective.rank(), collective.world_size());
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
    let strategy = if o.strategy == "zero1" { Strategy::Zero1 } else { Strategy::Ddp };
    let cluster = ClusterConfig { precision, strategy, cuda_graphs: o.graphs, ..ClusterConfig::default() };
    let config =
        TrainConfig { model, optimizer, cluster, batch_size: o.batch.div_ceil(world_size), ..TrainConfig::default() };
    let windows = windows(o, o.batch * o.batches);
    let spec = config.spec(windows.spec());
    let network = Forecaster::new(&spec, 1, &device).expect("a valid spec");
    let mut step = Step::new(network, spec, &config, &device, collective);
    let mut done = 0;
    let mut run = || {
        let first = done as usize % o.batches * o.batch;
        let ids: Vec<usize> = (first..first + o.batch).collect();
        done += 1;
        step.run(&windows, &ids, o.rate, done).expect("a finite step").loss
    };
    let first_loss = run();
    let first_s = start.elapsed().as_secs_f64();
    for _ in 1..o.warmup {
        run();
    }
    let (mut last_loss, mut losses) = (first_loss, Vec::new());
    let mut times: Vec<f64> = (0..o.reps)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..o.steps {
                last_loss = run();
                losses.push(last_loss);
            }
            begin.elapsed().as_secs_f64() * 1e3 / o.steps as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let ms = times[times.len() / 2];
    if rank > 0 {
        return Value::Null;
    }
    json!({
        "peer": "tapeloom", "model": o.model, "device": o.device, "precision": o.precision, "threads": o.threads, "ranks": world_size, "strategy": o.strategy,
        "batch": o.batch, "seq": o.seq, "features": o.features, "hidden": o.hidden, "layers": o.layers,
        "heads": o.heads, "ms_step": ms, "ms_steps": times, "samples_per_s": o.batch as f64 / ms * 1e3,
        "first_step_s": first_s, "first_loss": first_loss, "last_loss": last_loss,
        "recorded": step.is_recorded(), "mean_loss": mean(&losses), "mean_of_last_fifth": mean(&losses[losses.len() * 4 / 5..]),
        "reserved_mib": device.memory_pool_usage().map(|usage| usage.bytes_reserved as f64 / 1048576.0),
    })
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}
