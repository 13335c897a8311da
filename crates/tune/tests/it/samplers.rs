use tapeloom_tune::{
    Auto, CmaEs, Direction, Error, Gp, Nsga2, Result, Sampler, Sobol, Space, Study, contract, hypervolume,
};

use crate::support::{loss, space};

#[test]
fn every_sampler_keeps_the_contract() -> Result<()> {
    contract::sampler(&|| Box::new(Sobol), &space()?, 2)?;
    contract::sampler(&|| Box::new(Gp::default()), &space()?, 1)?;
    contract::sampler(&|| Box::new(Gp::default()), &space()?, 2)?;
    contract::sampler(&|| Box::new(CmaEs::default()), &space()?, 1)?;
    contract::sampler(&|| Box::new(Nsga2::new(10)), &space()?, 2)?;
    contract::sampler(&|| Box::new(Auto::default()), &space()?, 1)?;
    contract::sampler(
        &|| Box::new(Auto::default()),
        &Space::builder().float("x", 0.0..=1.0).int("n", 1..=9).build()?,
        2,
    )
}

#[test]
fn a_sobol_sequence_fills_space_more_evenly_than_chance() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).int("n", 0..=7).build()?;
    let study = Study::builder(space).seed(3).sampler(Sobol).build()?;
    study.optimize(256, |trial| trial.params().float("x"))?;
    let mut cells = [[0_u32; 8]; 8];
    for trial in study.trials()? {
        cells[(trial.params.float("x")? * 8.0) as usize][trial.params.int("n")? as usize] += 1;
    }
    assert!(cells.iter().flatten().all(|count| *count == 4), "{cells:?}");
    Ok(())
}

fn line(name: &str) -> std::ops::RangeInclusive<f64> {
    if name == "x0" { -4.0..=6.0 } else { -5.0..=5.0 }
}

fn ellipsoid(sampler: impl Sampler + 'static, trials: u64) -> Result<f64> {
    let study = Study::define_by_run().seed(1).sampler(sampler).build()?;
    study.optimize(trials, |trial| {
        let mut sum = 0.0;
        for (i, name) in ["x0", "x1", "x2", "x3"].iter().enumerate() {
            sum += 10_f64.powi(i as i32) * (trial.suggest_float(name, line(name))? - 1.0).powi(2);
        }
        Ok::<_, Error>(sum)
    })?;
    Ok(study.best().and_then(|best| best.value()).unwrap_or(f64::INFINITY))
}

#[test]
fn a_gaussian_process_needs_few_trials_and_an_evolution_strategy_gets_close() -> Result<()> {
    let gp = ellipsoid(Gp::default(), 60)?;
    assert!(gp < 0.1, "{gp}");
    let cmaes = ellipsoid(CmaEs::default(), 1_000)?;
    assert!(cmaes < 1e-8, "{cmaes:e}");
    Ok(())
}

#[test]
fn whole_numbers_do_not_trap_an_evolution_strategy() -> Result<()> {
    let mut builder = Space::builder();
    for name in ["a", "b", "c", "d"] {
        builder = builder.int(name, -10..=20);
    }
    let space = builder.build()?;
    for seed in 0..5 {
        let study = Study::builder(space.clone()).seed(seed).sampler(CmaEs::default()).build()?;
        study.optimize(600, |trial| {
            let parts = ["a", "b", "c", "d"].map(|name| trial.params().int(name).map(|x| (x - 7).pow(2)));
            parts.into_iter().sum::<Result<i64>>().map(|sum| sum as f64)
        })?;
        assert_eq!(study.best().and_then(|best| best.value()), Some(0.0), "seed {seed}");
    }
    Ok(())
}

#[test]
fn a_population_moves_towards_the_front() -> Result<()> {
    let volume = |sampler: Box<dyn Fn() -> tapeloom_tune::StudyBuilder>| {
        let study = sampler().directions([Direction::Minimize; 2]).seed(2).build()?;
        study.optimize(600, |trial| {
            let mut x = [0.0; 6];
            for (i, x) in x.iter_mut().enumerate() {
                *x = trial.suggest_float(&format!("x{i}"), 0.0..=1.0)?;
            }
            let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / 5.0;
            Ok::<_, Error>([x[0], g * (1.0 - (x[0] / g).sqrt())])
        })?;
        let front: Vec<Vec<f64>> = study.front().iter().filter_map(|t| t.values().map(<[f64]>::to_vec)).collect();
        Ok::<_, Error>(hypervolume(&front, &[1.1, 11.0]))
    };
    let nsga = volume(Box::new(|| Study::define_by_run().sampler(Nsga2::default())))?;
    let random = volume(Box::new(|| Study::define_by_run().sampler(tapeloom_tune::Random)))?;
    assert!(nsga > random + 0.5, "{nsga} against {random}");
    Ok(())
}

#[test]
fn slow_samplers_replay_to_the_bit_with_several_workers() -> Result<()> {
    let space = Space::builder().float("x", -1.0..=1.0).float("y", -1.0..=1.0).build()?;
    let study = Study::builder(space).seed(5).sampler(Auto::default()).build()?;
    study.optimize_parallel(50, 3, |trial| {
        let (x, y) = (trial.params().float("x")?, trial.params().float("y")?);
        Ok::<_, Error>((x - 0.3).powi(2) + (y + 0.2).powi(2))
    })?;
    let trials = study.trials()?;
    assert!(trials.iter().any(|trial| trial.by.starts_with("auto: gp, from ")));
    for trial in &trials {
        assert_eq!(study.replay(trial.number)?.as_ref(), Some(&trial.params), "trial {}: {}", trial.number, trial.by);
    }
    Ok(())
}

#[test]
fn auto_says_what_it_picked_and_why() -> Result<()> {
    let study = Study::builder(space()?).seed(1).sampler(Auto::default()).build()?;
    study.optimize(12, |trial| loss(trial.params()))?;
    let text = study.explain(11)?.to_string();
    assert!(
        text.contains("Chosen by auto: tpe, from 2 good of 11 trials, as some parameters are conditional"),
        "{text}"
    );
    Ok(())
}

#[test]
fn the_volume_is_that_of_boxes_counted_one_by_one() {
    // Points on a grid of 6, so that the volume is a number of unit cells.
    let mut state = 12_345_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for dimensions in [2, 3, 4] {
        for _ in 0..30 {
            let points: Vec<Vec<f64>> =
                (0..1 + next(8)).map(|_| (0..dimensions).map(|_| next(7) as f64).collect()).collect();
            let cells = 6_usize.pow(dimensions as u32);
            let inside = |cell: usize| {
                let corner: Vec<f64> = (0..dimensions).map(|j| (cell / 6_usize.pow(j as u32) % 6) as f64).collect();
                points.iter().any(|point| point.iter().zip(&corner).all(|(p, c)| p <= c))
            };
            let counted = (0..cells).filter(|cell| inside(*cell)).count() as f64;
            let volume = hypervolume(&points, &vec![6.0; dimensions]);
            assert!((volume - counted).abs() < 1e-9, "{volume} instead of {counted} for {points:?}");
        }
    }
}
