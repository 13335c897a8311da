//! The providers inside one process.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tapeloom_dist::{Collective, Error, ReduceOp, Result, Solo, Threads, contract, shard_range};

fn threads(world_size: usize) -> Result<Vec<Box<dyn Collective>>> {
    boxed(Threads::group(world_size, Duration::from_secs(20))?)
}

fn boxed(group: Vec<Threads>) -> Result<Vec<Box<dyn Collective>>> {
    Ok(group.into_iter().map(|rank| Box::new(rank) as Box<dyn Collective>).collect())
}

#[test]
fn threads_keep_the_contract() -> Result<()> {
    contract::collective(&threads)
}

#[test]
fn threads_keep_their_deadline() -> Result<()> {
    contract::deadline(&|world_size| boxed(Threads::group(world_size, Duration::from_millis(100))?))
}

#[test]
fn solo_keeps_the_contract_of_one_rank() -> Result<()> {
    contract::member(&Solo::new())
}

#[test]
fn threads_of_one_change_nothing_as_solo_does() -> Result<()> {
    let group = Threads::group(1, Threads::DEADLINE)?;
    let odd = [-0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, 0.1];
    for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max] {
        let mut buffer = odd;
        group[0].all_reduce(&mut buffer, op)?;
        assert_eq!(buffer.map(f32::to_bits), odd.map(f32::to_bits), "{op:?}");
    }
    Ok(())
}

#[test]
fn sums_run_in_the_order_of_ranks() -> Result<()> {
    // Added to either large number first, the small one is lost to rounding.
    let values = [1e8_f32, -1e8, 1.0];
    for _ in 0..50 {
        let group = Threads::group(3, Duration::from_secs(20))?;
        let sums: Vec<Result<f32>> = std::thread::scope(|scope| {
            let ranks = group.into_iter().zip(values).map(|(rank, value)| {
                scope.spawn(move || {
                    let mut buffer = [value];
                    rank.all_reduce(&mut buffer, ReduceOp::Sum).map(|()| buffer[0])
                })
            });
            let ranks: Vec<_> = ranks.collect();
            ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect()
        });
        assert_eq!(sums, [Ok(1.0), Ok(1.0), Ok(1.0)]);
    }
    Ok(())
}

#[test]
fn two_threads_on_one_rank_end_the_group_instead_of_mixing() -> Result<()> {
    let group = Threads::group(2, Duration::from_secs(20))?;
    let ends: Vec<Result<()>> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..2).map(|_| scope.spawn(|| group[0].barrier())).collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    assert!(matches!(&ends[0], Err(Error::Mismatch { rank: 0, .. })), "{ends:?}");
    assert_eq!(ends[0], ends[1]);
    assert_eq!(group[1].barrier(), ends[0], "the other rank learns of it");
    Ok(())
}

#[test]
fn a_mismatch_reads_well() -> Result<()> {
    let group = Threads::group(2, Duration::from_secs(20))?;
    let error = std::thread::scope(|scope| {
        let first = scope.spawn(|| group[0].all_reduce(&mut [0.0; 3], ReduceOp::Sum));
        let second = scope.spawn(|| group[1].broadcast(&mut [0.0; 2], 1));
        second.join().expect("no panic").and(first.join().expect("no panic")).expect_err("they differ").to_string()
    });
    let (reduce, broadcast) = ("all_reduce Sum of 3 values", "broadcast of 2 values from rank 1");
    let either = [
        format!("rank 1 called {broadcast} while others called {reduce}"),
        format!("rank 0 called {reduce} while others called {broadcast}"),
    ];
    assert!(either.contains(&error), "{error}");
    Ok(())
}

#[test]
fn deadlines_that_never_or_always_pass_are_refused() {
    for deadline in [Duration::ZERO, Duration::MAX] {
        assert!(matches!(Threads::group(2, deadline), Err(Error::Invalid { field: "deadline", .. })), "{deadline:?}");
    }
}

#[test]
fn solo_is_a_group_of_one_that_changes_nothing() -> Result<()> {
    let solo = Solo::new();
    let mut buffer = [1.0, f32::NAN];
    solo.all_reduce(&mut buffer, ReduceOp::Mean)?;
    assert!(buffer[0] == 1.0 && buffer[1].is_nan());
    assert_eq!(solo.reduce_scatter(&[1.0, 2.0], ReduceOp::Sum)?, [1.0, 2.0]);
    assert!(solo.broadcast(&mut [0.0], 1).is_err());
    solo.abort("enough");
    assert!(matches!(solo.barrier(), Err(Error::Aborted { .. })));
    Ok(())
}

#[test]
fn a_missing_rank_times_out_by_name() -> Result<()> {
    let group = Threads::group(3, Duration::from_millis(200))?;
    let started = Instant::now();
    let (first, rest) = group.split_first().expect("three ranks");
    let error = first.barrier().expect_err("two ranks never come");
    assert_eq!(
        error,
        Error::TimedOut { operation: "barrier", missing: vec![1, 2], deadline: Duration::from_millis(200) }
    );
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(rest[0].barrier(), Err(error), "the group is dead for those who come late");
    Ok(())
}

#[test]
fn a_rank_that_panics_wakes_its_peers() -> Result<()> {
    let mut group = Threads::group(2, Duration::from_secs(60))?;
    let (second, first) = (group.pop().expect("two"), group.pop().expect("two"));
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(move || first.all_reduce(&mut [0.0], ReduceOp::Sum));
        let broken = scope.spawn(move || {
            let _rank = second;
            std::panic::resume_unwind(Box::new("a bug"));
        });
        assert!(broken.join().is_err());
        waiting.join().expect("the peer does not panic")
    });
    assert_eq!(error, Err(Error::PeerGone { operation: "all_reduce", ranks: vec![1] }));
    Ok(())
}

#[test]
fn a_group_of_none_is_refused() {
    assert!(matches!(Threads::group(0, Threads::DEADLINE), Err(Error::Invalid { .. })));
}

proptest! {
    #[test]
    fn shards_cover_everything_once_and_fairly(len in 0_usize..500, world in 1_usize..20) {
        let shards: Vec<_> = (0..world).map(|rank| shard_range(len, rank, world)).collect();
        prop_assert!(shards.iter().cloned().flatten().eq(0..len));
        let sizes = shards.iter().map(ExactSizeIterator::len);
        prop_assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1);
    }
}
