//! The group that a run's ranks form, and what its collectives take.
//!
//! A launcher such as torchrun starts one process for each GPU; see `benches/distributed`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tapeloom::dist::{Collective, DeviceCollective, ReduceOp, Rendezvous, World, contract};
use tapeloom::model::Exchange;
use tapeloom::model::burn::tensor::Device;
use tapeloom::nccl::{NcclConfig, NcclGroup};

use crate::options::Options;

/// This rank's group and its device.
pub(crate) fn join(o: &Options) -> (Arc<NcclGroup>, Device) {
    let world = World::from_launcher().expect("a launcher started this rank");
    // Rank 0 of these runs is on this host or in a closed network.
    let rendezvous =
        Rendezvous::join(&world, b"for benchmarks alone", Duration::from_secs(60)).expect("all ranks come");
    let config = NcclConfig { on_device: o.on_device, ..NcclConfig::new(world.local_rank) };
    let group = NcclGroup::join(&Arc::new(rendezvous), &config).expect("NCCL's group");
    (Arc::new(group), Device::cuda(world.local_rank))
}

/// The contract suite, then times of collectives on device memory, from 1 KB to 1 GB.
pub(crate) fn collectives(o: &Options) -> Value {
    let (group, device) = join(o);
    let start = Instant::now();
    contract::member(&*group).expect("the contract holds");
    let contract_s = start.elapsed().as_secs_f64();
    eprintln!("the contract holds, {contract_s:.1} s");
    let bf16 = o.precision == "bf16";
    let sizes = [10, 14, 17, 20, 23, 26, 29, 30].map(|log| 1_usize << log);
    let rows: Vec<Value> = sizes.iter().map(|bytes| row(&group, &device, *bytes, bf16)).collect();
    if group.rank() > 0 {
        return Value::Null;
    }
    json!({
        "peer": "tapeloom", "model": "collectives", "ranks": group.world_size(), "precision": o.precision,
        "nccl": group.version(), "contract_s": contract_s, "rows": rows,
    })
}

fn row(group: &NcclGroup, device: &Device, bytes: usize, bf16: bool) -> Value {
    let len = bytes / if bf16 { 2 } else { 4 };
    let exchange = Exchange::new(device, len, bf16).expect("memory").expect("a device with kernels");
    let mut turn = 0;
    let mut time = |call: &dyn Fn(&dyn DeviceCollective, u64)| {
        let runs = if bytes > 1 << 24 { 20 } else { 100 };
        let mut begin = Instant::now();
        for run in 0..runs + runs / 5 {
            if run == runs / 5 {
                device.sync().expect("a sound device");
                group.barrier().expect("all ranks come");
                begin = Instant::now();
            }
            turn += 1;
            exchange.offer();
            if turn == 1 {
                // Loading a kernel waits for the device: nothing may be held at the gate.
                exchange.sync().expect("a sound device");
            }
            call(group, turn);
            exchange.wait(Duration::from_secs(60));
        }
        device.sync().expect("a sound device");
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(runs)
    };
    let all_reduce = time(&|guest, turn| guest.all_reduce(exchange.buffer(), ReduceOp::Sum, turn).expect("a sum"));
    let scatter = time(&|guest, turn| guest.reduce_scatter(exchange.buffer(), ReduceOp::Sum, turn).expect("a sum"));
    let gather = time(&|guest, turn| guest.all_gather(exchange.buffer(), turn).expect("all parts"));
    let world = group.world_size() as f64;
    eprintln!("{bytes} bytes: {all_reduce:.1} us");
    // Bus bandwidth as NCCL's own tests define it.
    let bus = |us: f64, factor: f64| bytes as f64 * factor * (world - 1.0) / world / us / 1e3;
    json!({
        "bytes": bytes, "all_reduce_us": all_reduce, "reduce_scatter_us": scatter, "all_gather_us": gather,
        "all_reduce_gbs": bus(all_reduce, 2.0), "reduce_scatter_gbs": bus(scatter, 1.0), "all_gather_gbs": bus(gather, 1.0),
    })
}
