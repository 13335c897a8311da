//! Sealing and opening a checkpoint's bytes: bytes a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tapeloom::seal::{Key, open, seal};

fn sealing(c: &mut Criterion) {
    let key = Key::from_bytes([7; 32]);
    let plain: Vec<u8> = (0..8_u32 << 20).map(|i| (i % 251) as u8).collect();
    let sealed = seal("weights", &plain, &key).expect("random bytes");
    let mut group = c.benchmark_group("seal");
    group.sample_size(10).throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("seal_8mib", |b| b.iter(|| seal("weights", black_box(&plain), &key).expect("random bytes")));
    group.bench_function("open_8mib", |b| b.iter(|| open("weights", black_box(&sealed), &key).expect("authentic")));
    group.finish();
}

criterion_group!(benches, sealing);
criterion_main!(benches);
