use tapeloom_tune::{Error, Percentile, Result, Study, Trial};

use crate::support::{loss, space};

/// A curve that the parameters bend, so that the pruner has something to say.
fn objective(trial: &Trial) -> Result<tapeloom_tune::TrialOutcome> {
    let end = loss(trial.params())?;
    for step in 1..=5 {
        let advice = trial.report(step, end * (1.0 + 1.0 / step as f64))?;
        if advice.ends() {
            return Ok(advice.into());
        }
    }
    Ok(end.into())
}

#[test]
fn an_ordered_study_is_the_same_for_any_number_of_workers() -> Result<()> {
    let run = |workers: usize| {
        let study = Study::builder(space()?).seed(9).pruner(Percentile::median(2)).ordered(4).build()?;
        study.optimize_parallel(60, workers, objective)?;
        let trials = study.trials()?.into_iter().map(|trial| (trial.params, trial.status, trial.reports));
        Ok::<_, Error>(trials.collect::<Vec<_>>())
    };
    let alone = run(1)?;
    assert!(alone.iter().any(|trial| trial.1.name() == "pruned") && alone.len() == 60);
    for workers in [2, 4, 7] {
        assert_eq!(run(workers)?, alone, "{workers} workers");
    }
    Ok(())
}

#[test]
fn a_batch_waits_for_the_last() -> Result<()> {
    let study = Study::builder(space()?).ordered(2).build()?;
    let (one, two) = (study.ask()?, study.ask()?);
    assert!(matches!(study.ask(), Err(Error::BatchRuns { running: 2 })));
    study.tell(&one, 1.0)?;
    assert!(matches!(study.ask(), Err(Error::BatchRuns { running: 1 })));
    study.tell(&two, 2.0)?;
    assert_eq!(study.ask()?.number(), 2);
    Ok(())
}

#[test]
fn any_trial_of_several_workers_can_be_drawn_again() -> Result<()> {
    let study = Study::builder(space()?).seed(2).pruner(Percentile::median(2)).build()?;
    study.optimize_parallel(60, 4, objective)?;
    for trial in study.trials()? {
        assert_eq!(study.replay(trial.number)?, Some(trial.params.clone()), "trial {}", trial.number);
    }
    Ok(())
}
