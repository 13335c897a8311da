//! How much each parameter matters.

use std::collections::BTreeMap;

use crate::samplers::{Axis, Cube};
use crate::{Draws, History};

/// How much of the objective one parameter explains.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Importance {
    /// Of the parameter.
    pub name: String,
    /// A share of 1 of what all parameters explain by themselves.
    pub share: f64,
    /// The standard deviation of the share over the trees of the forest, or over resampled trials.
    pub deviation: f64,
}

/// Importances by functional analysis of variance (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing
/// hyperparameter importance", ICML 2014): the variance that each parameter causes by itself in the mean of a forest of
/// regression trees, the most important first. Over the parameters that every trial has, for the first objective; none with
/// fewer than ten complete trials.
#[must_use]
pub fn fanova(history: &History) -> Vec<Importance> {
    let (cube, points, losses) = known(history);
    if points.len() < 10 {
        return Vec::new();
    }
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); cube.len()];
    for tree in 0..TREES {
        let mut draws = Draws::new(history.header().seed, tree, "fanova");
        let chosen: Vec<usize> = (0..points.len()).map(|_| draws.below(points.len() as u64) as usize).collect();
        let mut leaves = Vec::new();
        grow(&points, &losses, chosen, vec![(0.0, 1.0); cube.len()], &mut draws, &mut leaves);
        let variances: Vec<f64> = (0..cube.len()).map(|k| marginal_variance(&leaves, k)).collect();
        let total: f64 = variances.iter().sum();
        if total > 0.0 {
            variances.iter().zip(&mut shares).for_each(|(variance, shares)| shares.push(variance / total));
        }
    }
    ranked(&cube, &shares)
}

/// Importances by how differently good and all trials are spread over each parameter (Watanabe, Bansal and Hutter,
/// "PED-ANOVA", IJCAI 2023): the squared distance of the density of the best tenth from that of all, the most important first.
/// Over the parameters that every trial has, for the first objective; none with fewer than twenty complete trials.
#[must_use]
pub fn ped_anova(history: &History) -> Vec<Importance> {
    let (cube, points, losses) = known(history);
    if points.len() < 20 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    let good = &order[..points.len().div_ceil(10).max(5)];
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); cube.len()];
    for round in 0..TREES {
        let mut draws = Draws::new(history.header().seed, round, "ped-anova");
        let resample = |from: &[usize], draws: &mut Draws| -> Vec<usize> {
            from.iter().map(|_| from[draws.below(from.len() as u64) as usize]).collect()
        };
        let (good, all) = (resample(good, &mut draws), resample(&order, &mut draws));
        let distance = |k: usize| {
            let cells = match &cube.parameters[k].2 {
                Axis::Choices(count) => *count,
                Axis::Interval(_) => cube.parameters[k].1.cardinality().map_or(20, |count| (count as usize).min(20)),
            };
            let density = |chosen: &[usize]| {
                let mut density = vec![1.0 / cells as f64; cells];
                let place = |i: &usize| ((points[*i][k] * cells as f64) as usize).min(cells - 1);
                chosen.iter().for_each(|i| density[place(i)] += 1.0);
                density.iter_mut().for_each(|x| *x /= chosen.len() as f64 + 1.0);
                density
            };
            let (good, all) = (density(&good), density(&all));
            good.iter().zip(&all).map(|(g, a)| a * (g / a - 1.0).powi(2)).sum::<f64>()
        };
        let distances: Vec<f64> = (0..cube.len()).map(distance).collect();
        let total: f64 = distances.iter().sum();
        if total > 0.0 {
            distances.iter().zip(&mut shares).for_each(|(distance, shares)| shares.push(distance / total));
        }
    }
    ranked(&cube, &shares)
}

const TREES: u64 = 32;
const LEAF: usize = 3;

/// A box of the cube and the mean in it.
type Leaf = (Vec<(f64, f64)>, f64);

fn known(history: &History) -> (Cube, Vec<Vec<f64>>, Vec<f64>) {
    let cube = Cube::of(history);
    let complete = history.trials().iter().filter_map(|trial| -> Option<(Vec<f64>, f64)> {
        let loss = history.loss(trial.value()?);
        loss.is_finite().then_some((cube.point(&trial.params)?, loss))
    });
    let (points, losses) = complete.unzip();
    (cube, points, losses)
}

