use super::Cube;
use crate::samplers::Request;
use crate::{Draws, TrialRecord};

/// What a process learns from.
pub(super) struct Data {
    pub(super) points: Vec<Vec<f64>>,
    /// The objective first, then each constraint; by point.
    pub(super) targets: Vec<Vec<f64>>,
    /// The best objective that keeps the constraints.
    pub(super) best: Option<usize>,
    /// Points of trials that run.
    pub(super) pending: Vec<Vec<f64>>,
    /// Whether all older trials than the newest of these have ended, so that more trials only add to the end.
    pub(super) settled: bool,
}

/// More trials than these, the best and the newest, cost more time than they are worth.
const TRIALS: usize = 300;

impl Data {
    pub(super) fn of(request: &Request<'_>, cube: &Cube) -> Self {
        let history = request.history;
        let complete: Vec<(&TrialRecord, Vec<f64>, Vec<f64>)> = history
            .trials()
            .iter()
            .filter_map(|trial| Some((trial, cube.point(&trial.params)?, history.losses(trial.values()?))))
            .collect();
        let chosen = newest_and_best(complete);
        let names: Vec<&String> = {
            let mut names: Vec<&String> = chosen.iter().flat_map(|(trial, _, _)| trial.constraints.keys()).collect();
            names.sort();
            names.dedup();
            names
        };
        let objective = scalarised(request, &chosen.iter().map(|(_, _, losses)| losses.as_slice()).collect::<Vec<_>>());
        let constraint = |name: &String| -> Vec<f64> {
            let known = chosen.iter().map(|(trial, _, _)| trial.constraints.get(name).copied().unwrap_or(0.0));
            known.map(|value| value.clamp(-1e9, 1e9)).collect()
        };
        let keeps = |i: &usize| chosen[*i].0.violation().is_none_or(|violation| violation <= 0.0);
        let best = (0..chosen.len()).filter(keeps).min_by(|a, b| objective[*a].total_cmp(&objective[*b]));
        let running = history.running().iter().chain(history.waiting()).filter_map(|n| history.trial(*n).ok());
        let pending = running.filter_map(|trial| {
            let params = if trial.params.is_empty() { &trial.drawn } else { &trial.params };
            cube.point(params)
        });
        let newest = chosen.iter().map(|(trial, _, _)| trial.number).max().unwrap_or(0);
        let settled = chosen.len() < TRIALS && history.running().range(..newest).next().is_none();
        Self {
            best,
            pending: pending.collect(),
            settled,
            targets: std::iter::once(objective).chain(names.into_iter().map(constraint)).collect(),
            points: chosen.into_iter().map(|(_, point, _)| point).collect(),
        }
    }
}

type Known<'a> = (&'a TrialRecord, Vec<f64>, Vec<f64>);

fn newest_and_best(mut complete: Vec<Known<'_>>) -> Vec<Known<'_>> {
    if complete.len() <= TRIALS {
        return complete;
    }
    let mut losses: Vec<f64> = complete.iter().map(|(_, _, losses)| losses[0]).collect();
    losses.sort_by(f64::total_cmp);
    let (good, first) = (losses[TRIALS / 3], complete.len() - TRIALS * 2 / 3);
    let mut place = 0;
    complete.retain(|(_, _, losses)| {
        place += 1;
        place > first || losses[0] < good
    });
    complete
}

/// One number for several objectives: the worst weighted one and a little of all, weights by the trial.
fn scalarised(request: &Request<'_>, losses: &[&[f64]]) -> Vec<f64> {
    let count = request.history.directions().len();
    if count == 1 {
        return losses.iter().map(|losses| losses[0]).collect();
    }
    let mut draws: Draws = request.draws("gp.weights");
    let raw: Vec<f64> = (0..count).map(|_| -(1.0 - draws.unit()).ln()).collect();
    let total: f64 = raw.iter().sum();
    let ends = |j: usize| {
        let finite = losses.iter().map(|losses| losses[j]).filter(|x| x.is_finite());
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let ends: Vec<(f64, f64)> = (0..count).map(ends).collect();
    let of = |losses: &&[f64]| {
        let parts = losses.iter().enumerate().map(|(j, x)| {
            let (low, high) = ends[j];
            raw[j] / total * ((x - low) / (high - low).max(1e-300)).clamp(0.0, 1.0)
        });
        let (worst, sum) = parts.fold((0.0_f64, 0.0), |(worst, sum), part| (worst.max(part), sum + part));
        worst + 0.05 * sum
    };
    losses.iter().map(of).collect()
}

/// Mean zero and spread one; what is far above the rest is drawn near, as how bad a bad value is says little about good ones.
pub(super) fn standardised(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get(((sorted.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
    let (middle, worst) = (at(0.5), at(1.0));
    let spread = (middle - at(0.1)).max(1e-12 * middle.abs()).max(1e-300);
    let near = |x: f64| {
        let z = (if x.is_finite() { x } else { worst } - middle) / spread;
        if z > 0.0 { z.ln_1p() } else { z }
    };
    let near: Vec<f64> = values.iter().map(|x| near(*x)).collect();
    let mean = near.iter().sum::<f64>() / near.len() as f64;
    let scale = (near.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / near.len() as f64).sqrt().max(1e-12);
    near.into_iter().map(|z| (z - mean) / scale).collect()
}
