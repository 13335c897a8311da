use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;

use proptest::prelude::*;
use tapeloom_core::{Event, Fingerprint, Observer, Outcome, Timestamp};
use tapeloom_track::{Error, Jsonl, read_jsonl};

use crate::support::{at, feed, run};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn what_was_observed_is_what_is_read() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("new/folder/events.jsonl");
    let log = Jsonl::open(&path)?;
    feed(&log, &run("run-1"));
    assert_eq!(read_jsonl(&path)?, run("run-1"));
    assert_eq!((log.lost(), log.path()), (0, path.as_path()));
    Ok(())
}

#[test]
fn dropping_the_log_writes_what_is_left() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.jsonl");
    let log = Jsonl::open(&path)?;
    log.observe(at(0.0), &Event::EpochStarted { epoch: 7 });
    drop(log);
    assert_eq!(read_jsonl(&path)?, [(at(0.0), Event::EpochStarted { epoch: 7 })]);
    Ok(())
}

#[test]
fn a_line_is_valid_json_of_time_and_event() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.jsonl");
    let trial = |value| Event::TrialFinished { trial: 1, value: Some(value), seconds: 0.5 };
    feed(
        &Jsonl::open(&path)?,
        &[(at(0.0), trial(1.25)), (at(1.0), trial(f64::NAN)), (at(2.0), trial(f64::NEG_INFINITY))],
    );
    insta::assert_snapshot!(fs::read_to_string(&path)?, @r#"
    {"time":"2018-12-31T00:00:00.000000Z","event":{"event":"trial_finished","trial":1,"value":1.25,"seconds":0.5}}
    {"time":"2018-12-31T00:00:01.000000Z","event":{"event":"trial_finished","seconds":0.5,"trial":1,"value":"NaN"}}
    {"time":"2018-12-31T00:00:02.000000Z","event":{"event":"trial_finished","seconds":0.5,"trial":1,"value":"-Infinity"}}
    "#);
    Ok(())
}

#[test]
fn a_log_that_starts_with_not_a_number_is_still_a_log() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.jsonl");
    let trial = Event::TrialFinished { trial: 1, value: Some(f64::NAN), seconds: 0.5 };
    for _ in 0..2 {
        feed(&Jsonl::open(&path)?, &[(at(0.0), trial.clone())]);
    }
    assert_eq!(read_jsonl(&path)?.len(), 2);
    Ok(())
}

#[test]
fn a_torn_last_line_is_passed_over_and_cut_off_before_more_is_written() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.jsonl");
    feed(&Jsonl::open(&path)?, &run("run-1"));
    let whole = fs::read(&path)?;
    // A crash may leave any part of the last line, the newline alone missing included.
    let last = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').expect("several lines") + 1;
    for keep in [last + 1, last + 9, last + 40, whole.len() - 1] {
        fs::write(&path, &whole[..keep])?;
        assert_eq!(read_jsonl(&path)?, run("run-1")[..run("run-1").len() - 1]);
        feed(&Jsonl::open(&path)?, &run("run-1")[run("run-1").len() - 1..]);
        assert_eq!(read_jsonl(&path)?, run("run-1"));
    }
    Ok(())
}

#[test]
fn a_damaged_line_is_named() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.jsonl");
    feed(&Jsonl::open(&path)?, &run("run-1")[..3]);
    OpenOptions::new().append(true).open(&path)?.write_all(b"{\"time\":\"yesterday\",\"event\":{}}\n")?;
    match read_jsonl(&path) {
        Err(Error::Damaged { line: 4, .. }) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

#[test]
fn another_file_is_refused_and_left_alone() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notes.txt");
    for text in ["no newline at the end", "{\"time\" : 1}\n", "\n"] {
        fs::write(&path, text)?;
        assert!(matches!(Jsonl::open(&path), Err(Error::Damaged { line: 1, .. })), "{text}");
        assert_eq!(fs::read_to_string(&path)?, text);
    }
    assert!(matches!(read_jsonl(folder.path().join("missing")), Err(Error::Io { .. })));
    Ok(())
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]
}

/// Words that floats are written as may also be names and texts.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), Just("NaN".into()), Just("-Infinity".into()), Just("seconds".into())]
}

