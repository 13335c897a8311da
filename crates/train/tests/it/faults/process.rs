use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeloom_core::{
    BlobStore, Claim, Clock, Event, Fingerprint, FsStore, Observer, Outcome, Philox, Result as CoreResult, StopFlag,
    SystemClock, Timestamp,
};
use tapeloom_model::burn::tensor::Device;
use tapeloom_model::{LstmAttentionConfig, ModelConfig};
use tapeloom_seal::{Key, SealedStore};
use tapeloom_train::{
    AverageKind, AveragingConfig, CheckpointConfig, OptimizerConfig, Result, ScheduleConfig, Shape, TrainConfig,
    Trainer,
};

use crate::support::{config, network, panel, weights};

/// A file of this name makes its folder one to be a victim in; what is in it makes writing slow, in milliseconds.
const MARK: &str = "VICTIM";
const LOSSES: &str = "losses.log";
const WEIGHTS: &str = "weights.sha256";
/// Kill points of the suite at least.
const KILLS: usize = 50;

/// Four passes a step, a set each third step, an average of the weights, a schedule with a memory of its own.
fn victim_config() -> TrainConfig {
    TrainConfig {
        model: ModelConfig::LstmAttention(LstmAttentionConfig {
            hidden_size: 32,
            num_layers: 2,
            dropout: 0.2,
            attention_heads: 2,
        }),
        batch_size: 8,
        max_epochs: 10,
        val_check_interval: 0.5,
        optimizer: OptimizerConfig { accumulate_grad_batches: 4, ..config().optimizer },
        schedule: ScheduleConfig { shape: Shape::Plateau, plateau_patience: 1, ..ScheduleConfig::default() },
        averaging: AveragingConfig { kind: AverageKind::Ema, decay: 0.9, start_epoch: 2 },
        checkpoint: CheckpointConfig { every_n_steps: 3, save_top_k: 2, encrypt: true, ..config().checkpoint },
        ..config()
    }
}

/// Writes each step's loss to a file at once, so that what a killed run did is known.
#[derive(Debug)]
struct LossFile(PathBuf);

impl Observer for LossFile {
    fn observe(&self, _: Timestamp, event: &Event) {
        if let Event::StepFinished { global_step, loss, .. } = event {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.0).expect("the folder is ours");
            file.write_all(format!("{global_step} {:016x}\n", loss.to_bits()).as_bytes()).expect("a few bytes");
        }
    }
}

/// A store that takes its time.
#[derive(Debug)]
struct Slow<S>(S, Duration);

impl<S: BlobStore> BlobStore for Slow<S> {
    fn put(&self, name: &str, bytes: &[u8]) -> CoreResult<()> {
        std::thread::sleep(self.1);
        self.0.put(name, bytes)
    }
    fn get(&self, name: &str) -> CoreResult<Vec<u8>> {
        self.0.get(name)
    }
    fn list(&self, prefix: &str) -> CoreResult<Vec<String>> {
        self.0.list(prefix)
    }
    fn delete(&self, name: &str) -> CoreResult<()> {
        self.0.delete(name)
    }
    fn claim(&self) -> CoreResult<Claim> {
        self.0.claim()
    }
    fn is_sealed(&self) -> bool {
        self.0.is_sealed()
    }
}

/// The same command for the first start and for each further one.
fn train(folder: &Path, slow: Duration, stop: StopFlag) -> Result<Outcome> {
    let key = Key::from_bytes([0x5a; 32]);
    let store = SealedStore::new(FsStore::open(folder.join("run"))?, key);
    let (train, valid, config) = (panel(1, 3, 60, 0.8), panel(2, 3, 40, 0.8), victim_config());
    let first = network(&config, &train);
    let fitted = Trainer::builder(config, Device::flex())
        .store(Arc::new(Slow(store, slow)))
        .observer(Arc::new(LossFile(folder.join(LOSSES))))
        .stop(stop)
        .resume(true)
        .build()?
        .fit(first, &train, &valid)?;
    if fitted.outcome == Outcome::Finished {
        let bytes: Vec<u8> =
            [&fitted.network, &fitted.averaged].into_iter().flat_map(weights).flat_map(f32::to_le_bytes).collect();
        let summary = format!("{} {:?}", Fingerprint::of(&bytes), fitted.history);
        fs::write(folder.join(WEIGHTS), summary).expect("the folder is ours");
    }
    Ok(fitted.outcome)
}

