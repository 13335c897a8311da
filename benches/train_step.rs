//! One optimizer step on the CPU, data gathering included: samples a second.

mod support;

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tapeloom::core::WindowSource;
use tapeloom::dist::Solo;
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig, TransformerConfig};
use tapeloom::train::{Step, TrainConfig};

fn train_step(c: &mut Criterion) {
    let windows = support::windows(2000, 60, 16);
    let lstm = LstmAttentionConfig { hidden_size: 32, num_layers: 1, dropout: 0.1, attention_heads: 2 };
    let transformer =
        TransformerConfig { hidden_size: 32, num_layers: 1, feedforward_factor: 4, dropout: 0.1, attention_heads: 2 };
    let mut group = c.benchmark_group("train_step");
    group.sample_size(10).throughput(Throughput::Elements(128));
    for model in [ModelConfig::LstmAttention(lstm), ModelConfig::Transformer(transformer)] {
        let name = model.name();
        let config = TrainConfig { model, ..TrainConfig::default() };
        let spec = config.spec(windows.spec());
        let network = Forecaster::new(&spec, 1, &Device::flex()).expect("a valid spec");
        let mut step = Step::new(network, spec, &config, &Device::flex(), Arc::new(Solo::new()));
        let ids: Vec<usize> = (0..128).collect();
        let mut done = 0;
        group.bench_with_input(BenchmarkId::new(name, "b128_t60_f16_h32_l1"), &ids, |b, ids| {
            b.iter(|| {
                done += 1;
                step.run(&windows, ids, 1e-3, done).expect("a finite step")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, train_step);
criterion_main!(benches);