fn event() -> impl Strategy<Value = Event> {
    let metrics = proptest::collection::btree_map(text(), float(), 0..4);
    prop_oneof![
        (text(), any::<u64>()).prop_map(|(model, n)| Event::RunStarted {
            run: "run-1".parse().expect("a valid id"),
            config: Fingerprint::of(b""),
            model,
            parameters: n,
            samples: n,
            epochs: n,
            steps_per_epoch: n,
            resumed_epoch: n,
        }),
        any::<u64>().prop_map(|epoch| Event::EpochStarted { epoch }),
        (any::<u64>(), float(), float(), float(), float()).prop_map(|(n, loss, learning_rate, grad_norm, seconds)| {
            Event::StepFinished {
                epoch: n,
                step: n,
                global_step: n,
                loss,
                learning_rate,
                grad_norm,
                samples: n,
                seconds,
            }
        }),
        (any::<u64>(), metrics, float()).prop_map(|(n, metrics, seconds)| Event::ValidationFinished {
            epoch: n,
            global_step: n,
            metrics,
            seconds
        }),
        (float(), proptest::option::of(float()), float(), float(), any::<bool>()).prop_map(
            |(train_loss, valid_loss, learning_rate, seconds, improved)| Event::EpochFinished {
                epoch: 1,
                train_loss,
                valid_loss,
                learning_rate,
                samples: 1,
                seconds,
                improved,
            }
        ),
        (text(), float()).prop_map(|(name, seconds)| Event::CheckpointSaved { name, epoch: 1, bytes: 1, seconds }),
        (text(), text()).prop_map(|(name, reason)| Event::CheckpointFailed { name, reason }),
        (proptest::option::of(float()), float()).prop_map(|(value, seconds)| Event::TrialFinished {
            trial: 1,
            value,
            seconds
        }),
        (text(), text()).prop_map(|(code, message)| Event::Warning { code, message }),
        float().prop_map(|seconds| Event::RunFinished { outcome: Outcome::Stopped, epochs: 1, seconds }),
    ]
}

/// Every float of an event, in order, and the event without them.
fn apart(event: &Event) -> (Vec<f64>, Event) {
    let mut event = event.clone();
    let mut floats = Vec::new();
    let mut take = |value: &mut f64| floats.push(std::mem::take(value));
    match &mut event {
        Event::StepFinished { loss, learning_rate, grad_norm, seconds, .. } => {
            [loss, learning_rate, grad_norm, seconds].into_iter().for_each(&mut take);
        }
        Event::ValidationFinished { metrics, seconds, .. } => {
            metrics.values_mut().chain([seconds]).for_each(&mut take);
        }
        Event::EpochFinished { train_loss, valid_loss, learning_rate, seconds, .. } => {
            valid_loss.iter_mut().chain([train_loss, learning_rate, seconds]).for_each(&mut take);
        }
        Event::TrialFinished { value, seconds, .. } => value.iter_mut().chain([seconds]).for_each(&mut take),
        Event::CheckpointSaved { seconds, .. } | Event::RunFinished { seconds, .. } => take(seconds),
        _ => {}
    }
    (floats, event)
}

/// Equal to 15 significant digits.
fn close(a: f64, b: f64) -> bool {
    a.is_nan() && b.is_nan() || a == b || (a - b).abs() <= 1e-15 * a.abs() || a.is_subnormal() && (a - b).abs() < 1e-322
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_event_comes_back_as_it_was(events in proptest::collection::vec((0_i64..4_000_000_000_000_000, event()), 1..12)) {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("events.jsonl");
        let events: Vec<_> = events.into_iter().map(|(at, event)| (Timestamp::from_micros(at), event)).collect();
        feed(&Jsonl::open(&path).map_err(|e| TestCaseError::fail(e.to_string()))?, &events);
        for line in fs::read_to_string(&path)?.lines() {
            serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
        let read = read_jsonl(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(read.len(), events.len());
        for ((wrote_at, wrote), (read_at, read)) in events.iter().zip(&read) {
            let ((wrote, rest), (read, read_rest)) = (apart(wrote), apart(read));
            prop_assert_eq!((wrote_at, rest), (read_at, read_rest));
            prop_assert!(wrote.len() == read.len() && wrote.iter().zip(&read).all(|(a, b)| close(*a, *b)), "{wrote:?} {read:?}");
        }
    }
}
