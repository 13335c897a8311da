//! What does not depend on the number of ranks, nor on how a batch is cut and gathered.

use std::sync::Arc;

use tapeloom_core::{BlobStore, MemoryStore, StopFlag};
use tapeloom_dist::Threads;
use tapeloom_model::burn::tensor::Device;
use tapeloom_train::{
    ClusterConfig, LoaderConfig, OptimizerConfig, OptimizerKind, Reduction, Result, Strategy, TrainConfig, Trainer,
    TrainerBuilder,
};

use crate::support::{StopAt, Trace, config, fit, memory, network, panel, weights};

fn on_ranks(config: &TrainConfig, world_size: usize) -> Result<Vec<Trace>> {
    on_ranks_from(config, world_size, &Arc::new(MemoryStore::default()), &|t| t)
}

/// Rank 0 writes the store that all of them read.
fn on_ranks_from(
    config: &TrainConfig,
    world_size: usize,
    store: &Arc<MemoryStore>,
    adjust: &(dyn Fn(TrainerBuilder) -> TrainerBuilder + Sync),
) -> Result<Vec<Trace>> {
    let ranks = Threads::group(world_size, Threads::DEADLINE)?;
    std::thread::scope(|scope| {
        let run = |rank: Threads| {
            let (config, store) = (config.clone(), store.clone() as Arc<dyn BlobStore>);
            scope.spawn(move || fit(config, store, |t| adjust(t.collective(Arc::new(rank)))))
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

fn sharded(config: &TrainConfig) -> TrainConfig {
    TrainConfig { cluster: ClusterConfig { strategy: Strategy::Zero1, ..config.cluster.clone() }, ..config.clone() }
}

#[test]
fn ranks_that_hold_a_part_of_the_state_train_as_those_that_hold_all() -> Result<()> {
    for kind in [OptimizerKind::AdamW, OptimizerKind::Sgd, OptimizerKind::RmsProp] {
        for (clip, decay_matrices_only) in [(0.0, true), (0.01, false)] {
            let optimizer = OptimizerConfig {
                kind,
                decay_matrices_only,
                gradient_clip_norm: clip,
                momentum: 0.9,
                ..config().optimizer
            };
            let config = TrainConfig { optimizer, max_epochs: 2, ..config() };
            for world_size in [1, 2, 3, 4] {
                let (whole, parts) = (on_ranks(&config, world_size)?, on_ranks(&sharded(&config), world_size)?);
                for (whole, part) in whole.iter().zip(&parts) {
                    // The norm that clips is a sum over parts.
                    let near = |(a, b): (&f32, &f32)| if clip > 0.0 { (a - b).abs() < 1e-5 } else { a == b };
                    assert!(part.weights.iter().zip(&whole.weights).all(near), "{kind:?}, {world_size} ranks");
                    assert_eq!(part.weights, parts[0].weights, "ranks move together");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_set_of_any_strategy_and_number_of_ranks_is_taken_up_by_any_other() -> Result<()> {
    let config =
        TrainConfig { optimizer: OptimizerConfig { gradient_clip_norm: 0.0, ..config().optimizer }, ..config() };
    let straight = fit(config.clone(), memory(), |t| t)?;
    for (first, second) in [(2, 3), (3, 1), (1, 4)] {
        for (begin, end) in [(sharded(&config), config.clone()), (config.clone(), sharded(&config))] {
            let store = Arc::new(MemoryStore::default());
            let flag = StopFlag::default();
            let stopper = Arc::new(StopAt { flag: flag.clone(), epoch: 2, step: 1 });
            on_ranks_from(&begin, first, &store, &|t| t.stop(flag.clone()).observer(stopper.clone()))?;
            for trace in on_ranks_from(&end, second, &store, &|t| t.resume(true))? {
                let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
                assert!(trace.weights.iter().zip(&straight.weights).all(near), "{first} ranks, then {second}");
                assert_eq!(trace.fitted.history.len(), 4);
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

#[test]
fn ranks_that_begin_apart_take_the_weights_of_the_first_and_refuse_other_samples() -> Result<()> {
    let run = |rank: Threads, seed: u64, rows: usize| {
        let (config, train) = (config(), panel(1, 3, rows, 0.8));
        let network = network(&TrainConfig { seed, ..config.clone() }, &train);
        let trainer = Trainer::builder(config, Device::flex()).store(memory()).collective(Arc::new(rank)).build()?;
        Ok(weights(&trainer.fit(network, &train, &train)?.network))
    };
    let both = |seeds: [u64; 2], rows: [usize; 2]| -> Result<Vec<Result<Vec<f32>>>> {
        let ranks = Threads::group(2, Threads::DEADLINE)?;
        Ok(std::thread::scope(|scope| {
            let runs: Vec<_> = ranks
                .into_iter()
                .zip(seeds.into_iter().zip(rows))
                .map(|(rank, (seed, rows))| scope.spawn(move || run(rank, seed, rows)))
                .collect();
            runs.into_iter().map(|run| run.join().expect("no rank panics")).collect()
        }))
    };
    let all = |ends: Vec<Result<Vec<f32>>>| ends.into_iter().collect::<Result<Vec<_>>>();
    let (alike, apart) = (all(both([3, 3], [60, 60])?)?, all(both([3, 4], [60, 60])?)?);
    assert!(alike[0] == apart[0] && apart[0] == apart[1], "rank 0 decides");
    for end in both([3, 3], [60, 61])? {
        let error = end.expect_err("other samples").to_string();
        assert!(error.contains("rank 1 has it different"), "{error}");
    }
    Ok(())
}
