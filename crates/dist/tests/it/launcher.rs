//! The launcher's promises, on its example: status, logs, signals, restarts, and no rank left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Rank;

/// Cargo builds the example beside the tests.
fn launcher() -> Command {
    let test = std::env::current_exe().expect("this program");
    let folder = test.ancestors().nth(2).expect("target/profile");
    Command::new(folder.join("examples/launch"))
}

fn launch(options: &[&str], script: &str) -> Output {
    launcher().args(options).args(["--", "sh", "-c", script]).output().expect("started")
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

fn is_there(pid: &str) -> bool {
    // A process that ended and that nobody has asked for yet is gone, too.
    std::fs::read_to_string(PathBuf::from("/proc").join(pid).join("stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

fn vanishes(pid: &str) {
    let start = Instant::now();
    while is_there(pid) {
        assert!(start.elapsed() < Duration::from_secs(20), "process {pid} is left behind");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ranks_know_where_they_stand_and_lines_say_who_wrote_them() {
    let script = "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR; echo oops >&2; exit $((RANK * 5))";
    let output = launch(&["--ranks", "2"], script);
    assert_eq!(status(&output), Some(5), "the status of the rank that failed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("[rank 0] 0/2 0/2 127.0.0.1\n") && out.contains("[rank 1] 1/2 1/2 127.0.0.1\n"), "{out}");
    assert!(err.contains("[rank 0] oops\n") && err.contains("[rank 1] oops\n"), "{err}");
    assert_eq!(status(&launch(&["--ranks", "3"], "exit 0")), Some(0));
}

#[test]
fn a_failure_ends_the_others_also_those_that_do_not_listen() {
    let start = Instant::now();
    let script = "[ $RANK = 1 ] && sleep 0.5 && exit 3; trap '' TERM; while :; do sleep 0.1; done";
    let output = launch(&["--ranks", "3", "--grace-seconds", "1"], script);
    assert_eq!(status(&output), Some(3));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_run_is_restarted_as_often_as_allowed() {
    let script = "[ $TORCHELASTIC_RESTART_COUNT = 2 ] || exit 3";
    assert_eq!(status(&launch(&["--ranks", "2", "--max-restarts", "2"], script)), Some(0));
    assert_eq!(status(&launch(&["--ranks", "2", "--max-restarts", "1"], script)), Some(3));
}

#[test]
fn a_run_goes_on_with_the_survivors_when_allowed() {
    let script = "[ $WORLD_SIZE = 2 ] && exit 0; [ $RANK = 2 ] && sleep 0.3 && exit 4; sleep 60";
    let options = ["--ranks", "3", "--max-restarts", "1", "--min-ranks", "2", "--grace-seconds", "1"];
    let output = launch(&options, script);
    assert_eq!(status(&output), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 ranks, restarted 1 times"));
}

/// A launcher whose ranks say their process ids.
fn running(script: &str) -> (Rank, Vec<String>) {
    let mut command = launcher();
    command.args(["--ranks", "2", "--grace-seconds", "2", "--", "sh", "-c", script]);
    let mut launcher = Rank::of(&mut command);
    let ids = (0..2).map(|_| launcher.says()).collect();
    (launcher, ids)
}

const WAITS: &str = "echo says $$; while :; do sleep 0.1; done";

#[test]
fn signals_reach_the_ranks() {
    for (signal, code) in [("-TERM", 7), ("-INT", 8)] {
        let script = "trap 'exit 7' TERM; trap 'exit 8' INT; echo says $$; while :; do sleep 0.1; done";
        let (mut launcher, ids) = running(script);
        launcher.signal(signal);
        assert_eq!(launcher.child.wait().expect("ended").code(), Some(code));
        ids.iter().for_each(|id| vanishes(id));
    }
}

#[test]
fn a_launcher_that_is_killed_leaves_no_rank() {
    let (mut launcher, ids) = running(WAITS);
    assert!(ids.iter().all(|id| is_there(id)));
    launcher.child.kill().expect("killed");
    launcher.child.wait().expect("ended");
    ids.iter().for_each(|id| vanishes(id));
}

#[test]
fn a_keeper_that_is_killed_leaves_no_rank() {
    let (mut launcher, ids) = running(WAITS);
    let stat = std::fs::read_to_string(Path::new("/proc").join(&ids[0]).join("stat")).expect("it runs");
    let keeper = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).expect("a parent");
    assert!(Command::new("kill").args(["-9", keeper]).status().expect("kill is there").success());
    assert_eq!(launcher.child.wait().expect("ended").code(), Some(137), "128 and the signal");
    ids.iter().for_each(|id| vanishes(id));
}

#[test]
fn bad_arguments_are_named() {
    for (options, said) in [
        (&["--ranks", "x"][..], "--ranks = x: give a whole number"),
        (&["--ranks", "2", "--min-ranks", "3"], "min_ranks = 3: choose 1 to 2"),
        (&["--nproc", "2"], "argument = --nproc: write --ranks N"),
    ] {
        let output = launcher().args(options).args(["--", "true"]).stdin(Stdio::null()).output().expect("started");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && err.contains(said), "{err}");
    }
}
