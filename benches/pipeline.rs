//! Validation, features and labels on DataFusion: rows a second.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapeloom::data::{Pipeline, PipelineConfig};

fn pipeline(c: &mut Criterion) {
    let (symbols, rows) = (50, 2000);
    let pipeline = Pipeline::new(PipelineConfig::daily()).expect("a valid config").batch(support::bars(symbols, rows));
    let mut group = c.benchmark_group("pipeline");
    group.sample_size(10).throughput(Throughput::Elements((symbols * rows) as u64));
    group.bench_function("daily_50x2000", |b| b.iter(|| pipeline.run_blocking().expect("good bars")));
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
