use std::collections::BTreeSet;

use tapeloom_tune::{Domain, Ending, Error, Grid, ParamValue, Params, Result, Space, Study, contract};

use crate::support::{params_of, propose, space};

fn small() -> Result<Space> {
    Space::builder()
        .categorical("cell", ["lstm", "transformer"])
        .int("layers", 1..=3)
        .when("cell", ["transformer"], |space| space.log_float("base", 1e2..=1e4))
        .build()
}

/// Params as text, so that they can be put into a set.
fn texts(all: impl IntoIterator<Item = Params>) -> Vec<String> {
    all.into_iter().map(|params| params.iter().map(|(name, value)| format!("{name}={value} ")).collect()).collect()
}

#[test]
fn a_grid_tries_every_combination_once_and_ends() -> Result<()> {
    let space = small()?;
    let study = Study::builder(space.clone()).sampler(Grid::over(&space).points("base", 3).build()?).build()?;
    assert_eq!(study.optimize(1000, |_| Ok::<_, Error>(1.0))?, Ending::Exhausted);
    let tried = texts(params_of(&study)?);
    // 3 depths of the one cell, and 3 depths times 3 bases of the other.
    assert_eq!(tried.len(), 12);
    let distinct: BTreeSet<_> = tried.iter().cloned().collect();
    assert_eq!(distinct.len(), 12, "{tried:?}");
    for layers in 1..=3 {
        assert!(distinct.contains(&format!("cell=lstm layers={layers} ")), "{distinct:?}");
        let deep = distinct.iter().filter(|t| t.ends_with(&format!("cell=transformer layers={layers} ")));
        assert_eq!(deep.count(), 3, "{distinct:?}");
    }
    assert!(matches!(study.ask(), Err(Error::Exhausted { trials: 12 })));
    Ok(())
}

#[test]
fn no_two_workers_take_the_same_cell() -> Result<()> {
    let space = small()?;
    let grid = Grid::over(&space).points("base", 5).build()?;
    let cells = grid.len();
    let study = Study::builder(space).sampler(grid).build()?;
    assert_eq!(study.optimize_parallel(1000, 8, |_| Ok::<_, Error>(1.0))?, Ending::Exhausted);
    let tried = texts(params_of(&study)?);
    assert_eq!(tried.len(), cells);
    assert_eq!(tried.into_iter().collect::<BTreeSet<_>>().len(), cells);
    Ok(())
}

#[test]
fn the_seed_shuffles_the_order_alone() -> Result<()> {
    let space = small()?;
    let grid = Grid::over(&space).points("base", 3).build()?;
    let order = |seed| {
        let all = (0..12).map(|t| propose(&grid, &space, seed, t)).collect::<Result<Vec<_>>>()?;
        Ok::<_, Error>(texts(all.into_iter().flatten()))
    };
    let (one, two) = (order(1)?, order(2)?);
    assert_ne!(one, two);
    let set = |texts: Vec<String>| texts.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(one), set(two));
    Ok(())
}

#[test]
fn grid_keeps_the_sampler_contract() -> Result<()> {
    let grid = Grid::over(&small()?).points("base", 3).build()?;
    contract::sampler(&|| Box::new(grid.clone()), &small()?, 1)?;
    let space = space()?;
    let grid = Grid::over(&space)
        .points("dropout", 2)
        .points("learning_rate", 3)
        .points("base", 2)
        .points("forget_bias", 2)
        .points("hidden", 4)
        .points("window", 3)
        .build()?;
    // 2 * 3 * 5 * 4 * 3 * 4 times (2 cells with 2 biases, and 1 cell with 2 bases or none).
    assert_eq!(grid.len(), 1440 * (2 * 2 + 2 + 1));
    contract::sampler(&|| Box::new(grid.clone()), &space, 1)
}

#[test]
fn points_reach_from_end_to_end() -> Result<()> {
    let values = |declared: Domain, count| {
        let space: Space =
            serde_json::from_value(serde_json::json!([{"name": "x", "domain": declared}])).expect("valid");
        let grid = Grid::over(&space).points("x", count).build()?;
        let all = (0..grid.len() as u64).map(|t| propose(&grid, &space, 0, t));
        let mut values = Vec::new();
        for params in all {
            values.push(match params?.unwrap_or_default().value("x") {
                Some(ParamValue::Float(x)) => *x,
                Some(ParamValue::Int(x)) => *x as f64,
                other => panic!("{other:?}"),
            });
        }
        values.sort_by(f64::total_cmp);
        Ok::<_, Error>(values)
    };
    assert_eq!(values(Domain::Float { low: -1.0, high: 1.0 }, 5)?, [-1.0, -0.5, 0.0, 0.5, 1.0]);
    assert_eq!(values(Domain::LogInt { low: 1, high: 1000 }, 4)?, [1.0, 10.0, 100.0, 1000.0]);
    assert_eq!(values(Domain::Int { low: 0, high: 100, step: 10 }, 3)?, [0.0, 50.0, 100.0]);
    let log = values(Domain::LogFloat { low: 1e-4, high: 1e-2 }, 3)?;
    assert_eq!((log[0], log[2]), (1e-4, 1e-2), "the ends are exact");
    assert!((log[1] - 1e-3).abs() < 1e-15, "{log:?}");
    Ok(())
}

#[test]
fn a_grid_that_makes_no_sense_is_refused() -> Result<()> {
    let space = small()?;
    let refusal = |grid: Result<Grid>| grid.expect_err("refused").to_string();
    let text = refusal(Grid::over(&space).build());
    assert!(text.starts_with("base = log 100.0..=10000.0: say with `points`"), "{text}");
    let build = |name: &str, count| Grid::over(&space).points("base", 3).points(name, count).build();
    let cases = [
        (refusal(build("base", 1)), "points of base = 1: take at least the two ends"),
        (refusal(build("layers", 4)), "points of layers = 4: take no more than the range has"),
        (refusal(build("cell", 2)), "points of cell = 2: leave it out"),
        (refusal(build("depth", 2)), "points = depth: name a parameter of the space"),
        (refusal(build("base", 900_000)), "grid = more than 1000000 cells"),
    ];
    for (text, want) in cases {
        assert!(text.contains(want), "{text:?} should say {want:?}");
    }
    let crowded = Space::builder().log_int("n", 1..=10).build()?;
    let text = refusal(Grid::over(&crowded).points("n", 9).build());
    assert!(text.contains("neighbours fall on the same value"), "{text}");
    let other = Space::builder().int("layers", 1..=3).build()?;
    let grid = Grid::over(&other).build()?;
    assert!(Study::builder(space).sampler(grid).build().is_err(), "a grid over another space");
    Ok(())
}
