//! Ranks under `mpirun`, as processes: this test binary, told to run one ignored test. Needs OpenMPI on the path.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tapeloom_dist::{Collective, Mpi, ReduceOp, Rendezvous, RendezvousConfig, Result, World, contract};

use crate::process::{say, worlds};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(2);

/// What the ranks say, a line each, in the order of ranks.
fn ranks(world_size: usize, test: &str) -> Vec<String> {
    let port = worlds("mpi", 1)[0].master_port.to_string();
    let test = format!("mpi::{test}");
    let mut job = Command::new("mpirun")
        .args(["--allow-run-as-root", "--oversubscribe", "--enable-recovery", "-x", "MASTER_PORT", "-n"])
        .arg(world_size.to_string())
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &test, "--ignored", "--nocapture", "--test-threads", "1"])
        .env("MASTER_PORT", port)
        .stdout(Stdio::piped())
        .spawn()
        .expect("mpirun is there");
    let out = BufReader::new(job.stdout.take().expect("piped"));
    let mut said: Vec<String> = out
        .lines()
        .map_while(std::result::Result::ok)
        .filter_map(|line| line.split_once("says ").map(|(_, words)| words.to_owned()))
        .collect();
    job.wait().expect("ended");
    said.sort();
    said
}

/// A rank's last word; it stays until the others have had theirs, as `mpirun` ends what is left when one goes.
fn last_word(mpi: &Mpi, end: &Result<()>) {
    say(format!("{}: {}", mpi.rank(), end.as_ref().map_or_else(ToString::to_string, |()| "fine".to_owned())));
    assert_eq!(&mpi.barrier(), end, "a dead group stays dead, for the same reason");
    thread::sleep(Duration::from_secs(2));
}

fn all_say(ranks: &[usize], error: &str) -> Vec<String> {
    ranks.iter().map(|rank| format!("{rank}: {error}")).collect()
}

#[test]
#[ignore = "a rank of another test"]
fn contract_of_a_rank() {
    let mpi = Mpi::join(LONG, None).expect("started by mpirun");
    contract::member(&mpi).expect("every call works");
    assert!(Mpi::join(LONG, None).is_err(), "a process starts MPI once");
    say(format!("{}: kept", mpi.rank()));
}

#[test]
fn mpi_keeps_the_contract_on_one_to_four_ranks() {
    for world_size in 1..=4 {
        let all: Vec<usize> = (0..world_size).collect();
        assert_eq!(ranks(world_size, "contract_of_a_rank"), all_say(&all, "kept"));
    }
}

#[test]
#[ignore = "a rank of another test"]
fn another_length() {
    let mpi = Mpi::join(LONG, None).expect("started by mpirun");
    let mut buffer = vec![0.0; if mpi.rank() == 2 { 4 } else { 3 }];
    last_word(&mpi, &mpi.all_reduce(&mut buffer, ReduceOp::Sum));
}

#[test]
fn a_mismatch_is_the_same_error_on_all() {
    let said = "rank 2 called all_reduce Sum of 4 values while others called all_reduce Sum of 3 values";
    assert_eq!(ranks(4, "another_length"), all_say(&[0, 1, 2, 3], said));
}

#[test]
#[ignore = "a rank of another test"]
fn one_aborts() {
    let mpi = Mpi::join(LONG, None).expect("started by mpirun");
    if mpi.rank() == 1 {
        mpi.abort("enough");
    }
    last_word(&mpi, &mpi.barrier());
}

#[test]
fn an_abort_reaches_all() {
    assert_eq!(ranks(3, "one_aborts"), all_say(&[0, 1, 2], "rank 1 aborted the group: enough"));
}

#[test]
#[ignore = "a rank of another test"]
fn one_is_late() {
    let mpi = Mpi::join(SHORT, None).expect("started by mpirun");
    if mpi.rank() == 1 {
        thread::sleep(3 * SHORT);
    }
    last_word(&mpi, &mpi.all_reduce(&mut [0.0], ReduceOp::Sum));
}

#[test]
fn a_late_rank_is_named_and_finds_the_group_dead() {
    let said = "all_reduce timed out after 2s, still missing ranks [1]";
    assert_eq!(ranks(3, "one_is_late"), all_say(&[0, 1, 2], said));
}

#[test]
#[ignore = "a rank of another test"]
fn one_leaves() {
    let mpi = Mpi::join(LONG, None).expect("started by mpirun");
    if mpi.rank() == 1 {
        drop(mpi);
        return;
    }
    last_word(&mpi, &mpi.barrier());
}

#[test]
fn a_rank_that_leaves_fails_those_who_wait_for_it() {
    assert_eq!(ranks(3, "one_leaves"), all_say(&[0, 2], "barrier can't complete, ranks [1] are gone"));
}

/// With a rendezvous to watch: rank 1 is stopped or killed by itself in the middle of the run.
fn watched(signal: &str) {
    let world = World::from_launcher().expect("started by mpirun");
    let second = Duration::from_secs(1);
    let config = RendezvousConfig { deadline: LONG, heartbeat: second / 4, heartbeat_limit: 2 * second };
    let watch = Rendezvous::join_with(&world, b"only the ranks of a run know it", config).expect("joined");
    let mpi = Mpi::join(LONG, Some(Arc::new(watch))).expect("started by mpirun");
    mpi.barrier().expect("all are here");
    if mpi.rank() == 1 {
        let me = std::process::id().to_string();
        assert!(Command::new("kill").args([signal, &me]).status().expect("kill is there").success());
        thread::sleep(LONG);
    }
    let start = Instant::now();
    let end = mpi.all_reduce(&mut vec![0.0; 100_000], ReduceOp::Sum);
    assert!(start.elapsed() < LONG / 3, "seconds after the fact, and not at the deadline");
    last_word(&mpi, &end);
    if signal == "-STOP" {
        // mpirun waits for the one that is stopped.
        std::process::abort();
    }
}

#[test]
#[ignore = "a rank of another test"]
fn one_is_killed() {
    watched("-KILL");
}

#[test]
fn a_killed_rank_is_noticed_by_the_watch() {
    let said = "heartbeat can't complete, ranks [1] are gone";
    assert_eq!(ranks(3, "one_is_killed"), all_say(&[0, 2], said));
}
