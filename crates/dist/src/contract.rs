//! The contract suites: call them from a test of each provider.
//!
//! A provider that can make whole groups in one process runs [`collective`] and [`deadline`]. A provider whose ranks are
//! processes runs [`member`] in each of them. A broken promise is a panic that says which.

use std::sync::mpsc;
use std::thread;

use crate::{Collective, Error, ReduceOp, Result, Work, shard_range};

/// Makes a group of the given size.
pub type MakeGroup<'a> = &'a dyn Fn(usize) -> Result<Vec<Box<dyn Collective>>>;

/// What every [`Collective`] promises, on groups of one, two and four ranks.
///
/// # Errors
/// Whatever a call returns that should have worked.
///
/// # Panics
/// At the first broken promise.
pub fn collective(make: MakeGroup<'_>) -> Result<()> {
    for world_size in [1, 2, 4] {
        run(make, world_size, member)?.into_iter().collect::<Result<()>>()?;
        let last = world_size - 1;
        let ends = run(make, world_size, |rank| {
            if rank.rank() == last {
                rank.abort("enough");
            }
            stays_dead(rank, rank.barrier())
        })?;
        all_fail(
            &ends,
            |error| matches!(error, Error::Aborted { rank, reason } if *rank == last && reason == "enough"),
        );
    }
    let is_mismatch = |error: &Error| matches!(error, Error::Mismatch { .. });
    let lengths = run(make, 4, |rank| {
        let mut buffer = vec![0.0; if rank.rank() == 2 { 4 } else { 3 }];
        stays_dead(rank, rank.all_reduce(&mut buffer, ReduceOp::Sum))
    })?;
    all_fail(&lengths, is_mismatch);
    let operations = run(make, 2, |rank| {
        let op = if rank.rank() == 0 { ReduceOp::Sum } else { ReduceOp::Max };
        stays_dead(rank, rank.all_reduce(&mut [0.0], op))
    })?;
    all_fail(&operations, is_mismatch);
    let calls = run(make, 2, |rank| {
        let end = if rank.rank() == 0 { rank.barrier() } else { rank.all_gather(&[]).map(|_| ()) };
        stays_dead(rank, end)
    })?;
    all_fail(&calls, is_mismatch);
    let roots = run(make, 2, |rank| stays_dead(rank, rank.broadcast(&mut [0.0], rank.rank())))?;
    all_fail(&roots, is_mismatch);
    let gone = run(make, 4, |rank| if rank.rank() == 1 { Ok(()) } else { rank.barrier() })?;
    let survivors: Vec<_> = gone.into_iter().enumerate().filter(|(r, _)| *r != 1).map(|(_, end)| end).collect();
    all_fail(&survivors, |error| matches!(error, Error::PeerGone { ranks, .. } if *ranks == [1]));
    Ok(())
}

/// What a [`Collective`] promises when a rank lives but does not come. `make` gives groups with a deadline of a second or less.
///
/// # Errors
/// Whatever kept the group from being made.
///
/// # Panics
/// At the first broken promise.
pub fn deadline(make: MakeGroup<'_>) -> Result<()> {
    let mut group = make(2)?;
    let (second, first) = (group.pop().expect("two ranks"), group.pop().expect("two ranks"));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || sender.send(first.all_reduce(&mut [0.0], ReduceOp::Sum)).map(|()| first));
        let waited = receiver.recv().expect("the first rank does not panic");
        assert!(
            matches!(&waited, Err(Error::TimedOut { operation: "all_reduce", missing, .. }) if *missing == [1]),
            "a deadline that passes names the call and who is missing: {waited:?}"
        );
        assert_eq!(second.all_reduce(&mut [0.0], ReduceOp::Sum), waited, "who comes late finds the group dead");
    });
    Ok(())
}

