//! From bars in memory to a trained epoch: rows of input a second.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapeloom::core::WindowSource;
use tapeloom::data::{Pipeline, PipelineConfig, Split};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, LstmAttentionConfig, ModelConfig};
use tapeloom::train::{CheckpointConfig, TrainConfig, Trainer};

fn whole_path(c: &mut Criterion) {
    let (symbols, rows) = (4, 600);
    let bars = support::bars(symbols, rows);
    let sizes = LstmAttentionConfig { hidden_size: 16, num_layers: 1, dropout: 0.1, attention_heads: 2 };
    let config = TrainConfig {
        model: ModelConfig::LstmAttention(sizes),
        min_epochs: 1,
        max_epochs: 1,
        auto_lr_find: false,
        audit_trail: false,
        checkpoint: CheckpointConfig {
            every_n_epochs: 0,
            save_top_k: 0,
            encrypt: false,
            ..CheckpointConfig::default()
        },
        ..TrainConfig::default()
    };
    let mut group = c.benchmark_group("whole_path");
    group.sample_size(10).throughput(Throughput::Elements((symbols * rows) as u64));
    group.bench_function("4x600_one_epoch_h16", |b| {
        b.iter(|| {
            let pipeline = Pipeline::new(PipelineConfig::daily()).expect("a valid config").batch(bars.clone());
            let frame = pipeline.run_blocking().expect("good bars");
            let fold = Split::walk_forward(1, 60, 60).expect("counts").fold(&frame).expect("enough data");
            let spec = config.spec(fold.train.spec());
            let network = Forecaster::new(&spec, config.seed, &Device::flex()).expect("a valid spec");
            let trainer = Trainer::builder(config.clone(), Device::flex()).build().expect("nothing is missing");
            trainer.fit(network, &fold.train, &fold.valid).expect("it trains")
        });
    });
    group.finish();
}

criterion_group!(benches, whole_path);
criterion_main!(benches);
