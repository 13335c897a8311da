//! Ranks that are processes: this test binary, told to run one ignored test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tapeloom_dist::World;

/// A process that says what it does, a line at a time.
pub(crate) struct Rank {
    pub(crate) child: Child,
    out: BufReader<ChildStdout>,
}

impl Rank {
    /// Starts `test` with `variables`.
    pub(crate) fn start(test: &str, variables: &[(String, String)]) -> Self {
        Self::of(command(test).envs(variables.iter().cloned()))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, out }
    }

    /// The next thing it says, without the words before it.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.out.read_line(&mut line).expect("text"), 0, "it ended without a word");
            // A launcher puts the rank in front.
            if let Some((_, word)) = line.trim_end().split_once("says ") {
                return word.to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(kill.expect("kill is there").success());
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program, running one of its ignored tests.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads", "1"]);
    command
}

/// What a launcher tells a rank.
pub(crate) fn variables(world: &World) -> Vec<(String, String)> {
    [
        ("RANK", world.rank.to_string()),
        ("WORLD_SIZE", world.world_size.to_string()),
        ("LOCAL_RANK", world.local_rank.to_string()),
        ("LOCAL_WORLD_SIZE", world.local_world_size.to_string()),
        ("MASTER_ADDR", world.master_addr.clone()),
        ("MASTER_PORT", world.master_port.to_string()),
        ("TORCHELASTIC_RUN_ID", world.run_id.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// The ranks of a run of its own on this host, as far from other tests as ports go; the run's name keeps them apart for sure.
pub(crate) fn worlds(run: &str, world_size: usize) -> Vec<World> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = NEXT.fetch_add(16, Ordering::Relaxed) + (std::process::id() % 37) as u16 * 256;
    let world = |rank| World {
        master_port: 18_000 + offset,
        run_id: format!("{run}-{}", std::process::id()),
        ..World::on_one_host(rank, world_size)
    };
    (0..world_size).map(world).collect()
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn say(what: impl std::fmt::Display) {
    println!("\nsays {what}");
}
