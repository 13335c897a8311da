use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tapeloom_core::{Event, ManualClock, Recorder, StopFlag, Timestamp};
use tapeloom_tune::{
    Advice, Direction, Ending, Error, Params, Proposal, Random, Request, Result, Sampler, Space, Study, Summary, Trial,
    TrialOutcome, TrialStatus,
};

fn line() -> Result<Space> {
    Space::builder().float("x", -1.0..=1.0).build()
}

fn x(trial: &Trial) -> Result<f64> {
    trial.params().float("x")
}

#[test]
fn a_failed_trial_is_recorded_and_the_study_goes_on() -> Result<()> {
    let study = Study::builder(line()?).build()?;
    let ending = study.optimize(6, |trial| match trial.number() {
        0 => Err("out of memory".to_owned()),
        1 => Ok(f64::NAN),
        2 => Ok(f64::NEG_INFINITY),
        3 => panic!("5 heads do not divide {}", 256),
        _ => Ok(x(trial).map_err(|e| e.to_string())?.abs()),
    })?;
    assert_eq!(ending, Ending::Finished);
    let failed = |reason: &str| TrialStatus::Failed { reason: reason.into() };
    let status: Vec<_> = study.trials()?.into_iter().map(|trial| trial.status).collect();
    assert_eq!(status[0], failed("out of memory"));
    assert_eq!(status[1], failed("an objective is not a number"));
    assert_eq!(status[2], failed("an objective is infinitely good: [-inf]"));
    assert_eq!(status[3], failed("panicked: 5 heads do not divide 256"));
    let best = study.best().expect("two are complete");
    assert!(best.number >= 4, "a failure is never the best");
    let summary = study.summary()?;
    assert_eq!((summary.trials, summary.complete, summary.failed, summary.running), (6, 2, 4, 0));
    Ok(())
}

#[test]
fn best_follows_the_direction_and_prefers_the_earlier_of_equals() -> Result<()> {
    let values = [2.0, 1.0, 3.0, 1.0, 3.0];
    let best = |direction| {
        let study = Study::builder(line()?).direction(direction).build()?;
        assert!(study.best().is_none(), "nothing is best of nothing");
        for value in values {
            let trial = study.ask()?;
            study.tell(&trial, value)?;
        }
        Ok::<_, Error>(study.best().map(|best| best.number))
    };
    assert_eq!(best(Direction::Minimize)?, Some(1));
    assert_eq!(best(Direction::Maximize)?, Some(2));
    Ok(())
}

#[test]
fn a_result_is_taken_once_and_only_for_a_running_trial() -> Result<()> {
    let study = Study::builder(line()?).build()?;
    let (first, second) = (study.ask()?, study.ask()?);
    assert_eq!((first.number(), second.number()), (0, 1));
    assert_ne!(first.seed(), second.seed());
    study.tell(&second, 0.5)?;
    let text = study.tell(&second, TrialOutcome::Failed("late".into())).expect_err("told before").to_string();
    assert_eq!(text, "trial 1 is complete, not running");
    assert_eq!(study.trials()?[1].value(), Some(0.5), "the late result changed nothing");
    assert!(matches!(study.attach(2, 1), Err(Error::NotRunning { trial: 2, .. })));
    study.tell(&study.attach(0, 1)?, 0.25)?;
    assert!(matches!(second.report(1, 0.0), Err(Error::NotRunning { trial: 1, .. })));
    assert_eq!(study.summary()?.running, 0);
    Ok(())
}

#[test]
fn reports_are_kept_by_step() -> Result<()> {
    let study = Study::builder(line()?).build()?;
    let trial = study.ask()?;
    for (step, value) in [(2, 0.5), (1, f64::NAN), (10, f64::INFINITY)] {
        assert_eq!(trial.report(step, value)?, Advice::Continue);
    }
    let text = trial.report(2, 0.4).expect_err("step 2 was reported").to_string();
    assert_eq!(text, "step = 2: trial 0 has reported it; report each step once");
    let reports = &study.trials()?.swap_remove(0).reports;
    assert_eq!(reports.keys().copied().collect::<Vec<_>>(), [1, 2, 10]);
    assert!(reports[&1][0].is_nan() && reports[&2] == [0.5] && reports[&10] == [f64::INFINITY]);
    Ok(())
}

