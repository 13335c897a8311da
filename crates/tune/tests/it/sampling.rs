use tapeloom_tune::{Domain, Draws, ParamValue, Params, Random, Result, Space, Study, contract};

use crate::support::{objective, params_of, propose, space};

const DRAWS: u64 = 20_000;

/// How often each of `bins` was hit, against how often it should be: the chi-square statistic of Pearson.
fn chi_square(domain: &Domain, shares: &[f64], bin: impl Fn(&ParamValue) -> usize) -> f64 {
    let mut hits = vec![0.0; shares.len()];
    (0..DRAWS).for_each(|trial| hits[bin(&domain.sample(&mut Draws::new(11, trial, "x")))] += 1.0);
    let terms = hits.iter().zip(shares).map(|(hit, share)| {
        let want = share * DRAWS as f64;
        (hit - want) * (hit - want) / want
    });
    terms.sum()
}

fn assert_fair(domain: &Domain, shares: &[f64], bin: impl Fn(&ParamValue) -> usize) {
    let statistic = chi_square(domain, shares, bin);
    let freedom = shares.len() as f64 - 1.0;
    // The 99.9 % point by Wilson and Hilferty's cube root; 3.09 is the normal one.
    let limit = freedom * (1.0 - 2.0 / (9.0 * freedom) + 3.09 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    assert!(statistic < limit, "{domain}: chi-square {statistic:.1} of {freedom} degrees, limit {limit:.1}");
}

fn float(value: &ParamValue) -> f64 {
    if let ParamValue::Float(x) = value { *x } else { panic!("{value} is no float") }
}

fn int(value: &ParamValue) -> i64 {
    if let ParamValue::Int(x) = value { *x } else { panic!("{value} is no int") }
}

#[test]
fn every_kind_of_range_is_drawn_without_bias() {
    let even = |n: usize| vec![1.0 / n as f64; n];
    assert_fair(&Domain::Float { low: -3.0, high: 5.0 }, &even(40), |v| ((float(v) + 3.0) / 8.0 * 40.0) as usize);
    assert_fair(&Domain::LogFloat { low: 1e-5, high: 1e-1 }, &even(40), |v| ((float(v).log10() + 5.0) * 10.0) as usize);
    assert_fair(&Domain::Int { low: -4, high: 8, step: 1 }, &even(13), |v| (int(v) + 4) as usize);
    assert_fair(&Domain::Int { low: 10, high: 120, step: 10 }, &even(12), |v| (int(v) / 10 - 1) as usize);
    let stepped = Domain::SteppedFloat { low: 0.5, high: 0.9, step: 0.1 };
    assert_fair(&stepped, &even(5), |v| ((float(v) - 0.5) * 10.0).round() as usize);
    let choices = ["a", "b", "c"].map(String::from).to_vec();
    assert_fair(&Domain::Categorical { choices }, &even(3), |v| (v.to_string().as_bytes()[0] - b'a') as usize);
    let shares: Vec<f64> = (1..=20).map(|k| ((k as f64 + 0.5) / (k as f64 - 0.5)).ln() / 41_f64.ln()).collect();
    assert_fair(&Domain::LogInt { low: 1, high: 20 }, &shares, |v| (int(v) - 1) as usize);
}

#[test]
fn the_fairness_test_sees_a_bias() {
    let domain = Domain::Int { low: 0, high: 9, step: 1 };
    // The 99.9 % point of nine degrees of freedom.
    let limit = 27.88;
    let fair = chi_square(&domain, &[0.1; 10], |value| int(value) as usize);
    assert!(fair < limit, "{fair}");
    // A rounding that gives the ends half of their share.
    let rounded = |trial| (Draws::new(11, trial, "x").unit() * 9.0).round() as usize;
    let mut hits = [0.0_f64; 10];
    (0..DRAWS).for_each(|trial| hits[rounded(trial)] += 1.0);
    let want = DRAWS as f64 / 10.0;
    assert!(hits.iter().map(|hit| (hit - want).powi(2) / want).sum::<f64>() > limit);
}

#[test]
fn parameters_and_neighbouring_trials_are_not_correlated() {
    let column = |name, lag| (0..DRAWS).map(|t| Draws::new(5, t + lag, name).unit()).collect::<Vec<_>>();
    let correlation = |a: &[f64], b: &[f64]| {
        // Both are uniform on [0, 1): mean 1/2, variance 1/12.
        a.iter().zip(b).map(|(a, b)| (a - 0.5) * (b - 0.5)).sum::<f64>() * 12.0 / DRAWS as f64
    };
    let (x, y, next) = (column("x", 0), column("y", 0), column("x", 1));
    // Four standard errors of the correlation of independent numbers.
    let limit = 4.0 / (DRAWS as f64).sqrt();
    assert!(correlation(&x, &y).abs() < limit);
    assert!(correlation(&x, &next).abs() < limit);
    assert!((correlation(&x, &x) - 1.0).abs() < 0.05, "the measure works");
}

#[test]
fn each_parameter_of_a_trial_has_a_draw_of_its_own() -> Result<()> {
    let space = Space::builder().float("a", 0.0..=1.0).float("b", 0.0..=1.0).build()?;
    for trial in 0..100 {
        let params = propose(&Random, &space, 1, trial)?.unwrap_or_default();
        assert_ne!(params.float("a")?, params.float("b")?);
    }
    Ok(())
}

#[test]
fn random_keeps_the_sampler_contract() -> Result<()> {
    contract::sampler(&|| Box::new(Random), &space()?, 2)
}

#[test]
fn the_order_of_declaration_does_not_change_the_draws() -> Result<()> {
    let one = Space::builder().float("a", 0.0..=1.0).int("b", 0..=99).log_float("c", 1e-3..=1.0).build()?;
    let other = Space::builder().log_float("c", 1e-3..=1.0).float("a", 0.0..=1.0).int("b", 0..=99).build()?;
    for trial in 0..100 {
        assert_eq!(propose(&Random, &one, 3, trial)?, propose(&Random, &other, 3, trial)?);
    }
    Ok(())
}

#[test]
fn a_parameter_more_does_not_change_the_others() -> Result<()> {
    let small = Space::builder().float("a", 0.0..=1.0).build()?;
    let large = Space::builder().int("b", 0..=99).float("a", 0.0..=1.0).build()?;
    for trial in 0..100 {
        let a = |space| propose(&Random, space, 3, trial)?.unwrap_or_default().float("a");
        assert_eq!(a(&small)?, a(&large)?);
    }
    Ok(())
}

#[test]
fn any_number_of_workers_tries_the_same_parameters() -> Result<()> {
    let run = |workers| {
        let study = Study::builder(space()?).sampler(Random).seed(42).build()?;
        study.optimize_parallel(60, workers, objective)?;
        let best = study.best().map(|best| (best.number, best.value()));
        Ok::<_, tapeloom_tune::Error>((params_of(&study)?, best))
    };
    let alone = run(1)?;
    assert_eq!(alone.0.len(), 60);
    for workers in [2, 3, 8] {
        assert_eq!(run(workers)?, alone, "{workers} workers");
    }
    let sequential = Study::builder(space()?).sampler(Random).seed(42).build()?;
    sequential.optimize(60, objective)?;
    assert_eq!(params_of(&sequential)?, alone.0);
    Ok(())
}

#[test]
fn another_seed_tries_other_parameters() -> Result<()> {
    let space = space()?;
    let run = |seed| (0..20).map(|t| propose(&Random, &space, seed, t)).collect::<Result<Vec<_>>>();
    let (one, two) = (run(1)?, run(2)?);
    assert!(one.iter().zip(&two).all(|(a, b)| a != b));
    let float = |params: &Option<Params>| params.as_ref().map(|p| p.float("dropout").unwrap_or_default());
    assert!(one.windows(2).all(|pair| float(&pair[0]) != float(&pair[1])), "and so does another trial");
    Ok(())
}