/// What every call on one rank promises; all ranks of the group run this at once.
///
/// # Errors
/// Whatever a call returns that should have worked.
///
/// # Panics
/// At the first broken promise.
pub fn member(rank: &dyn Collective) -> Result<()> {
    for len in [0, 1, 7, 1000] {
        every_call(rank, len)?;
    }
    let (me, world) = (rank.rank(), rank.world_size());
    let mut exact = [1.0 + f64::EPSILON];
    rank.all_reduce_f64(&mut exact, ReduceOp::Mean)?;
    assert_eq!(exact, [1.0 + f64::EPSILON], "double precision is kept");
    for bad in 0..world {
        let mut values = [if me == bad { f32::NAN } else { 1.0 }, -1.0];
        rank.all_reduce(&mut values, ReduceOp::Max)?;
        assert!(values[0].is_nan() && values[1] == -1.0, "NaN on rank {bad} wins, in its place alone");
    }
    // Their sum depends on the order of addition, so ranks that add in different orders differ.
    let mut rounded: Vec<f32> = (0..100).map(|i| 0.1 * (i * world + me + 1) as f32).collect();
    rank.all_reduce(&mut rounded, ReduceOp::Sum)?;
    let everyone = rank.all_gather(&rounded)?;
    let same = everyone.chunks(100).all(|theirs| theirs.iter().zip(&rounded).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert!(same, "a reduction is the same to the bit on every rank");
    let outside = rank.broadcast(&mut [0.0], world);
    assert!(matches!(outside, Err(Error::Invalid { field: "root", .. })), "a root outside is refused: {outside:?}");
    interleaved(rank)?;
    beside(rank)?;
    double_precision(rank)?;
    parts(rank)?;
    rank.barrier()
}

fn every_call(rank: &dyn Collective, len: usize) -> Result<()> {
    let (me, world) = (rank.rank(), rank.world_size());
    let (count, total) = (world as f32, (world * (world + 1) / 2) as f32);
    for (op, want) in [(ReduceOp::Sum, total), (ReduceOp::Mean, total / count), (ReduceOp::Max, count)] {
        let mut buffer = vec![(me + 1) as f32; len];
        rank.all_reduce(&mut buffer, op)?;
        assert!(buffer == vec![want; len], "{op:?} of {len} values is exact");
        let mut buffer = vec![(me + 1) as f64; len];
        rank.all_reduce_f64(&mut buffer, op)?;
        assert!(buffer.iter().all(|x| *x as f32 == want), "{op:?} of {len} doubles is exact");
        let buffer: Vec<f32> = (0..len).map(|i| (i * (me + 1)) as f32).collect();
        let shard = rank.reduce_scatter(&buffer, op)?;
        let range = shard_range(len, me, world);
        // The mean may round in another place than `want` did.
        let close = shard.iter().zip(range.clone()).all(|(x, i)| (x - i as f32 * want).abs() <= 1e-3);
        assert!(shard.len() == range.len() && close, "each rank gets its own shard of {len} values");
    }
    let gathered = rank.all_gather(&vec![me as f32; len + me])?;
    let want = (0..world).flat_map(|r| vec![r as f32; len + r]);
    assert!(gathered.into_iter().eq(want), "shards come in the order of ranks, whatever their lengths");
    for root in 0..world {
        let mut buffer = vec![me as f32; len];
        rank.broadcast(&mut buffer, root)?;
        assert!(buffer == vec![root as f32; len], "the values of root {root} reach all");
    }
    Ok(())
}

/// Work that is started and waited for later, with calls that wait in between.
fn beside(rank: &dyn Collective) -> Result<()> {
    let (me, world) = (rank.rank(), rank.world_size());
    let total = (world * (world + 1) / 2) as f32;
    let mine = |len: usize, factor: usize| vec![(factor * (me + 1)) as f32; len];
    let buckets: Vec<_> = (1..=5)
        .map(|bucket| rank.start(Work::AllReduce { buffer: mine(700 * bucket, bucket), op: ReduceOp::Sum }))
        .collect();
    let mut between = [me as f32];
    rank.all_reduce(&mut between, ReduceOp::Max)?;
    assert_eq!(between, [(world - 1) as f32], "a call that waits keeps its place in the order");
    let shard = rank.start(Work::ReduceScatter { buffer: mine(11, 1), op: ReduceOp::Sum });
    let all = rank.start(Work::AllGather { shard: vec![me as f32; me + 1] });
    let sent = rank.start(Work::Broadcast { buffer: vec![me as f32; 3], root: world - 1 });
    // Waited for in another order than started.
    assert_eq!(sent.wait()?, vec![(world - 1) as f32; 3], "a broadcast that was started arrives");
    assert_eq!(shard.wait()?, vec![total; shard_range(11, me, world).len()], "a shard that was started arrives");
    assert!(all.wait()?.into_iter().eq((0..world).flat_map(|r| vec![r as f32; r + 1])), "shards come in order");
    for (bucket, pending) in (1..=5).zip(buckets) {
        assert!(pending.wait()? == vec![bucket as f32 * total; 700 * bucket], "bucket {bucket} keeps its values");
    }
    // A handle that nobody waits for does not stop the others.
    drop(rank.start(Work::AllReduce { buffer: mine(9, 1), op: ReduceOp::Mean }));
    rank.barrier()
}

fn double_precision(rank: &dyn Collective) -> Result<()> {
    let (me, world) = (rank.rank(), rank.world_size());
    let exact = |r: usize| r as f64 + f64::EPSILON;
    let gathered = rank.all_gather_f64(&vec![exact(me); me + 2])?;
    assert!(gathered.into_iter().eq((0..world).flat_map(|r| vec![exact(r); r + 2])), "doubles are gathered to the bit");
    for root in 0..world {
        let mut buffer = [exact(me), -0.0, f64::MIN_POSITIVE];
        rank.broadcast_f64(&mut buffer, root)?;
        let want = [exact(root), -0.0, f64::MIN_POSITIVE].map(f64::to_bits);
        assert_eq!(buffer.map(f64::to_bits), want, "doubles of root {root} reach all to the bit");
    }
    let shard = rank.reduce_scatter_f64(&[exact(0); 10], ReduceOp::Max)?;
    assert_eq!(shard, vec![exact(0); shard_range(10, me, world).len()], "each rank gets its own doubles");
    let outside = rank.broadcast_f64(&mut [0.0], world);
    assert!(matches!(outside, Err(Error::Invalid { field: "root", .. })), "a root outside is refused: {outside:?}");
    let mut shard = vec![0.0; shard_range(10, me, world).len()];
    rank.reduce_scatter_into(&[2.0; 10], &mut shard, ReduceOp::Mean)?;
    assert!(shard.iter().all(|x| *x == 2.0), "a shard goes into the host's buffer");
    let mut all = vec![0.0; 3 * world];
    rank.all_gather_into(&[me as f32; 3], &mut all)?;
    assert!(all.into_iter().eq((0..world).flat_map(|r| vec![r as f32; 3])), "shards go into the host's buffer");
    let short = rank.all_gather_into(&[1.0], &mut []);
    assert!(matches!(short, Err(Error::Invalid { field: "length", .. })), "a short buffer is refused: {short:?}");
    rank.barrier()
}

/// Groups within the group: pairs of neighbours, and across them.
fn parts(rank: &dyn Collective) -> Result<()> {
    let (me, world) = (rank.rank(), rank.world_size());
    for (color, mates) in [
        (me / 2, (0..world).filter(|r| r / 2 == me / 2).collect::<Vec<_>>()),
        (me % 2, (0..world).filter(|r| r % 2 == me % 2).collect()),
        (7, (0..world).collect()),
    ] {
        let part = rank.split(color)?;
        assert_eq!(part.world_size(), mates.len(), "who gave one color is in one group");
        assert_eq!(mates[part.rank()], me, "ranks keep their order");
        let mut sum = [me as f32];
        part.all_reduce(&mut sum, ReduceOp::Sum)?;
        assert_eq!(sum, [mates.iter().sum::<usize>() as f32], "a part reduces among its own");
        // Both groups may be in use at a time.
        let pending = part.start(Work::AllGather { shard: vec![me as f32] });
        rank.barrier()?;
        assert!(pending.wait()?.into_iter().eq(mates.iter().map(|r| *r as f32)), "a part gathers among its own");
        part.barrier()?;
    }
    Ok(())
}

/// Many calls in a row, while each rank runs late at other times.
fn interleaved(rank: &dyn Collective) -> Result<()> {
    let (me, world) = (rank.rank(), rank.world_size());
    for step in 0..200 {
        if (step + me) % 5 == 0 {
            thread::yield_now();
        }
        let mut value = [(step + me) as f32];
        match step % 4 {
            0 => {
                rank.all_reduce(&mut value, ReduceOp::Max)?;
                assert_eq!(value, [(step + world - 1) as f32], "step {step} does not mix with its neighbours");
            }
            1 => {
                rank.broadcast(&mut value, step % world)?;
                assert_eq!(value, [(step + step % world) as f32], "step {step} does not mix with its neighbours");
            }
            2 => {
                let all = rank.all_gather(&value)?;
                assert!(all.into_iter().eq((0..world).map(|r| (step + r) as f32)), "step {step} mixes with another");
            }
            _ => rank.barrier()?,
        }
    }
    Ok(())
}

/// Runs `body` on every rank in a thread of its own and returns how each one ended, in the order of ranks.
fn run(
    make: MakeGroup<'_>,
    world_size: usize,
    body: impl Fn(&dyn Collective) -> Result<()> + Sync,
) -> Result<Vec<Result<()>>> {
    let group = make(world_size)?;
    let ranks: Vec<usize> = group.iter().map(|rank| rank.rank()).collect();
    assert!(ranks.into_iter().eq(0..world_size), "a group holds each rank once, in order");
    assert!(group.iter().all(|rank| rank.world_size() == world_size), "every rank knows the group's size");
    Ok(thread::scope(|scope| {
        let body = &body;
        let ranks: Vec<_> = group.into_iter().map(|rank| scope.spawn(move || body(&*rank))).collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank found a broken promise")).collect()
    }))
}

/// Passes `end` on after checking that the group's failure is for good.
fn stays_dead(rank: &dyn Collective, end: Result<()>) -> Result<()> {
    if end.is_err() {
        assert_eq!(rank.barrier(), end, "a dead group stays dead, for the same reason");
    }
    end
}

fn all_fail(ends: &[Result<()>], expected: impl Fn(&Error) -> bool) {
    assert!(ends.iter().all(|end| end.as_ref().is_err_and(&expected)), "every rank learns of it: {ends:?}");
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "every rank learns the same: {ends:?}");
}