#[test]
fn a_stop_flag_ends_the_study_at_the_next_trial() -> Result<()> {
    let stop = StopFlag::default();
    let study = Study::builder(line()?).stop(stop.clone()).build()?;
    let ending = study.optimize(100, |trial| {
        if trial.number() == 4 {
            stop.stop();
        }
        x(trial)
    })?;
    assert_eq!((ending, study.summary()?.complete), (Ending::Stopped, 5));
    assert_eq!(study.optimize_parallel(100, 3, x)?, Ending::Stopped);
    assert_eq!(study.summary()?.trials, 5);
    Ok(())
}

#[test]
fn a_timeout_starts_no_further_trial() -> Result<()> {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("2018-12-31")?));
    let study = Study::builder(line()?).clock(clock.clone()).timeout(Duration::from_secs(10)).build()?;
    let slow = |trial: &Trial| {
        clock.advance(5_000_000);
        x(trial)
    };
    assert_eq!(study.optimize(100, slow)?, Ending::TimedOut);
    assert_eq!(study.summary()?.complete, 2, "trials that start at 0 and 5 seconds, not at 10");
    assert_eq!(study.trials()?[1].seconds(), Some(5.0));
    assert_eq!(study.optimize(2, slow)?, Ending::Finished, "each call has its own time");
    Ok(())
}

#[test]
fn an_observer_hears_of_every_trial() -> Result<()> {
    let (recorder, clock) = (Arc::new(Recorder::default()), Arc::new(ManualClock::default()));
    let study = Study::builder(line()?).observer(recorder.clone()).clock(clock.clone()).build()?;
    study.optimize(2, |trial| {
        clock.advance(1_500_000);
        if trial.number() == 0 { Ok(0.25) } else { Err("no luck") }
    })?;
    let events: Vec<_> = recorder.events().into_iter().map(|(at, event)| (at.micros(), event)).collect();
    let finished = |trial, value| Event::TrialFinished { trial, value, seconds: 1.5 };
    assert_eq!(events, [(1_500_000, finished(0, Some(0.25))), (3_000_000, finished(1, None))]);
    Ok(())
}

#[test]
fn workers_run_the_planned_number_of_trials() -> Result<()> {
    let study = Study::builder(line()?).build()?;
    let calls = AtomicU64::new(0);
    let ending = study.optimize_parallel(50, 4, |trial| {
        calls.fetch_add(1, Ordering::SeqCst);
        if trial.number() % 10 == 3 {
            panic!("one in ten");
        }
        x(trial)
    })?;
    let summary = study.summary()?;
    assert_eq!((ending, calls.load(Ordering::SeqCst)), (Ending::Finished, 50));
    assert_eq!((summary.complete, summary.failed, summary.running), (45, 5, 0));
    assert!(matches!(study.optimize_parallel(1, 0, x), Err(Error::Invalid { .. })));
    assert_eq!(study.optimize_parallel(0, 4, x)?, Ending::Finished);
    assert_eq!(study.summary()?.trials, 50);
    Ok(())
}

/// Proposes nothing usable, once, for trial 9.
#[derive(Debug, Default)]
struct Broken(AtomicBool);

impl Sampler for Broken {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        if request.trial == 9 && !self.0.swap(true, Ordering::SeqCst) {
            return Ok(Some(Proposal::new(Params::default(), "broken")));
        }
        Random.propose(request)
    }

    fn identity(&self) -> String {
        "broken".into()
    }
}

#[test]
fn a_sampler_that_breaks_the_space_ends_the_call_for_all_workers() -> Result<()> {
    for workers in [1, 4] {
        let study = Study::builder(line()?).sampler(Broken::default()).build()?;
        let text = study.optimize_parallel(100_000, workers, x).expect_err("x is missing").to_string();
        assert_eq!(text, "x = nothing: it is active in this trial and needs a value");
        let summary = study.summary()?;
        assert!((9..90_000).contains(&summary.complete), "the others stop too: {summary:?}");
        assert_eq!(summary.running, 0, "trials that had begun were ended");
    }
    Ok(())
}

#[test]
fn a_summary_survives_json() -> Result<()> {
    let study = Study::builder(line()?).sampler(Random).seed(3).direction(Direction::Maximize).build()?;
    study.optimize(3, x)?;
    let text = serde_json::to_string(&study.summary()?).expect("written");
    assert_eq!(serde_json::from_str::<Summary>(&text).expect("read"), study.summary()?);
    assert!(
        text.contains(
            r#""directions":["maximize"],"seed":3,"sampler":"random","pruner":"none","trials":3,"complete":3"#
        ),
        "{text}"
    );
    Ok(())
}
