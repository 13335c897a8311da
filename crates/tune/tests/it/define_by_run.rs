use tapeloom_tune::{Domain, Error, ParamValue, Result, Study, Tpe, Trial};

/// A space that shows only as it runs, and that widens.
fn objective(trial: &Trial) -> Result<f64> {
    let cell = trial.suggest_category("cell", &["lstm", "transformer"])?;
    let rate = trial.suggest_log_float("rate", 1e-5..=1e-1)?;
    let loss = (rate.log10() + 3.0).powi(2);
    if cell == "transformer" {
        let heads = trial.suggest_int("heads", 1..=8)?;
        return Ok(loss + (heads as f64 - 4.0).abs() * 0.1);
    }
    Ok(loss + 0.5 + trial.suggest_float("bias", 0.0..=1.0)?)
}

#[test]
fn trials_may_name_their_parameters_as_they_run() -> Result<()> {
    let study = Study::define_by_run().seed(4).build()?;
    study.optimize(80, objective)?;
    let trials = study.trials()?;
    for trial in &trials {
        let heads = trial.params.value("heads").is_some();
        assert_eq!(heads, trial.params.category("cell")? == "transformer");
        assert_ne!(heads, trial.params.value("bias").is_some());
    }
    let best = study.best().and_then(|best| best.value()).expect("complete");
    assert!(best < 0.1, "{best}");
    assert!(trials[79].by.starts_with("tpe, from 8 good of 79"), "{}", trials[79].by);
    Ok(())
}

#[test]
fn any_trial_can_be_drawn_again_from_what_was_known() -> Result<()> {
    let study = Study::define_by_run().seed(4).build()?;
    study.optimize_parallel(60, 3, objective)?;
    for trial in study.trials()? {
        assert_eq!(study.replay(trial.number)?, Some(trial.params.clone()), "trial {}", trial.number);
    }
    Ok(())
}

#[test]
fn a_choice_can_be_added_to_a_study_that_runs() -> Result<()> {
    let study = Study::define_by_run().seed(1).sampler(Tpe::default()).build()?;
    let run = |choices: &[&str], trials| {
        study.optimize(trials, |trial| {
            let choice = trial.suggest_category("optimizer", choices)?;
            Ok::<_, Error>(if choice == "muon" { 0.0 } else { 1.0 })
        })
    };
    run(&["adam", "sgd"], 30)?;
    run(&["adam", "sgd", "muon"], 60)?;
    let trials = study.trials()?;
    let muon = trials.iter().filter(|trial| matches!(trial.params.category("optimizer"), Ok("muon"))).count();
    assert!(muon > 20, "the new choice is found, and liked: {muon}");
    Ok(())
}

#[test]
fn a_parameter_is_the_same_however_often_it_is_named() -> Result<()> {
    let study = Study::define_by_run().build()?;
    let trial = study.ask()?;
    let first = trial.suggest_float("x", 0.0..=1.0)?;
    assert_eq!(trial.clone().suggest_float("x", 0.0..=1.0)?, first);
    let text = trial.suggest_float("x", 2.0..=3.0).expect_err("another range").to_string();
    assert_eq!(text, "x = 2.0..=3.0: give the range that this trial gave before");
    let text = trial.suggest("y", &Domain::Int { low: 3, high: 1, step: 1 }).expect_err("empty").to_string();
    assert!(text.starts_with("y = 3..=1: "), "{text}");
    Ok(())
}

#[test]
fn what_was_named_is_kept_with_the_next_step() -> Result<()> {
    let study = Study::define_by_run().build()?;
    let trial = study.ask()?;
    let x = trial.suggest_float("x", 0.0..=1.0)?;
    let _ = trial.report(1, 0.5)?;
    let y = trial.suggest_int("y", 1..=5)?;
    study.tell(&trial, 0.5)?;
    let params = study.trials()?.swap_remove(0).params;
    assert_eq!(params.value("x"), Some(&ParamValue::Float(x)));
    assert_eq!(params.value("y"), Some(&ParamValue::Int(y)));
    Ok(())
}
