//! How good the best of 200 trials is, against what peers found: `cargo bench -p tapeloom-tune --bench quality -- SAMPLER[:THREADS]
//! SEEDS PEERS.jsonl ..`, with files that `benches/peers/tune_quality.py` wrote. Regret of one objective, lost hypervolume of several.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use tapeloom_tune::{
    Auto, CmaEs, Direction, Gp, Nsga2, Random, Result, Sobol, Study, StudyBuilder, Tpe, Trial, hypervolume,
};

const TRIALS: u64 = 200;

type Problem = (&'static str, usize, fn(&Trial) -> Result<Vec<f64>>);

const PROBLEMS: [Problem; 9] = [
    ("sphere5", 1, sphere5),
    ("rosenbrock5", 1, rosenbrock5),
    ("ackley10", 1, ackley10),
    ("rastrigin5", 1, rastrigin5),
    ("hartmann6", 1, hartmann6),
    ("branin", 1, branin),
    ("conditional", 1, conditional),
    ("zdt1", 2, zdt1),
    ("dtlz2", 3, dtlz2),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let first = arguments.first().map_or("tpe", String::as_str);
    let (name, threads) = first.split_once(':').map_or((first, 1), |(name, n)| (name, n.parse().unwrap_or(1)));
    let seeds: u64 = arguments.get(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    let peers: Vec<BTreeMap<String, Vec<Vec<f64>>>> = arguments.iter().skip(2).map(|path| read(path)).collect();
    for (problem, objectives, objective) in PROBLEMS {
        let next = AtomicU64::new(0);
        let work = || -> Result<Vec<Option<Vec<f64>>>> {
            let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| *seed < seeds));
            seeds.map(|seed| run(name, problem, seed, objectives, objective)).collect()
        };
        let own = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| worker.join().expect("no panic"));
            joined.collect::<Result<Vec<_>>>().map(|parts| parts.concat())
        })?;
        let own: Vec<Vec<f64>> = own.into_iter().flatten().collect();
        if own.is_empty() {
            continue;
        }
        println!("{problem:<12} {name:<8} {}", row(&own));
        for (peer, path) in peers.iter().zip(&arguments[2..]) {
            let Some(theirs) = peer.get(problem) else { continue };
            let last = |rows: &[Vec<f64>]| rows.iter().map(|row| row[2]).collect::<Vec<f64>>();
            let (better, worse) = (mann_whitney(&last(&own), &last(theirs)), mann_whitney(&last(theirs), &last(&own)));
            let short = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".jsonl");
            println!("{problem:<12} {short:<8} {} better p {better:.4} worse p {worse:.4}", row(theirs));
        }
    }
    Ok(())
}

/// Regret at 50, 100 and 200 trials; none for a problem that the sampler does not serve.
fn run(
    sampler: &str,
    problem: &str,
    seed: u64,
    objectives: usize,
    objective: fn(&Trial) -> Result<Vec<f64>>,
) -> Result<Option<Vec<f64>>> {
    let builder = Study::define_by_run().directions(vec![Direction::Minimize; objectives]).seed(seed);
    let Some(builder) = chosen(builder, sampler, problem)? else { return Ok(None) };
    let study = builder.build()?;
    study.optimize(TRIALS, objective)?;
    let values: Vec<Vec<f64>> =
        study.trials()?.iter().filter_map(|trial| trial.values().map(<[f64]>::to_vec)).collect();
    Ok(Some(marks(problem, &values)))
}

fn chosen(builder: StudyBuilder, sampler: &str, problem: &str) -> Result<Option<StudyBuilder>> {
    Ok(Some(match sampler {
        "random" => builder.sampler(Random),
        "sobol" => builder.sampler(Sobol),
        "gp" => builder.sampler(Gp::default()),
        "auto" => builder.sampler(Auto::default()),
        "nsga2" => builder.sampler(Nsga2::default()),
        "cmaes" if matches!(problem, "zdt1" | "dtlz2") => return Ok(None),
        "cmaes" => builder.sampler(CmaEs::default()),
        _ => builder.sampler(Tpe::default()),
    }))
}

/// What is left to gain after 50, 100 and 200 trials.
fn marks(problem: &str, values: &[Vec<f64>]) -> Vec<f64> {
    let after = |count: usize| {
        let values = &values[..count.min(values.len())];
        match problem {
            "zdt1" => 120.67 - hypervolume(values, &[11.0, 11.0]),
            "dtlz2" => 15.10 - hypervolume(values, &[2.5, 2.5, 2.5]),
            _ => values.iter().map(|values| values[0]).fold(f64::INFINITY, f64::min),
        }
    };
    vec![after(50), after(100), after(200)]
}

fn read(path: &str) -> BTreeMap<String, Vec<Vec<f64>>> {
    let mut found: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let float = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
        let of = |value: &serde_json::Value| match value.as_array() {
            Some(list) => list.iter().map(float).collect(),
            None => vec![float(value)],
        };
        let values: Vec<Vec<f64>> =
            line["values"].as_array().map(|all| all.iter().map(of).collect()).unwrap_or_default();
        let problem = line["problem"].as_str().unwrap_or_default().to_owned();
        let marks = marks(&problem, &values);
        found.entry(problem).or_default().push(marks);
    }
    found
}