/// Not a test: the program that the tests below start and kill.
#[test]
#[ignore = "the tests of this module start it, in a folder of its own"]
fn victim() {
    let folder = std::env::current_dir().expect("a folder");
    let slow = fs::read_to_string(folder.join(MARK)).expect("only the tests of this module start it");
    let slow = Duration::from_millis(slow.trim().parse().expect("milliseconds"));
    let stop = StopFlag::on_signals().expect("handlers");
    match train(&folder, slow, stop) {
        Ok(Outcome::Stopped) => fs::write(folder.join("stopped"), "run it again to go on").expect("the folder is ours"),
        Ok(outcome) => assert_eq!(outcome, Outcome::Finished),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
            fs::write(folder.join("error"), format!("{error}{source}")).expect("the folder is ours");
            panic!("{error}");
        }
    }
}

struct Stage(tempfile::TempDir);

impl Stage {
    fn new(slow: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join(MARK), slow.to_string()).expect("the folder is ours");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, through: Option<&str>) -> Command {
        let program = std::env::current_exe().expect("this test");
        let arguments = ["--exact", "faults::process::victim", "--ignored", "--test-threads=1"];
        let mut command = match through {
            None => Command::new(program),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(program);
                shell
            }
        };
        command.args(arguments).current_dir(self.0.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start(&self) -> Child {
        self.command(None).spawn().expect("the victim starts")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until the run has logged more than `bytes`, or ended.
    fn wait_for_log(&self, child: &mut Child, bytes: u64) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if fs::metadata(self.path(LOSSES)).map_or(0, |file| file.len()) > bytes {
                return None;
            }
            if let Some(status) = child.try_wait().expect("a child") {
                return Some(status);
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the victim does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success());
}

/// Losses by step of a run that nobody disturbed, and what it left.
fn straight() -> (BTreeMap<u64, String>, String) {
    let stage = Stage::new(0);
    let outcome = train(stage.0.path(), Duration::ZERO, StopFlag::default()).expect("a plain run");
    assert_eq!(outcome, Outcome::Finished);
    (losses(&stage, None), stage.text(WEIGHTS))
}

/// Losses by step from the log; each must be that of the straight run, however often the step was taken.
fn losses(stage: &Stage, straight: Option<&BTreeMap<u64, String>>) -> BTreeMap<u64, String> {
    let mut seen = BTreeMap::new();
    let log = stage.text(LOSSES);
    // A line is one write, so it is there or not.
    for line in log.lines() {
        let (step, loss) = line.split_once(' ').expect("a step and its loss");
        let step: u64 = step.parse().expect("a number");
        if let Some(straight) = straight {
            assert_eq!(Some(loss), straight.get(&step).map(String::as_str), "loss of step {step}");
        }
        seen.insert(step, loss.to_owned());
    }
    seen
}

fn assert_same(stage: &Stage, straight: &(BTreeMap<u64, String>, String)) {
    assert_eq!(losses(stage, Some(&straight.0)), straight.0);
    assert_eq!(stage.text(WEIGHTS), straight.1);
}

#[expect(clippy::print_stdout, reason = "the seed is needed to look into a failure")]
#[test]
fn a_run_killed_at_random_moments_equals_the_run_that_was_not() {
    let straight = straight();
    // Another seed in each run of the suite.
    let seed = SystemClock.now().micros() as u64;
    println!("seed {seed}");
    let (mut kills, mut draws) = (Vec::new(), [0.0_f32; 1]);
    while kills.len() < KILLS {
        let stage = Stage::new(0);
        loop {
            let mut child = stage.start();
            let before = fs::metadata(stage.path(LOSSES)).map_or(0, |file| file.len());
            // Enough is enough: this one may run to its end.
            let spared = kills.len() >= KILLS;
            if let Some(status) = stage.wait_for_log(&mut child, if spared { u64::MAX } else { before }) {
                assert!(status.success(), "{}", stage.text("error"));
                break;
            }
            Philox::new(seed).uniform(kills.len() as u64, 0, &mut draws);
            std::thread::sleep(Duration::from_micros((draws[0] * 60_000.0) as u64));
            // SIGKILL; an error says that the run has ended by itself.
            let killed = child.kill().is_ok() && !child.wait().expect("a child").success();
            if !killed {
                break;
            }
            kills.push(losses(&stage, Some(&straight.0)).len());
        }
        assert_same(&stage, &straight);
    }
    println!("{} kills, after steps {kills:?}", kills.len());
}

#[test]
fn a_terminated_run_leaves_a_set_and_goes_on_where_it_was() {
    let straight = straight();
    // Writing takes longer than a step, so that the signal comes while a set is being written.
    let stage = Stage::new(15);
    let mut stops = 0;
    while stage.text(WEIGHTS).is_empty() {
        let mut child = stage.start();
        let before = fs::metadata(stage.path(LOSSES)).map_or(0, |file| file.len());
        if stage.wait_for_log(&mut child, before + 90).is_none() {
            signal(&child, "-TERM");
        }
        let status = child.wait().expect("a child");
        assert!(status.success(), "{status}: {}", stage.text("error"));
        if stage.text(WEIGHTS).is_empty() {
            assert_eq!(stage.text("stopped"), "run it again to go on");
            stops += 1;
        }
    }
    assert!(stops >= 3, "{stops}");
    assert_same(&stage, &straight);
    // No step was taken twice: the set was of the moment at which the run stopped.
    assert_eq!(stage.text(LOSSES).lines().count(), straight.0.len());
}

#[test]
fn a_second_process_on_the_folder_is_refused() {
    let stage = Stage::new(20);
    let mut first = stage.start();
    assert!(stage.wait_for_log(&mut first, 0).is_none(), "{}", stage.text("error"));
    let second = stage.start().wait().expect("a child");
    assert!(!second.success());
    let error = stage.text("error");
    assert!(error.contains("is in use by another process: wait until it ends"), "{error}");
    assert!(first.try_wait().expect("a child").is_none(), "the first one goes on");
    first.kill().expect("it runs");
    first.wait().expect("a child");
    // The lock went with its holder.
    fs::write(stage.path(MARK), "0").expect("the folder is ours");
    assert!(stage.start().wait().expect("a child").success(), "{}", stage.text("error"));
}

/// The operating system itself refuses to write more: a limit on the size of files stands in for a full disk.
#[test]
fn a_disk_that_takes_no_more_ends_the_run_and_loses_nothing() {
    let straight = straight();
    let stage = Stage::new(0);
    let status = stage.command(Some("trap '' XFSZ; ulimit -f 16")).status().expect("sh is there");
    assert!(!status.success());
    let error = stage.text("error");
    assert!(error.contains("could not write") && error.contains("File too large"), "{error}");
    let temporary =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().any(|e| e.path().ends_with(".tmp"));
    assert!(!temporary(&stage.path("run/checkpoints")));
    let status = stage.command(None).status().expect("the victim starts");
    assert!(status.success(), "{}", stage.text("error"));
    assert_same(&stage, &straight);
}

/// What is on the disk at any moment is ciphertext: no tensor name, no metric, no number of the config is readable.
#[test]
fn nothing_of_a_set_is_ever_in_clear_on_the_disk() {
    let stage = Stage::new(0);
    train(stage.0.path(), Duration::ZERO, StopFlag::default()).expect("a plain run");
    let (mut files, mut folders) = (0, vec![stage.path("run")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let mut bytes = Vec::new();
            fs::File::open(&entry).and_then(|mut file| file.read_to_end(&mut bytes)).expect("a file");
            for word in ["learning_rate", "val_loss", "LstmAttention", "weights.burnpack"] {
                assert!(
                    !bytes.windows(word.len()).any(|part| part == word.as_bytes()),
                    "{word} in {}",
                    entry.display()
                );
            }
            files += usize::from(!bytes.is_empty());
        }
    }
    assert!(files >= 8, "{files}");
}