fn ranked(cube: &Cube, shares: &[Vec<f64>]) -> Vec<Importance> {
    let one = |((name, _, _), shares): (&(String, crate::Domain, Axis), &Vec<f64>)| {
        let count = shares.len().max(1) as f64;
        let share = shares.iter().sum::<f64>() / count;
        let deviation = (shares.iter().map(|x| (x - share).powi(2)).sum::<f64>() / count).sqrt();
        Importance { name: name.clone(), share, deviation }
    };
    let mut all: Vec<Importance> = cube.parameters.iter().zip(shares).map(one).collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
    all
}

/// Splits where the squared error falls most, over five of six coordinates at random, down to small leaves.
fn grow(
    points: &[Vec<f64>],
    losses: &[f64],
    chosen: Vec<usize>,
    bounds: Vec<(f64, f64)>,
    draws: &mut Draws,
    leaves: &mut Vec<Leaf>,
) {
    let mean = chosen.iter().map(|i| losses[*i]).sum::<f64>() / chosen.len() as f64;
    let d = bounds.len();
    let mut best: Option<(f64, usize, f64)> = None;
    if chosen.len() >= 2 * LEAF {
        for k in (0..d).filter(|_| draws.unit() < 5.0 / 6.0 || d == 1) {
            let mut order: Vec<(f64, f64)> = chosen.iter().map(|i| (points[*i][k], losses[*i])).collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            let total: f64 = order.iter().map(|(_, loss)| loss).sum();
            let mut left = 0.0;
            for (count, pair) in (1..).zip(order.windows(2)) {
                left += pair[0].1;
                if count < LEAF || order.len() - count < LEAF || pair[0].0 == pair[1].0 {
                    continue;
                }
                let (n, m) = (count as f64, (order.len() - count) as f64);
                let gain = left * left / n + (total - left).powi(2) / m;
                if best.is_none_or(|(most, _, _)| gain > most) {
                    best = Some((gain, k, f64::midpoint(pair[0].0, pair[1].0)));
                }
            }
        }
    }
    let Some((_, k, cut)) = best else {
        leaves.push((bounds, mean));
        return;
    };
    let (below, above): (Vec<usize>, Vec<usize>) = chosen.into_iter().partition(|i| points[*i][k] <= cut);
    let (mut low, mut high) = (bounds.clone(), bounds);
    (low[k].1, high[k].0) = (cut, cut);
    grow(points, losses, below, low, draws, leaves);
    grow(points, losses, above, high, draws, leaves);
}

/// The variance of the mean over all other coordinates, along one.
fn marginal_variance(leaves: &[Leaf], k: usize) -> f64 {
    let mut cuts: Vec<f64> = leaves.iter().flat_map(|(bounds, _)| [bounds[k].0, bounds[k].1]).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    let others = |bounds: &[(f64, f64)]| -> f64 {
        bounds.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, (low, high))| high - low).product()
    };
    let mut by_cut: BTreeMap<u64, f64> = BTreeMap::new();
    for (bounds, mean) in leaves {
        let weight = others(bounds) * mean;
        for cut in cuts.iter().filter(|cut| **cut >= bounds[k].0 && **cut < bounds[k].1) {
            *by_cut.entry(cut.to_bits()).or_default() += weight;
        }
    }
    let pieces =
        cuts.windows(2).map(|pair| (pair[1] - pair[0], by_cut.get(&pair[0].to_bits()).copied().unwrap_or(0.0)));
    let mean: f64 = pieces.clone().map(|(width, value)| width * value).sum();
    pieces.map(|(width, value)| width * (value - mean).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_along_a_coordinate_is_that_of_its_means() {
        // Two boxes along the first coordinate, of 1 and 3; nothing along the second.
        let leaves = vec![(vec![(0.0, 0.5), (0.0, 1.0)], 1.0), (vec![(0.5, 1.0), (0.0, 1.0)], 3.0)];
        assert!((marginal_variance(&leaves, 0) - 1.0).abs() < 1e-12);
        assert!(marginal_variance(&leaves, 1).abs() < 1e-12);
    }
}
