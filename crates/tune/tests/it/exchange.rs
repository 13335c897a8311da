use tapeloom_tune::{
    Direction, Error, Memory, Percentile, Result, Storage, Study, TrialOutcome, fanova, ped_anova, read_optuna_journal,
    study_html, trials_csv, write_optuna_journal,
};

use crate::support::{loss, space};

/// What Optuna 5.0.0 wrote for five trials, of which one was pruned, one failed and two are not done.
const JOURNAL: &str = include_str!("../fixtures/optuna-5.0.journal.log");

fn imported(text: &str) -> Result<Study> {
    let study = read_optuna_journal(text)?.swap_remove(0);
    let memory = Memory::default();
    memory.transact(0, &mut |_| Ok(study.entries.clone()))?;
    Study::define_by_run().storage(memory).build()
}

#[test]
fn a_study_of_optuna_goes_on_here() -> Result<()> {
    let study = imported(JOURNAL)?;
    let trials = study.trials()?;
    let names: Vec<&str> = trials.iter().map(|trial| trial.status.name()).collect();
    assert_eq!(names, ["complete", "pruned", "failed", "running", "complete"]);
    assert_eq!(trials[0].value(), Some(5.027_544_490_982_422_5));
    assert_eq!(trials[0].params.float("x")?, 0.027_544_490_982_422_246);
    assert_eq!((trials[1].params.category("c")?, trials[1].params.int("m")?), ("b", 22));
    assert_eq!(trials[0].notes["k"], "v");
    assert_eq!(trials[1].last_report(), Some((1, [0.011_799_263_692_523_26].as_slice())));
    assert_eq!(trials[4].value(), Some(0.5));
    // Nobody runs trial 3 here: the next worker takes it over.
    assert_eq!(study.ask()?.number(), 3);
    Ok(())
}

#[test]
fn what_goes_out_to_optuna_comes_back_the_same() -> Result<()> {
    let study = Study::builder(space()?).seed(3).pruner(Percentile::median(1)).build()?;
    study.optimize(30, |trial| {
        let end = loss(trial.params())?;
        let advice = trial.report(1, if trial.number() == 5 { f64::NAN } else { end })?;
        trial.note("run", format!("run {}", trial.number()))?;
        Ok::<_, Error>(if advice.ends() { TrialOutcome::from(advice) } else { end.into() })
    })?;
    let (history, back) = (study.history()?, imported(&write_optuna_journal("cells", &study.history()?))?.history()?);
    assert_eq!(back.trials().len(), 30);
    for (one, other) in history.trials().iter().zip(back.trials()) {
        assert_eq!((&one.params, &one.notes, one.value()), (&other.params, &other.notes, other.value()));
        assert_eq!(one.status.name(), other.status.name());
        assert_eq!(format!("{:?}", one.reports), format!("{:?}", other.reports), "NaN too");
        assert_eq!(one.started, other.started);
    }
    Ok(())
}

#[test]
fn a_line_that_is_not_understood_is_named() {
    let broken = JOURNAL.replacen("\"op_code\":7", "\"op_code\":77", 1);
    let text = read_optuna_journal(&broken).expect_err("no such operation").to_string();
    assert_eq!(text, "the Optuna journal is no usable study: line 8: operation 77 is not known");
}

/// Only `a` and a little of `b` matter.
fn weighed() -> Result<Study> {
    let study = Study::define_by_run().seed(1).sampler(tapeloom_tune::Random).build()?;
    study.optimize(200, |trial| {
        let (a, b) = (trial.suggest_float("a", 0.0..=1.0)?, trial.suggest_float("b", 0.0..=1.0)?);
        let _ = trial.suggest_category("c", &["x", "y"])?;
        let value = 10.0 * (a - 0.3).powi(2) + b;
        let _ = trial.report(1, value * 2.0)?;
        let _ = trial.report(2, value)?;
        Ok::<_, Error>(value)
    })?;
    Ok(study)
}

#[test]
fn what_matters_is_told_from_what_does_not() -> Result<()> {
    let history = weighed()?.history()?;
    for all in [fanova(&history), ped_anova(&history)] {
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names[0], "a", "{all:?}");
        assert_eq!(names[2], "c", "{all:?}");
        assert!((all.iter().map(|one| one.share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(all[2].share < 0.1 && all.iter().all(|one| one.deviation < 0.3), "{all:?}");
    }
    // By integration: the variances of 10 (a - 0.3)^2 and of b on the unit square are 1.889 and 1/12.
    let share = fanova(&history)[0].share;
    assert!((share - 0.958).abs() < 0.05, "{share}");
    Ok(())
}

#[test]
fn a_report_stands_alone_and_holds_every_chart() -> Result<()> {
    let page = study_html("Cells <1>", &weighed()?.history()?);
    for part in
        ["Cells &lt;1&gt;", "best so far", "Intermediate values", "Parallel", "fANOVA", "PED-ANOVA", "By a", "Timeline"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http") && !page.contains("<script"), "it needs nothing else");
    assert!(!page.contains("NaN"));
    let study = Study::define_by_run().directions([Direction::Minimize; 2]).build()?;
    study.optimize(20, |trial| {
        let x = trial.suggest_float("x", 0.0..=1.0)?;
        Ok::<_, Error>([x, 1.0 - x])
    })?;
    let page = study_html("Two", &study.history()?);
    assert!(page.contains("Hypervolume") && page.contains("class=\"front\""));
    assert!(study_html("None", &Study::define_by_run().build()?.history()?).contains("0 trials"));
    Ok(())
}

#[test]
fn a_table_has_a_row_for_each_trial_and_quotes_what_it_must() -> Result<()> {
    let study = Study::define_by_run().build()?;
    study.optimize(2, |trial| {
        let x = trial.suggest_float("x", 0.0..=1.0)?;
        trial.note("say", "a \"b\", c")?;
        if trial.number() == 1 { Err(Error::invalid("x", x, "no, thanks")) } else { Ok(x) }
    })?;
    let text = trials_csv(&study.history()?);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], "number,state,value_0,param_x,note_say,attempts,started,seconds,by,reason");
    assert!(lines[1].starts_with("0,complete,") && lines[1].contains(",\"a \"\"b\"\", c\",1,"), "{}", lines[1]);
    assert!(lines[2].starts_with("1,failed,,") && lines[2].ends_with("no, thanks\""), "{}", lines[2]);
    Ok(())
}
