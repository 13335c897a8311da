use std::sync::Arc;

use proptest::prelude::*;
use tapeloom_core::{BlobStore, FsStore, ManualClock, MemoryStore};
use tapeloom_tune::{
    Direction, Error, Grid, ParamValue, Result, Space, Study, StudyBuilder, TrialOutcome, TrialRecord, TrialStatus,
};

use crate::support::{loss, objective, space};

const NAME: &str = "studies/lstm.json";

fn builder() -> Result<StudyBuilder> {
    // A clock that stands still, so that whole records can be compared.
    Ok(Study::builder(space()?).seed(9).clock(Arc::new(ManualClock::default())))
}

fn saved(study: &Study) -> Result<MemoryStore> {
    let store = MemoryStore::default();
    study.save(&store, NAME)?;
    Ok(store)
}

/// Saves, changes the text, and says how resuming fails.
fn refusal(from: &str, to: &str) -> Result<Error> {
    let study = builder()?.build()?;
    study.optimize(2, objective)?;
    let store = saved(&study)?;
    let text = String::from_utf8(store.get(NAME)?).expect("JSON is text");
    assert!(text.contains(from), "{text}");
    store.put(NAME, text.replacen(from, to, 1).as_bytes())?;
    Ok(builder()?.resume(&store, NAME).expect_err("a changed snapshot is refused"))
}

#[test]
fn a_resumed_study_equals_a_straight_one() -> Result<()> {
    let straight = builder()?.build()?;
    straight.optimize(30, objective)?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FsStore::open(folder.path())?;
    let first = builder()?.build()?;
    first.optimize(13, objective)?;
    first.save(&store, NAME)?;
    drop(first);
    let second = builder()?.resume(&store, NAME)?;
    assert_eq!(second.trials(), straight.trials()[..13], "what was done is known to the bit");
    second.optimize(17, objective)?;
    assert_eq!(second.trials(), straight.trials());
    assert_eq!(second.best(), straight.best());
    Ok(())
}

#[test]
fn a_trial_that_lost_its_process_is_given_out_again() -> Result<()> {
    let straight = builder()?.build()?;
    straight.optimize(6, objective)?;
    let first = builder()?.build()?;
    let (a, b, c) = (first.ask()?, first.ask()?, first.ask()?);
    a.report(1, 0.5)?;
    first.tell(b.number(), TrialOutcome::Complete(loss(b.params())?))?;
    let store = saved(&first)?;
    let second = builder()?.resume(&store, NAME)?;
    second.tell(c.number(), TrialOutcome::Failed("its host told us".into()))?;
    let again = second.ask()?;
    assert_eq!((again.number(), again.params()), (a.number(), a.params()));
    assert_eq!(again.seed(), a.seed());
    assert!(second.trials()[0].reports.is_empty(), "reports start anew");
    assert_eq!(second.trials()[0].attempts, 2);
    let value = objective(&again)?;
    second.tell(again.number(), TrialOutcome::Complete(value))?;
    assert_eq!(second.ask()?.number(), 3, "then the numbers go on");
    assert_eq!(second.trials()[3].params, straight.trials()[3].params);
    assert_eq!(second.trials()[0].value(), straight.trials()[0].value());
    Ok(())
}

#[test]
fn a_trial_that_ends_its_process_three_times_has_failed() -> Result<()> {
    let mut study = builder()?.build()?;
    for attempt in 1..=3 {
        assert_eq!(study.ask()?.number(), 0);
        assert_eq!(study.trials()[0].attempts, attempt);
        study = builder()?.resume(&saved(&study)?, NAME)?;
    }
    let reason = "the process ended 3 times while this trial ran".into();
    assert_eq!(study.trials()[0].status, TrialStatus::Failed { reason });
    assert_eq!(study.ask()?.number(), 1);
    Ok(())
}

