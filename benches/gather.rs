//! Copying windows out of the row-major matrix into a batch: samples a second.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tapeloom::core::WindowSource;

fn gather(c: &mut Criterion) {
    let windows = support::windows(200_000, 60, 16);
    let ids: Vec<usize> = (0..256).map(|i| i * 7919 % windows.len()).collect();
    let (mut inputs, mut targets) = (vec![0.0; 256 * 60 * 16], vec![0.0; 256]);
    let mut group = c.benchmark_group("gather");
    group.throughput(Throughput::Elements(256));
    group.bench_function("b256_t60_f16", |b| {
        b.iter(|| windows.gather(black_box(&ids), &mut inputs, &mut targets).expect("ids in range"));
    });
    group.finish();
}

criterion_group!(benches, gather);
criterion_main!(benches);
