//! The contract suites: call them from a test of each provider.
//!
//! A provider that can make whole groups in one process runs [`collective`] and [`deadline`]. A provider whose ranks are
//! processes runs [`member`] in each of them. A broken promise is a panic that says which.

use std::sync::mpsc;
use std::thread;

use crate::{Collective, Error, ReduceOp, Result, shard_range};

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
