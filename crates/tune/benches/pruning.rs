//! What pruning saves and what it costs, on made-up learning curves that cross: settings that end well start slowly.
//! `cargo bench -p tapeloom-tune --bench pruning -- SEEDS`
#![expect(clippy::print_stdout, reason = "it is a program")]

use tapeloom_tune::{
    Asha, Curve, Draws, Error, Hyperband, NoPruner, Percentile, Pruner, Random, Result, Space, Study, Trial,
    TrialOutcome, pruning_audit,
};

const EPOCHS: u64 = 81;
const TRIALS: u64 = 100;
const BUDGET: u64 = 2_000;

type Build = fn() -> Box<dyn Pruner>;

const PRUNERS: [(&str, Build); 6] = [
    ("none", || Box::new(NoPruner)),
    ("median, warm-up 9", || Box::new(Percentile::median(9))),
    ("percentile 25, warm-up 9", || Box::new(Percentile::new(25.0, 9))),
    ("asha from 3, eta 3", || Box::new(Asha::new(3, 3))),
    ("hyperband 1 to 81", || Box::new(Hyperband::new(1, EPOCHS, 3))),
    ("curve", || Box::new(Curve::new(EPOCHS))),
];

fn main() -> Result<()> {
    let seeds: u64 = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(20);
    for (what, trials, budget) in [("100 trials each", TRIALS, u64::MAX), ("2000 epochs each", 1_000, BUDGET)] {
        println!("{what}: trials, epochs, median regret [quartiles], wrong of ended");
        for (name, build) in PRUNERS {
            let runs = (0..seeds).map(|seed| run(build(), seed, trials, budget)).collect::<Result<Vec<_>>>()?;
            let mean = |of: fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
            let mut regrets: Vec<f64> = runs.iter().map(|run| run.regret).collect();
            regrets.sort_by(f64::total_cmp);
            let at = |share: f64| regrets[((regrets.len() - 1) as f64 * share).round() as usize];
            let (ended, wrong) = (mean(|run| run.ended as f64), mean(|run| run.wrong as f64));
            println!(
                "{name:<26} {:>6.0} {:>6.0}  {:.4} [{:.4}, {:.4}]  {:.1} of {:.1}: {:.1} %; audit {:.1} %",
                mean(|run| run.trials as f64),
                mean(|run| run.epochs as f64),
                at(0.5),
                at(0.25),
                at(0.75),
                wrong,
                ended,
                100.0 * wrong / ended.max(1.0),
                100.0 * mean(|run| run.audited_wrong)
            );
        }
    }
    Ok(())
}

struct Run {
    trials: u64,
    epochs: u64,
    regret: f64,
    ended: u64,
    /// Trials that were ended and would have been among the best fifth of all that were started.
    wrong: u64,
    audited_wrong: f64,
}

fn run(pruner: Box<dyn Pruner>, seed: u64, trials: u64, budget: u64) -> Result<Run> {
    let space =
        Space::builder().log_float("rate", 1e-4..=1e-1).float("size", 0.0..=1.0).float("drop", 0.0..=0.6).build()?;
    let study = Study::builder(space).seed(seed).sampler(Random).pruner(Boxed(pruner)).audit(0.05).build()?;
    let mut epochs = 0;
    for _ in 0..trials {
        if epochs >= budget {
            break;
        }
        study.optimize(1, |trial| {
            let (end, curve) = curve(trial)?;
            for step in 1..=EPOCHS {
                epochs += 1;
                let advice = trial.report(step, curve(step))?;
                if advice.ends() {
                    return Ok::<_, Error>(TrialOutcome::from(advice));
                }
            }
            trial.note("end", end.to_string())?;
            Ok(curve(EPOCHS).into())
        })?;
    }
    let history = study.history()?;
    let mut ends: Vec<(f64, bool)> = Vec::new();
    for trial in history.trials() {
        let (end, _) = truth(trial.params.float("rate")?, trial.params.float("size")?, trial.params.float("drop")?);
        ends.push((end, trial.status.name() == "pruned"));
    }
    let mut sorted: Vec<f64> = ends.iter().map(|(end, _)| *end).collect();
    sorted.sort_by(f64::total_cmp);
    let bar = sorted[sorted.len() / 5];
    let best = history.best().map(|best| best.number as usize);
    let audit = pruning_audit(&history);
    Ok(Run {
        trials: ends.len() as u64,
        epochs,
        regret: best.map_or(1.0, |best| ends[best].0 - LEAST),
        ended: ends.iter().filter(|(_, ended)| *ended).count() as u64,
        wrong: ends.iter().filter(|(end, ended)| *ended && *end < bar).count() as u64,
        audited_wrong: audit.rate.map_or(0.0, |(rate, _, _)| rate),
    })
}

const LEAST: f64 = 0.2;

/// Where a setting ends, and how fast it gets there: small rates and large models end better and start slower.
fn truth(rate: f64, size: f64, drop: f64) -> (f64, f64) {
    let depth = (rate.log10() + 3.0).abs();
    let end = LEAST + 0.15 * depth * depth + 0.25 * (size - 0.8).powi(2) + 0.3 * (drop - 0.2).powi(2);
    let speed = 0.05 * (rate / 1e-3).powf(0.5) * (1.6 - size);
    (end, speed.clamp(0.015, 1.0))
}

fn curve(trial: &Trial) -> Result<(f64, impl Fn(u64) -> f64)> {
    let params = trial.params();
    let (end, speed) = truth(params.float("rate")?, params.float("size")?, params.float("drop")?);
    let seed = trial.seed();
    let noise = move |step: u64| 0.02 * (Draws::new(seed, step, "noise").unit() - 0.5);
    Ok((end, move |step| end + 0.9 * (-speed * step as f64).exp() + noise(step)))
}

/// A pruner that was chosen as the program runs.
#[derive(Debug)]
struct Boxed(Box<dyn Pruner>);

impl Pruner for Boxed {
    fn judge(&self, history: &tapeloom_tune::History, trial: &tapeloom_tune::TrialRecord) -> tapeloom_tune::Verdict {
        self.0.judge(history, trial)
    }

    fn identity(&self) -> String {
        self.0.identity()
    }
}
