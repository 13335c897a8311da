//! The contract suite: call [`collective`] from a test of each provider.

use std::thread;

use crate::{Collective, Error, ReduceOp, Result, shard_range};

/// Makes a group of the given size.
pub type MakeGroup<'a> = &'a dyn Fn(usize) -> Result<Vec<Box<dyn Collective>>>;

/// What every [`Collective`] promises, on groups of one, two and four ranks.
///
/// # Errors
/// Whatever a call returns; a broken promise is a panic that says which.
///
/// # Panics
/// At the first broken promise.
pub fn collective(make: MakeGroup<'_>) -> Result<()> {
    for world_size in [1, 2, 4] {
        run(make, world_size, every_call)?;
        let failed = run(make, world_size, |rank| {
            if rank.rank() == 0 {
                rank.abort("enough");
            }
            let error = rank.barrier().expect_err("the group was aborted");
            assert_eq!(rank.barrier(), Err(error.clone()), "a dead group stays dead");
            Err(error)
        });
        assert!(matches!(failed, Err(Error::Aborted { rank: 0, .. })), "abort reaches every rank: {failed:?}");
    }
    let mismatch = run(make, 2, |rank| rank.all_reduce(&mut vec![0.0; 3 + rank.rank()], ReduceOp::Sum));
    assert!(matches!(mismatch, Err(Error::Mismatch { .. })), "lengths must agree: {mismatch:?}");
    let gone = run(make, 2, |rank| if rank.rank() == 0 { rank.barrier() } else { Ok(()) });
    assert!(
        matches!(gone, Err(Error::PeerGone { ref ranks, .. }) if *ranks == [1]),
        "a peer that left is named: {gone:?}"
    );
    Ok(())
}

/// Runs `body` on every rank in a thread of its own; the first error wins.
fn run(make: MakeGroup<'_>, world_size: usize, body: impl Fn(&dyn Collective) -> Result<()> + Sync) -> Result<()> {
    let group = make(world_size)?;
    assert_eq!(group.len(), world_size);
    thread::scope(|scope| {
        let body = &body;
        let ranks: Vec<_> = group.into_iter().map(|rank| scope.spawn(move || body(&*rank))).collect();
        ranks.into_iter().try_for_each(|rank| rank.join().expect("no rank panics"))
    })
}

fn every_call(rank: &dyn Collective) -> Result<()> {
    let (me, world) = (rank.rank(), rank.world_size());
    let (count, total) = (world as f32, (world * (world + 1) / 2) as f32);
    for len in [0, 1, 7, 1000] {
        let mine = || vec![(me + 1) as f32; len];
        let mut buffer = mine();
        rank.all_reduce(&mut buffer, ReduceOp::Sum)?;
        assert!(buffer.iter().all(|x| *x == total), "sums are exact");
        buffer = mine();
        rank.all_reduce(&mut buffer, ReduceOp::Mean)?;
        assert!(buffer.iter().all(|x| *x == total / count), "means are sums over the world size");
        buffer = mine();
        rank.all_reduce(&mut buffer, ReduceOp::Max)?;
        assert!(buffer.iter().all(|x| *x == count), "the largest wins");
        buffer = (0..len).map(|i| i as f32).collect();
        let shard = rank.reduce_scatter(&buffer, ReduceOp::Sum)?;
        let range = shard_range(len, me, world);
        assert!(shard.iter().copied().eq(range.map(|i| i as f32 * count)), "each rank gets its own shard");
        let gathered = rank.all_gather(&vec![me as f32; me + 1])?;
        let want = (0..world).flat_map(|r| vec![r as f32; r + 1]);
        assert!(gathered.into_iter().eq(want), "shards come in the order of ranks");
        for root in 0..world {
            buffer = vec![me as f32; len];
            rank.broadcast(&mut buffer, root)?;
            assert!(buffer.iter().all(|x| *x == root as f32), "the root's values reach all");
        }
    }
    assert!(matches!(rank.broadcast(&mut [0.0], world), Err(Error::Invalid { .. })), "a root outside is refused");
    let mut exact = [1.0 + f64::EPSILON];
    rank.all_reduce_f64(&mut exact, ReduceOp::Mean)?;
    assert_eq!(exact, [1.0 + f64::EPSILON], "double precision is kept");
    let mut nan = [if me == world - 1 { f32::NAN } else { 1.0 }];
    rank.all_reduce(&mut nan, ReduceOp::Max)?;
    assert!(nan[0].is_nan(), "NaN wins over every number");
    rank.barrier()
}
