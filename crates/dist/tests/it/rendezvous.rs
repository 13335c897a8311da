//! Ranks find each other, keep strangers out, and notice who is gone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tapeloom_dist::{Error, Rendezvous, RendezvousConfig, Result, World};

use crate::process::{Rank, say, variables, worlds};

const TOKEN: &[u8] = b"only the ranks of a run know it";
const LONG: Duration = Duration::from_secs(30);

fn quick(deadline: Duration) -> RendezvousConfig {
    let ms = Duration::from_millis;
    RendezvousConfig { deadline, heartbeat: ms(100), heartbeat_limit: ms(1500) }
}

/// Joins all at once, each in a thread of its own.
fn join(worlds: &[World], token: &[u8], deadline: Duration) -> Vec<Result<Rendezvous>> {
    thread::scope(|scope| {
        let join = |world| scope.spawn(move || Rendezvous::join_with(world, token, quick(deadline)));
        let ranks: Vec<_> = worlds.iter().map(join).collect();
        ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect()
    })
}

fn joined(worlds: &[World]) -> Vec<Rendezvous> {
    join(worlds, TOKEN, LONG).into_iter().map(|rank| rank.expect("joined")).collect()
}

/// The failure that a rank learns of, and after how long.
fn failure(rank: &Rendezvous) -> (Error, Duration) {
    let start = Instant::now();
    loop {
        if let Some(failure) = rank.failure() {
            return (failure, start.elapsed());
        }
        assert!(start.elapsed() < LONG, "rank {} never learns of it", rank.world().rank);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_rank_0_shares_reaches_all_in_order() -> Result<()> {
    let ranks = joined(&worlds("share", 5));
    for round in 0..3_u8 {
        assert_eq!(ranks[0].share("id", Some(vec![round; 128]))?, [round; 128]);
    }
    ranks[0].share("other", Some(Vec::new()))?;
    let large = vec![7; Rendezvous::LARGEST_SHARE];
    ranks[0].share("large", Some(large.clone()))?;
    for rank in &ranks[1..] {
        assert!(rank.share("other", None)?.is_empty());
        for round in 0..3_u8 {
            assert_eq!(rank.share("id", None)?, [round; 128]);
        }
        assert!(rank.share("large", None)? == large);
        assert!(rank.failure().is_none());
    }
    assert!(matches!(ranks[1].share("id", Some(vec![])), Err(Error::Invalid { field: "bytes", .. })));
    assert!(matches!(ranks[0].share("id", None), Err(Error::Invalid { field: "bytes", .. })));
    let too_much = vec![0; Rendezvous::LARGEST_SHARE + 1];
    assert!(matches!(ranks[0].share("id", Some(too_much)), Err(Error::Invalid { field: "bytes", .. })));
    Ok(())
}

#[test]
fn one_process_needs_no_network() -> Result<()> {
    let world = World { master_addr: "no such host.".into(), ..World::solo() };
    let alone = Rendezvous::join(&world, TOKEN, Duration::from_millis(1))?;
    assert_eq!(alone.share("id", Some(vec![1]))?, [1]);
    alone.fail("enough");
    assert_eq!(alone.failure(), Some(Error::Aborted { rank: 0, reason: "enough".into() }));
    Ok(())
}

#[test]
fn names_and_ipv6_work() {
    for address in ["localhost", "::1"] {
        let mut worlds = worlds("names", 3);
        worlds.iter_mut().for_each(|world| world.master_addr = address.into());
        joined(&worlds);
    }
}

#[test]
fn missing_ranks_are_named_on_all_that_came() {
    let deadline = Duration::from_secs(3);
    let worlds = worlds("missing", 4);
    let ends = join(&[worlds[0].clone(), worlds[2].clone()], TOKEN, deadline);
    let want = Error::TimedOut { operation: "rendezvous", missing: vec![1, 3], deadline };
    for end in ends {
        assert_eq!(end.expect_err("two are missing"), want);
    }
    assert_eq!(want.to_string(), "rendezvous timed out after 3s, still missing ranks [1, 3]");
}

#[test]
fn without_rank_0_the_error_says_where_it_should_be() {
    let worlds = worlds("nobody", 2);
    let end = join(&worlds[1..], TOKEN, Duration::from_millis(300)).remove(0).expect_err("nobody is there");
    let port = worlds[1].master_port.to_string();
    assert!(matches!(&end, Error::Unreachable { address, .. } if address.contains(&port)), "{end}");
    assert!(end.to_string().contains("refused"), "{end}");
}

#[test]
fn another_token_joins_nothing_and_is_not_told() {
    let worlds = worlds("token", 2);
    let deadline = Duration::from_millis(800);
    let (hub, stranger) = thread::scope(|scope| {
        let hub = scope.spawn(|| Rendezvous::join_with(&worlds[0], TOKEN, quick(deadline)));
        let stranger = scope.spawn(|| Rendezvous::join_with(&worlds[1], b"some other secret", quick(deadline)));
        (hub.join().expect("no panic"), stranger.join().expect("no panic"))
    });
    assert!(matches!(hub, Err(Error::TimedOut { missing, .. }) if missing == [1]));
    let stranger = stranger.expect_err("it can't prove itself");
    assert!(matches!(stranger, Error::Unreachable { .. }), "{stranger}");
    assert!(stranger.to_string().contains("another token"), "{stranger}");
    for short in [&b""[..], b"short"] {
        let error = Rendezvous::join(&worlds[0], short, LONG).expect_err("a short token");
        assert!(matches!(error, Error::Invalid { field: "token", .. }));
        assert!(!error.to_string().contains("short"), "a token is never shown");
    }
}

#[test]
fn strangers_do_no_harm() {
    let worlds = worlds("strangers", 3);
    thread::scope(|scope| {
        let hub = scope.spawn(|| Rendezvous::join_with(&worlds[0], TOKEN, quick(LONG)));
        let address = ("127.0.0.1", worlds[0].master_port);
        let knock = move || loop {
            match TcpStream::connect(address) {
                Ok(stream) => return stream,
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        let silent: Vec<TcpStream> = (0..20).map(|_| knock()).collect();
        for len in [1, 104, 1 << 20] {
            let mut noisy = knock();
            // The hub hangs up in the middle of the large one.
            let _ = noisy.write_all(&vec![0xff; len]);
        }
        // A handshake that somebody recorded: another nonce makes it worthless.
        let recorded = recorded_join(&worlds[1], knock());
        let mut hello = [0; 41];
        let mut replayed = knock();
        replayed.read_exact(&mut hello).expect("a greeting");
        replayed.write_all(&recorded).expect("sent");
        let mut verdict = [0; 1];
        replayed.read_exact(&mut verdict).expect("a verdict");
        assert_eq!(verdict, [1], "a replay proves nothing");
        let rest: Vec<_> =
            worlds[1..].iter().map(|world| scope.spawn(|| Rendezvous::join_with(world, TOKEN, quick(LONG)))).collect();
        let hub = hub.join().expect("no panic").expect("joined");
        let rest: Vec<_> = rest.into_iter().map(|rank| rank.join().expect("no panic").expect("joined")).collect();
        assert!(rest.iter().chain([&hub]).all(|rank| rank.failure().is_none()));
        drop((rest, hub, silent));
    });
}

/// Lets a rank of another run talk to the hub through us, and gives what it sends.
fn recorded_join(world: &World, mut hub: TcpStream) -> Vec<u8> {
    let relay = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = relay.local_addr().expect("bound").port();
    let other_run = World { master_port: port, run_id: "another run".into(), ..world.clone() };
    let rank = thread::spawn(move || {
        let end = Rendezvous::join_with(&other_run, TOKEN, quick(Duration::from_secs(2)));
        assert!(matches!(end, Err(Error::Unreachable { .. })), "a hub of another run is not ours");
    });
    let (mut member, _) = relay.accept().expect("it comes");
    let mut hello = [0; 41];
    hub.read_exact(&mut hello).expect("a greeting");
    member.write_all(&hello).expect("passed on");
    let mut join = vec![0; 104];
    member.read_exact(&mut join).expect("a proof");
    hub.write_all(&join).expect("passed on");
    let mut verdict = [0; 33];
    hub.read_exact(&mut verdict).expect("a verdict");
    assert_eq!(verdict[0], 2, "it is of another run");
    member.write_all(&verdict).expect("passed on");
    drop((member, relay));
    rank.join().expect("no panic");
    join
}

#[test]
fn a_rank_twice_or_of_another_world_is_refused_and_the_group_stands() {
    let worlds = worlds("twice", 3);
    thread::scope(|scope| {
        let hub = scope.spawn(|| Rendezvous::join_with(&worlds[0], TOKEN, quick(LONG)));
        let first = scope.spawn(|| Rendezvous::join_with(&worlds[1], TOKEN, quick(LONG)));
        thread::sleep(Duration::from_millis(300));
        let twin = Rendezvous::join_with(&worlds[1], TOKEN, quick(LONG)).expect_err("it is there already");
        assert_eq!(twin, Error::Refused { rank: 1, reason: "a process of that rank has joined already".into() });
        let larger = World { world_size: 4, local_world_size: 4, ..worlds[2].clone() };
        let larger = Rendezvous::join_with(&larger, TOKEN, quick(LONG)).expect_err("another world");
        assert_eq!(larger, Error::Refused { rank: 2, reason: "its world has another size".into() });
        let last = Rendezvous::join_with(&worlds[2], TOKEN, quick(LONG));
        let all = [hub.join().expect("no panic"), first.join().expect("no panic"), last];
        assert!(all.iter().all(|rank| rank.as_ref().is_ok_and(|rank| rank.failure().is_none())));
    });
}

#[test]
fn a_port_that_is_taken_is_passed_over() {
    let mut worlds = worlds("taken", 2);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    worlds.iter_mut().for_each(|world| world.master_port = port);
    joined(&worlds);
}

#[test]
fn two_runs_with_one_port_keep_apart() {
    let (a, mut b) = (worlds("a", 2), worlds("b", 2));
    b.iter_mut().for_each(|world| world.master_port = a[0].master_port);
    let all = [a, b].concat();
    for rank in join(&all, TOKEN, LONG) {
        rank.expect("each finds its own");
    }
}

#[test]
fn who_leaves_in_good_order_does_no_harm() {
    let mut ranks = joined(&worlds("leave", 3));
    drop(ranks.remove(2));
    thread::sleep(Duration::from_millis(200));
    assert!(ranks.iter().all(|rank| rank.failure().is_none()));
    let hub = ranks.remove(0);
    drop(hub);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(ranks[0].failure(), None);
    assert_eq!(ranks[0].share("id", None), Err(Error::PeerGone { operation: "share", ranks: vec![0] }));
}

#[test]
fn a_failure_is_the_same_on_every_rank() {
    for failing in 0..3 {
        let ranks = joined(&worlds("fail", 3));
        ranks[failing].fail("loss is NaN");
        for rank in &ranks {
            let (error, took) = failure(rank);
            assert_eq!(error, Error::Aborted { rank: failing, reason: "loss is NaN".into() });
            assert!(took < Duration::from_secs(5));
        }
    }
}

#[test]
fn a_panic_tells_the_others() {
    let mut ranks = joined(&worlds("panic", 3));
    let broken = ranks.remove(1);
    let end = thread::spawn(move || {
        let _rank = broken;
        std::panic::resume_unwind(Box::new("a bug"));
    })
    .join();
    assert!(end.is_err());
    for rank in &ranks {
        assert_eq!(failure(rank).0, Error::Aborted { rank: 1, reason: "it panicked".into() });
    }
}

/// A rank of its own process: says that it joined, and then what becomes of the group.
#[test]
#[ignore = "a child of another test"]
fn one_rank() {
    let world = World::from_launcher().expect("the parent says");
    let rank = Rendezvous::join_with(&world, TOKEN, quick(LONG)).expect("joined");
    say("joined");
    let (error, took) = failure(&rank);
    say(format!("{} ms: {error}", took.as_millis()));
}

fn processes(worlds: &[World]) -> Vec<Rank> {
    let start = |world| Rank::start("rendezvous::one_rank", &variables(world));
    let mut ranks: Vec<Rank> = worlds.iter().map(start).collect();
    ranks.iter_mut().for_each(|rank| assert_eq!(rank.says(), "joined"));
    ranks
}

#[test]
fn a_killed_rank_is_named_at_once() {
    for killed in [0, 1, 2] {
        let mut ranks = processes(&worlds("kill", 3));
        let mut gone = ranks.remove(killed);
        let start = Instant::now();
        gone.child.kill().expect("killed");
        for rank in &mut ranks {
            let said = rank.says();
            assert!(said.ends_with(&format!("heartbeat can't complete, ranks [{killed}] are gone")), "{said}");
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn a_stopped_rank_is_named_after_the_limit_and_learns_of_it_when_it_goes_on() {
    for stopped in [0, 2] {
        let mut ranks = processes(&worlds("stop", 3));
        let mut gone = ranks.remove(stopped);
        gone.signal("-STOP");
        let start = Instant::now();
        for rank in &mut ranks {
            let said = rank.says();
            assert!(said.ends_with(&format!("heartbeat can't complete, ranks [{stopped}] are gone")), "{said}");
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        gone.signal("-CONT");
        assert!(gone.says().contains("are gone"));
    }
}

#[test]
fn settings_that_can_t_work_are_refused() {
    let second = Duration::from_secs(1);
    let good = RendezvousConfig::default();
    for (config, field) in [
        (RendezvousConfig { deadline: Duration::ZERO, ..good }, "deadline"),
        (RendezvousConfig { heartbeat: Duration::ZERO, ..good }, "heartbeat"),
        (RendezvousConfig { heartbeat: second, heartbeat_limit: second, ..good }, "heartbeat_limit"),
    ] {
        let error = Rendezvous::join_with(&World::solo(), TOKEN, config).expect_err("refused");
        assert!(matches!(&error, Error::Invalid { field: named, .. } if *named == field), "{error}");
    }
}
