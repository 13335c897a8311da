//! The providers keep the contract, also when ranks fail.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tapeloom_dist::{Collective, Error, ReduceOp, Result, Solo, Threads, contract, shard_range};

fn threads(world_size: usize) -> Result<Vec<Box<dyn Collective>>> {
    let group = Threads::group(world_size, Duration::from_secs(20))?;
    Ok(group.into_iter().map(|rank| Box::new(rank) as Box<dyn Collective>).collect())
}

#[test]
fn threads_keep_the_contract() -> Result<()> {
    contract::collective(&threads)
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
    assert_eq!(error, Error::TimedOut { operation: "barrier", missing: vec![1, 2], seconds: 0 });
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