#[test]
fn a_study_that_differs_is_refused_by_what_differs() -> Result<()> {
    let study = builder()?.build()?;
    study.optimize(2, objective)?;
    let store = saved(&study)?;
    let other = Space::builder().int("layers", 1..=4).build()?;
    let cases = [
        (builder()?.seed(10).resume(&store, NAME), "seed = 10: studies/lstm.json was made with 9"),
        (builder()?.direction(Direction::Maximize).resume(&store, NAME), "direction = Maximize: studies/lstm.json"),
        (Study::builder(other.clone()).seed(9).resume(&store, NAME), "space = 1 parameters: studies/lstm.json"),
        (builder()?.sampler(Grid::over(&other).build()?).resume(&store, NAME), "sampler = grid of 4 cells"),
    ];
    for (resumed, want) in cases {
        let text = resumed.expect_err("it differs").to_string();
        assert!(text.starts_with(want), "{text:?} should start with {want:?}");
    }
    assert!(matches!(builder()?.resume(&store, "none"), Err(Error::Core(tapeloom_core::Error::NotFound { .. }))));
    Ok(())
}

#[test]
fn another_version_is_told_from_damage() -> Result<()> {
    let newer = refusal(r#""version": 1"#, r#""version": 2, "shards": []"#)?;
    assert!(matches!(newer, Error::UnknownVersion { version: 2, supported: 1, .. }), "{newer}");
    let damages = [
        refusal("tapeloom-study", "other-study")?,
        refusal(r#""seed""#, r#""sead""#)?,
        refusal(r#""number": 1"#, r#""number": 7"#)?,
        refusal(r#""state": "complete""#, r#""state": "lost""#)?,
        refusal(r#""attempts": 1"#, r#""attempts": 1, "unknown": 0"#)?,
        refusal(r#""finished": "1970-01-01T00:00:00.000000Z""#, r#""finished": null"#)?,
        refusal(r#""params": {"#, r#""params": {"stranger": {"int": 1},"#)?,
        refusal("\n}", "")?,
    ];
    for damage in damages {
        assert!(matches!(&damage, Error::Damaged { name, .. } if name == NAME), "{damage:?}");
    }
    Ok(())
}

#[test]
fn the_format_is_what_it_was() -> Result<()> {
    let clock = Arc::new(ManualClock::default());
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let study = Study::builder(space).clock(clock.clone()).build()?;
    let trial = study.ask()?;
    trial.report(1, f64::NAN)?;
    clock.advance(1_000_000);
    study.tell(0, TrialOutcome::Complete(0.1))?;
    let text = String::from_utf8(saved(&study)?.get(NAME)?).expect("JSON is text");
    let x = format!("{:?}", trial.params().float("x")?);
    let want = serde_json::json!({
        "format": "tapeloom-study", "version": 1, "direction": "minimize", "seed": 0, "sampler": "random",
        "space": [{"name": "x", "domain": {"float": {"low": "0.0", "high": "1.0"}}}],
        "trials": [{
            "number": 0, "params": {"x": {"float": x}}, "status": {"state": "complete", "value": "0.1"},
            "reports": {"1": "NaN"}, "attempts": 1,
            "started": "1970-01-01T00:00:00.000000Z", "finished": "1970-01-01T00:00:01.000000Z",
        }],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), want);
    Ok(())
}

#[test]
fn workers_that_save_never_replace_newer_by_older() -> Result<()> {
    let (store, study) = (MemoryStore::default(), builder()?.build()?);
    study.optimize_parallel(100, 4, |trial| {
        study.save(&store, NAME)?;
        objective(trial)
    })?;
    // The last one to be asked for saved after it was asked for, and so after all others were.
    assert_eq!(builder()?.resume(&store, NAME)?.trials().len(), 100);
    Ok(())
}

proptest! {
    #[test]
    fn every_float_comes_back_to_the_bit(bits: u64, report: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let study = builder().and_then(StudyBuilder::build).expect("valid");
        let trial = study.ask().expect("random has no end");
        trial.report(3, f64::from_bits(report)).expect("running");
        study.tell(0, TrialOutcome::Complete(value)).expect("running");
        let text = serde_json::to_string(&study.trials()).expect("written");
        let read: Vec<TrialRecord> = serde_json::from_str(&text).expect("read");
        prop_assert_eq!(read[0].value().map(f64::to_bits), Some(bits));
        let (back, sent) = (read[0].reports[&3], f64::from_bits(report));
        prop_assert!(back.to_bits() == sent.to_bits() || back.is_nan() && sent.is_nan());
        let lr = |trial: &TrialRecord| trial.params.value("learning_rate").cloned();
        prop_assert!(matches!(lr(&read[0]), Some(ParamValue::Float(_))) && lr(&read[0]) == lr(&study.trials()[0]));
    }
}
