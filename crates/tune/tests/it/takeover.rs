use tapeloom_tune::{Advice, Error, Memory, Result, Space, Study, StudyBuilder, TrialOutcome, TrialStatus};

fn line(memory: &Memory) -> Result<StudyBuilder> {
    Ok(Study::builder(Space::builder().float("x", -1.0..=1.0).build()?).storage(memory.clone()))
}

#[test]
fn a_trial_that_lost_its_worker_is_taken_over_under_its_number() -> Result<()> {
    let memory = Memory::default();
    let first = line(&memory)?.build()?;
    let trial = first.ask()?;
    let _ = trial.report(1, 0.5)?;
    let params = trial.params().clone();
    drop((trial, first));
    let second = line(&memory)?.build()?;
    let again = second.ask()?;
    assert_eq!((again.number(), again.attempt(), again.params()), (0, 2, &params));
    assert!(second.trials()?[0].reports.is_empty(), "it starts anew");
    assert_eq!(again.report(1, 0.25)?, Advice::Continue);
    second.tell(&again, 0.125)?;
    assert_eq!(second.trials()?[0].returned, ["worker 1 is gone"]);
    assert_eq!(second.ask()?.number(), 1, "then a new one");
    Ok(())
}

#[test]
fn a_late_result_of_an_earlier_attempt_is_refused() -> Result<()> {
    let memory = Memory::default();
    let (slow, quick) = (line(&memory)?.build()?, line(&memory)?.build()?);
    let late = slow.ask()?;
    // The host gives the trial up and somebody else takes it.
    slow.tell(&slow.attach(0, 1)?, TrialOutcome::Returned("preempted".into()))?;
    let again = quick.ask()?;
    assert_eq!((again.number(), again.attempt()), (0, 2));
    let superseded = |error| matches!(error, Error::Superseded { trial: 0, attempt: 1, current: 2 });
    assert!(superseded(slow.tell(&late, 9.0).expect_err("late")));
    assert!(superseded(late.report(1, 9.0).map(|_| ()).expect_err("late")));
    assert!(superseded(late.note("a", "b").expect_err("late")));
    quick.tell(&again, 1.0)?;
    assert_eq!(slow.trials()?[0].value(), Some(1.0), "the late words changed nothing");
    Ok(())
}

#[test]
fn a_trial_is_taken_up_at_its_checkpoint() -> Result<()> {
    let memory = Memory::default();
    let first = line(&memory)?.build()?;
    let trial = first.ask()?;
    for step in 1..=5 {
        let _ = trial.report(step, 1.0 / step as f64)?;
        if step == 3 {
            trial.save("sets/epoch-3", 3)?;
        }
    }
    drop((trial, first));
    let second = line(&memory)?.build()?;
    let again = second.ask()?;
    let checkpoint = again.checkpoint().expect("it was saved");
    assert_eq!((checkpoint.name.as_str(), checkpoint.step), ("sets/epoch-3", 3));
    assert_eq!(second.trials()?[0].reports.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(again.report(4, 0.2)?, Advice::Continue, "steps after the checkpoint are reported again");
    Ok(())
}

#[test]
fn a_trial_that_loses_all_its_workers_has_failed() -> Result<()> {
    let memory = Memory::default();
    for attempt in 1..=3 {
        let study = line(&memory)?.build()?;
        assert_eq!(study.ask()?.attempt(), attempt);
    }
    let study = line(&memory)?.build()?;
    assert_eq!(study.ask()?.number(), 1);
    let failed = TrialStatus::Failed { reason: "its worker was lost 3 times".into() };
    assert_eq!(study.trials()?[0].status, failed);
    Ok(())
}

#[test]
fn a_failed_objective_is_tried_again_as_often_as_said() -> Result<()> {
    let memory = Memory::default();
    let study = line(&memory)?.retries(2).build()?;
    let mut calls = 0;
    study.optimize(3, |trial| {
        calls += 1;
        assert_eq!(trial.number(), 0);
        if trial.attempt() < 3 { Err("the card fell off the bus") } else { Ok(1.0) }
    })?;
    assert_eq!((calls, study.summary()?.complete), (3, 1));
    assert_eq!(study.trials()?[0].returned.len(), 2);
    study.optimize(3, |_| Err::<f64, _>("always"))?;
    assert_eq!(study.summary()?.failed, 1, "in the end it has failed");
    Ok(())
}

#[test]
fn enqueued_trials_run_first_and_are_checked() -> Result<()> {
    let study = line(&Memory::default())?.build()?;
    let x = |value| tapeloom_tune::Params::new().with("x", tapeloom_tune::ParamValue::Float(value));
    assert!(study.enqueue(x(2.0)).is_err());
    study.enqueue(x(0.5))?;
    study.enqueue(x(0.25))?;
    study.optimize(3, |trial| trial.params().float("x"))?;
    let values: Vec<_> = study.trials()?.iter().map(|trial| trial.value()).collect();
    assert_eq!(values[..2], [Some(0.5), Some(0.25)]);
    assert_eq!(study.replay(0)?, None, "a person chose them");
    let text = study.explain(0)?.to_string();
    assert_eq!(text, "Trial 0 tried x = 0.5.\nChosen by enqueued.\nIt ended with [0.5], place 2 of 3.", "{text}");
    Ok(())
}
