use tapeloom_tune::{
    Direction, Entry, Header, History, Mode, ParamValue, Params, Request, Result, Sampler, Space, Study, Tpe,
    TpeConfig, TrialStatus, contract, hypervolume,
};

use crate::support::space;

#[test]
fn tpe_keeps_the_sampler_contract() -> Result<()> {
    for mode in [Mode::Group, Mode::Multivariate, Mode::Univariate] {
        let fresh =
            || -> Box<dyn Sampler> { Box::new(Tpe::new(TpeConfig { mode: Some(mode), ..TpeConfig::default() })) };
        contract::sampler(&fresh, &space()?, 1)?;
        contract::sampler(&fresh, &space()?, 2)?;
        contract::sampler(&fresh, &space()?, 3)?;
    }
    Ok(())
}

#[test]
fn tpe_finds_what_random_search_does_not() -> Result<()> {
    let space = Space::builder().float("a", -5.0..=5.0).float("b", -5.0..=5.0).float("c", -5.0..=5.0).build()?;
    let best = |random: bool, seed| {
        let builder = Study::builder(space.clone()).seed(seed);
        let study = if random { builder.sampler(tapeloom_tune::Random) } else { builder }.build()?;
        study.optimize(120, |trial| {
            let sum = ["a", "b", "c"].iter().map(|name| trial.params().float(name).map(|x| (x - 1.5).powi(2)));
            sum.sum::<Result<f64>>()
        })?;
        Ok::<_, tapeloom_tune::Error>(study.best().and_then(|best| best.value()).unwrap_or(f64::INFINITY))
    };
    for seed in 0..5 {
        let (tpe, random) = (best(false, seed)?, best(true, seed)?);
        assert!(tpe < 0.15 && tpe < random, "seed {seed}: {tpe} against {random}");
    }
    Ok(())
}

/// One trial of a declared space, told at once.
fn told(history: &mut History, params: Params, status: Option<TrialStatus>) -> Result<u64> {
    let (trial, at) = (history.trials().len() as u64, Default::default());
    history.apply("a test", &Entry::Added { params: Some(params), seen: Some(1), by: "test".into(), at })?;
    history.apply("a test", &Entry::Claimed { trial, worker: 1, at })?;
    if let Some(status) = status {
        history.apply("a test", &Entry::Finished { trial, attempt: 1, status, at })?;
    }
    Ok(trial)
}

fn complete(value: f64) -> Option<TrialStatus> {
    Some(TrialStatus::Complete { values: vec![value] })
}

#[test]
fn trials_that_run_push_others_away() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let x = |value: f64| Params::new().with("x", ParamValue::Float(value));
    let mut history = History::new(Header::new(vec![Direction::Minimize], 3, Some(space)));
    for i in 0..40 {
        let value = f64::from(i) / 40.0;
        told(&mut history, x(value), complete((value - 0.3).abs()))?;
    }
    let mean_distance = |history: &History, liar: bool| {
        let tpe = Tpe::new(TpeConfig { constant_liar: liar, ..TpeConfig::default() });
        let draws = (100..300).map(|trial| {
            let proposal = tpe.propose(&Request::new(history, trial))?;
            proposal.map_or(Ok(0.0), |proposal| Ok((proposal.params.float("x")? - 0.3).abs()))
        });
        Ok::<_, tapeloom_tune::Error>(draws.sum::<Result<f64>>()? / 200.0)
    };
    let before = mean_distance(&history, true)?;
    for _ in 0..30 {
        told(&mut history, x(0.3), None)?;
    }
    let (with, without) = (mean_distance(&history, true)?, mean_distance(&history, false)?);
    assert!((without - before).abs() < 1e-12, "who does not look does not care");
    assert!(with > 1.5 * before, "{with} after, {before} before");
    Ok(())
}

#[test]
fn a_constraint_is_learned() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).float("y", 0.0..=1.0).build()?;
    let study = Study::builder(space).seed(2).build()?;
    study.optimize(100, |trial| {
        let (x, y) = (trial.params().float("x")?, trial.params().float("y")?);
        trial.constrain("memory", x + y - 0.5)?;
        Ok::<_, tapeloom_tune::Error>(2.0 - x - y)
    })?;
    let best = study.best().expect("a feasible one");
    assert!(best.violation() == Some(0.0) && best.value().is_some_and(|value| value < 1.56), "{best:?}");
    let late = study.trials()?.split_off(50);
    let feasible = late.iter().filter(|trial| trial.violation() == Some(0.0)).count();
    assert!(feasible >= 15, "{feasible} of 50, where chance gives 6");
    Ok(())
}

#[test]
fn several_objectives_approach_their_front() -> Result<()> {
    let names = ["a", "b", "c", "d", "e"];
    let mut builder = Space::builder();
    for name in names {
        builder = builder.float(name, 0.0..=1.0);
    }
    let space = builder.build()?;
    let volume = |random: bool| {
        let builder = Study::builder(space.clone()).directions([Direction::Minimize; 2]).seed(1);
        let study = if random { builder.sampler(tapeloom_tune::Random) } else { builder }.build()?;
        study.optimize(150, |trial| {
            // ZDT1 of Zitzler, Deb and Thiele, 2000.
            let x = names.map(|name| trial.params().float(name).unwrap_or_default());
            let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / 4.0;
            Ok::<_, tapeloom_tune::Error>([x[0], g * (1.0 - (x[0] / g).sqrt())])
        })?;
        let front: Vec<Vec<f64>> = study.front().iter().filter_map(|t| t.values().map(<[f64]>::to_vec)).collect();
        Ok::<_, tapeloom_tune::Error>(hypervolume(&front, &[1.1, 11.0]))
    };
    let (tpe, random) = (volume(false)?, volume(true)?);
    assert!(tpe > random + 0.5, "{tpe} against {random}");
    Ok(())
}

#[test]
fn every_value_of_a_range_can_be_proposed() -> Result<()> {
    let space = Space::builder().int("n", 0..=4).categorical("c", ["a", "b", "c"]).log_int("h", 1..=6).build()?;
    let study = Study::builder(space).seed(8).build()?;
    study.optimize(400, |trial| Ok::<_, tapeloom_tune::Error>(trial.params().int("n")? as f64))?;
    let trials = study.trials()?;
    for name in ["n", "c", "h"] {
        let count = trials[10..].iter().map(|t| t.params.value(name).map(ToString::to_string));
        let distinct: std::collections::BTreeSet<_> = count.collect();
        assert_eq!(
            distinct.len(),
            if name == "n" {
                5
            } else if name == "c" {
                3
            } else {
                6
            },
            "{name}"
        );
    }
    Ok(())
}