fn row(runs: &[Vec<f64>]) -> String {
    let median = |place: usize, share: f64| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[place]).collect();
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * share).round() as usize]
    };
    let [a, b, c] = [0, 1, 2].map(|place| median(place, 0.5));
    let (low, high) = (median(2, 0.25), median(2, 0.75));
    format!("{a:>9.4} {b:>9.4} {c:>9.4} [{low:.4}, {high:.4}] n{}", runs.len())
}

/// How likely `a` is so often below `b` by chance (Mann and Whitney 1947, normal approximation with ties).
fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let below = |x: &f64, y: &f64| if x == y { 0.5 } else { f64::from(u8::from(x < y)) };
    let wins: f64 = a.iter().map(|x| b.iter().map(|y| below(x, y)).sum::<f64>()).sum();
    let (n, m) = (a.len() as f64, b.len() as f64);
    let z = (wins - n * m / 2.0 - 0.5) / (n * m * (n + m + 1.0) / 12.0).sqrt();
    // The upper tail by Zelen and Severo, Abramowitz and Stegun 26.2.17.
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail = (-z * z / 2.0).exp() / (2.0 * PI).sqrt() * poly.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    if z > 0.0 { tail } else { 1.0 - tail }
}

fn floats<const N: usize>(trial: &Trial, low: f64, high: f64) -> Result<[f64; N]> {
    let mut x = [0.0; N];
    for (i, x) in x.iter_mut().enumerate() {
        *x = trial.suggest_float(&format!("x{i}"), low..=high)?;
    }
    Ok(x)
}

fn sphere5(trial: &Trial) -> Result<Vec<f64>> {
    Ok(vec![floats::<5>(trial, -5.0, 5.0)?.iter().map(|x| (x - 0.7).powi(2)).sum()])
}

fn rosenbrock5(trial: &Trial) -> Result<Vec<f64>> {
    let x = floats::<5>(trial, -2.5, 3.0)?;
    Ok(vec![x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()])
}

fn ackley10(trial: &Trial) -> Result<Vec<f64>> {
    let x = floats::<10>(trial, -15.0, 30.0)?;
    let squares = x.iter().map(|x| x * x).sum::<f64>() / 10.0;
    let waves = x.iter().map(|x| (2.0 * PI * x).cos()).sum::<f64>() / 10.0;
    Ok(vec![-20.0 * (-0.2 * squares.sqrt()).exp() - waves.exp() + 20.0 + std::f64::consts::E])
}

fn rastrigin5(trial: &Trial) -> Result<Vec<f64>> {
    let x = floats::<5>(trial, -4.0, 6.0)?;
    Ok(vec![50.0 + x.iter().map(|x| x * x - 10.0 * (2.0 * PI * x).cos()).sum::<f64>()])
}

fn hartmann6(trial: &Trial) -> Result<Vec<f64>> {
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let x = floats::<6>(trial, 0.0, 1.0)?;
    let term = |i: usize| -(0..6).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum::<f64>();
    let sum: f64 = [1.0, 1.2, 3.0, 3.2].iter().enumerate().map(|(i, c)| c * term(i).exp()).sum();
    Ok(vec![3.322_368_011_415_51 - sum])
}

fn branin(trial: &Trial) -> Result<Vec<f64>> {
    let (x, y) = (trial.suggest_float("x0", -5.0..=10.0)?, trial.suggest_float("x1", 0.0..=15.0)?);
    let a = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    Ok(vec![a * a + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0 - 0.397_887_357_729_738_16])
}

fn conditional(trial: &Trial) -> Result<Vec<f64>> {
    use tapeloom_tune::{Domain, ParamValue};
    let hidden = match trial.suggest("hidden", &Domain::LogInt { low: 8, high: 512 })? {
        ParamValue::Int(hidden) => hidden as f64,
        _ => f64::NAN,
    };
    let mut loss = 0.1 * (hidden.log2() - 6.2).powi(2) - 0.1 * (74_f64.log2() - 6.2).powi(2);
    if trial.suggest_category("cell", &["lstm", "transformer"])? == "lstm" {
        let rate = trial.suggest_log_float("rate", 1e-5..=1e-1)?;
        let layers = trial.suggest_int("layers", 1..=8)? as f64;
        loss += 0.5 * (rate.log10() + 2.6).powi(2) + 0.1 * (layers - 3.0).abs();
    } else {
        let heads = trial.suggest_int("heads", 1..=8)? as f64;
        let dropout = trial.suggest_float("dropout", 0.0..=0.6)?;
        loss += 0.2 + 4.0 * (dropout - 0.15).powi(2) + 0.05 * (heads - 6.0).abs();
    }
    Ok(vec![loss])
}

fn zdt1(trial: &Trial) -> Result<Vec<f64>> {
    let x = floats::<5>(trial, 0.0, 1.0)?;
    let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / 4.0;
    Ok(vec![x[0], g * (1.0 - (x[0] / g).sqrt())])
}

fn dtlz2(trial: &Trial) -> Result<Vec<f64>> {
    let x = floats::<7>(trial, 0.0, 1.0)?;
    let g: f64 = x[2..].iter().map(|x| (x - 0.5).powi(2)).sum();
    let (a, b) = (x[0] * PI / 2.0, x[1] * PI / 2.0);
    Ok(vec![(1.0 + g) * a.cos() * b.cos(), (1.0 + g) * a.cos() * b.sin(), (1.0 + g) * a.sin()])
}
