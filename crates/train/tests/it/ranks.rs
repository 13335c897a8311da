//! What does not depend on the number of ranks, nor on how a batch is cut and gathered.

use std::sync::Arc;

use tapeloom_dist::Threads;
use tapeloom_train::{ClusterConfig, LoaderConfig, OptimizerConfig, Reduction, Result, TrainConfig};

use crate::support::{Trace, config, fit, memory};

fn on_ranks(config: &TrainConfig, world_size: usize) -> Result<Vec<Trace>> {
    let ranks = Threads::group(world_size, Threads::DEADLINE)?;
    std::thread::scope(|scope| {
        let run = |rank: Threads| {
            let config = config.clone();
            scope.spawn(move || fit(config, memory(), |t| t.collective(Arc::new(rank))))
        };
        let runs: Vec<_> = ranks.into_iter().map(run).collect();
        runs.into_iter().map(|run| run.join().expect("no rank panics")).collect()
    })
}

fn with(reduction: Reduction, virtual_shards: usize) -> TrainConfig {
    TrainConfig {
        // A last batch of 165 - 5 * 32 = 5 samples is smaller than the number of shards.
        cluster: ClusterConfig { reduction, virtual_shards, ..ClusterConfig::default() },
        max_epochs: 3,
        ..config()
    }
}

#[test]
fn in_bits_mode_weights_are_the_same_for_any_number_of_ranks() -> Result<()> {
    for virtual_shards in [8, 3] {
        let config = with(Reduction::Bits, virtual_shards);
        let alone = fit(config.clone(), memory(), |t| t)?;
        for world_size in [1, 2, 4] {
            for trace in on_ranks(&config, world_size)? {
                assert_eq!(trace.losses, alone.losses, "{world_size} ranks, {virtual_shards} shards");
                assert_eq!(trace.weights, alone.weights, "{world_size} ranks, {virtual_shards} shards");
                assert_eq!(trace.fitted.history, alone.fitted.history);
            }
        }
    }
    Ok(())
}

#[test]
fn in_order_mode_steps_and_samples_are_the_same_and_sums_differ_by_rounding() -> Result<()> {
    let config = with(Reduction::Order, 8);
    let alone = fit(config.clone(), memory(), |t| t)?;
    for world_size in [2, 4] {
        for trace in on_ranks(&config, world_size)? {
            assert_eq!(trace.losses.len(), alone.losses.len());
            for (step, (a, b)) in trace.losses.iter().zip(&alone.losses).enumerate() {
                let (a, b) = (f64::from_bits(*a), f64::from_bits(*b));
                assert!((a - b).abs() < 1e-4, "step {step} on {world_size} ranks: {a} {b}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_planned_world_decides_the_global_batch() -> Result<()> {
    let planned = ClusterConfig { nodes: 1, devices: 2, ..ClusterConfig::default() };
    let halved = OptimizerConfig { accumulate_grad_batches: 1, ..config().optimizer };
    let planned = TrainConfig { cluster: planned, optimizer: halved, ..config() };
    assert_eq!(planned.global_batch(), config().global_batch());
    // One rank does the work of two, in two passes.
    let (a, b) = (fit(planned, memory(), |t| t)?, fit(config(), memory(), |t| t)?);
    assert_eq!(a.losses, b.losses);
    assert_eq!(a.weights, b.weights);
    Ok(())
}

#[test]
fn workers_of_the_loader_change_nothing() -> Result<()> {
    let run = |num_workers, prefetch_batches| {
        let loader = LoaderConfig { num_workers, prefetch_batches };
        fit(TrainConfig { loader, max_epochs: 2, ..config() }, memory(), |t| t)
    };
    let direct = run(0, 1)?;
    for (workers, ahead) in [(1, 1), (3, 4)] {
        let trace = run(workers, ahead)?;
        assert_eq!(trace.losses, direct.losses);
        assert_eq!(trace.weights, direct.weights);
    }
    Ok(())
}
