//! Workers that are killed at any moment, in all storages.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeloom_tune::{Error, Journal, Result, Space, Storage, Study, Trial, TrialStatus};

fn line() -> Result<Space> {
    Space::builder().float("x", -1.0..=1.0).int("n", 1..=1_000).build()
}

/// Which storage a child shall open, as "kind:place".
const PLACE: &str = "TAPELOOM_TUNE_TEST_STORAGE";

fn open(place: &str) -> Result<Box<dyn Storage>> {
    let (kind, place) = place.split_once(':').expect("kind:place");
    Ok(match kind {
        "journal" => Box::new(Journal::builder(place).sync(false).open()?),
        #[cfg(feature = "sqlite")]
        "sqlite" => Box::new(tapeloom_tune::Sqlite::open(place, "crash")?),
        #[cfg(feature = "postgres")]
        "postgres" => {
            let (config, study) = place.split_once('#').expect("config#study");
            Box::new(tapeloom_tune::Postgres::builder(config, study).lease(Duration::from_secs(2)).open()?)
        }
        other => panic!("no storage {other}"),
    })
}

#[derive(Debug)]
struct Boxed(Box<dyn Storage>);

impl Storage for Boxed {
    fn name(&self) -> String {
        self.0.name()
    }
    fn read(&self, after: u64) -> Result<Vec<Arc<tapeloom_tune::Entry>>> {
        self.0.read(after)
    }
    fn transact(&self, after: u64, decide: &mut tapeloom_tune::Decide<'_>) -> Result<Vec<Arc<tapeloom_tune::Entry>>> {
        self.0.transact(after, decide)
    }
    fn join(&self) -> Result<u64> {
        self.0.join()
    }
    fn beat(&self, worker: u64) -> Result<()> {
        self.0.beat(worker)
    }
    fn beat_every(&self) -> Option<Duration> {
        self.0.beat_every()
    }
    fn leave(&self, worker: u64) -> Result<()> {
        self.0.leave(worker)
    }
    fn gone(&self, workers: &[u64]) -> Result<Vec<u64>> {
        self.0.gone(workers)
    }
}

fn study(place: &str) -> Result<Study> {
    Study::builder(line()?).seed(3).max_attempts(1_000).storage(Boxed(open(place)?)).build()
}

/// Reports a few steps and pauses in between, so that a kill finds it in all places.
fn objective(trial: &Trial) -> Result<f64> {
    let x = trial.params().float("x")?;
    for step in 1..=3 {
        std::thread::sleep(Duration::from_millis(1));
        if trial.report(step, x)?.ends() {
            break;
        }
    }
    Ok(x)
}

#[test]
#[ignore = "run by the tests that kill it"]
fn child_that_works() -> Result<()> {
    let place = setting(PLACE);
    study(&place)?.optimize(u64::MAX, objective)?;
    Ok(())
}

#[test]
#[ignore = "run by the test of a full disk"]
fn child_that_fills_the_disk() -> Result<()> {
    let path = setting("TAPELOOM_TUNE_TEST_JOURNAL");
    let space = Space::builder().float("x", -1.0..=1.0).build()?;
    let study = Study::builder(space).storage(Journal::builder(path).sync(false).open()?).build()?;
    let error = study.optimize(10_000, |trial| trial.params().float("x")).expect_err("the disk is full");
    assert!(matches!(error, Error::Storage { .. }), "{error}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how a test tells its own child where to work")]
fn setting(name: &str) -> String {
    std::env::var(name).expect("run by another test")
}

fn spawn(place: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(["--exact", "crash::child_that_works", "--ignored", "--test-threads", "1"])
        .env(PLACE, place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

/// Kills workers again and again, and counts what they left.
pub(crate) fn survives_kills(place: &str, kills: u64) -> Result<()> {
    // The header, before anybody is killed.
    drop(study(place)?);
    let mut children: Vec<Child> = (0..3).map(|_| spawn(place)).collect();
    for kill in 0..kills {
        // Not at the same place of a trial each time.
        std::thread::sleep(Duration::from_millis(60 + kill * 37 % 90));
        let child = &mut children[(kill % 3) as usize];
        child.kill().expect("killed");
        child.wait().expect("gone");
        children[(kill % 3) as usize] = spawn(place);
    }
    for mut child in children {
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    let study = study(place)?;
    let (patience, start) = (Duration::from_secs(20), Instant::now());
    while study.summary()?.running > 0 && start.elapsed() < patience {
        study.reclaim()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let waiting = study.summary()?.waiting;
    study.optimize(waiting + 5, objective)?;
    let trials = study.trials()?;
    let summary = study.summary()?;
    assert!(summary.trials >= 5 + kills / 2, "work was done between the kills: {summary:?}");
    assert_eq!((summary.running, summary.waiting, summary.failed), (0, 0, 0), "every trial came to its end");
    for (number, trial) in trials.iter().enumerate() {
        assert_eq!(trial.number, number as u64);
        assert!(matches!(trial.status, TrialStatus::Complete { .. }));
        assert_eq!(trial.value(), Some(trial.params.float("x")?), "of its own parameters");
        assert_eq!(trial.reports.len(), 3, "the steps of the attempt that came to the end, once each");
    }
    let taken_over = trials.iter().filter(|trial| trial.attempts > 1).count();
    assert!(taken_over > 0, "some trial had lost its worker");
    let mut points: Vec<String> = trials.iter().map(|trial| format!("{:?}", trial.params)).collect();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), trials.len(), "no two workers tried the same");
    Ok(())
}

#[test]
fn a_journal_survives_workers_that_are_killed() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    survives_kills(&format!("journal:{}", folder.path().join("a.study").display()), 15)
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_survives_workers_that_are_killed() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    survives_kills(&format!("sqlite:{}", folder.path().join("a.db").display()), 15)
}
