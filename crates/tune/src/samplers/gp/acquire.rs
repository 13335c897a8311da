use super::data::Data;
use super::model::{Gp, Hyper};
use super::{Cube, sobol};
use crate::Draws;
use crate::math::{lbfgs, normal};
use crate::samplers::Request;

/// How much a trial at a point is expected to improve on the best one: its logarithm.
pub(super) struct Acquisition {
    objective: Option<Gp>,
    /// Standardised; improvement begins below. None when nothing keeps the constraints yet.
    best: Option<f64>,
    constraints: Vec<(Gp, f64)>,
}

const SPREAD: u64 = 1024;
const NEAR: u64 = 256;
const STARTS: usize = 6;

impl Acquisition {
    /// Of the objective's process, then of each constraint's.
    pub(super) fn new(processes: Vec<(Hyper, Gp, Vec<f64>)>, data: &Data) -> Self {
        let mut processes = processes.into_iter();
        let Some((hyper, gp, mut targets)) = processes.next() else {
            return Self { objective: None, best: None, constraints: Vec::new() };
        };
        let best = data.best.map(|best| targets[best]);
        // Trials that run are taken to come out as expected.
        let mut points = data.points.clone();
        for pending in &data.pending {
            targets.push(gp.predict(pending).0);
            points.push(pending.clone());
        }
        let objective = if data.pending.is_empty() { Some(gp) } else { Gp::new(&hyper, points, &targets).or(Some(gp)) };
        let constraints = processes.zip(&data.targets[1..]).map(|((_, gp, targets), raw)| {
            // Where zero lies among the standardised values.
            let largest_kept = raw.iter().zip(&targets).filter(|(raw, _)| **raw <= 0.0).map(|(_, z)| *z);
            let least_broken = raw.iter().zip(&targets).filter(|(raw, _)| **raw > 0.0).map(|(_, z)| *z);
            let (kept, broken) = (largest_kept.fold(f64::NAN, f64::max), least_broken.fold(f64::NAN, f64::min));
            let limit = match (kept.is_nan(), broken.is_nan()) {
                (false, false) => f64::midpoint(kept, broken),
                (true, _) => broken - 1.0,
                (false, true) => kept + 1.0,
            };
            (gp, limit)
        });
        Self { objective, best, constraints: constraints.collect() }
    }

    /// The best point that many starts lead to.
    pub(super) fn best(&self, request: &Request<'_>, cube: &Cube, data: &Data) -> Vec<f64> {
        let (d, mut draws) = (cube.len(), request.draws("gp.starts"));
        let seed = draws.bits();
        let mut starts: Vec<Vec<f64>> = (0..SPREAD).map(|i| sobol::point(seed, i, d)).collect();
        if let Some(best) = data.best {
            let centre = &data.points[best];
            starts.extend((0..NEAR).map(|i| near(centre, 0.1 / (1 << (i % 4 * 2)) as f64, &mut draws)));
        }
        let mut scored: Vec<(f64, Vec<f64>)> =
            starts.into_iter().map(|x| cube.snapped(&x)).map(|x| (self.value(&x), x)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.truncate(STARTS);
        let ends = scored.into_iter().map(|(_, start)| {
            let (end, _) = lbfgs::minimize(start, 0.0, 1.0, 30, |x, gradient| -self.value_and_slope(x, gradient));
            let end = self.stepped(cube, cube.snapped(&end));
            (self.value(&end), end)
        });
        let fresh = |x: &[f64]| !data.points.iter().chain(&data.pending).any(|p| p == x);
        let mut ends: Vec<(f64, Vec<f64>)> = ends.collect();
        ends.sort_by(|a, b| b.0.total_cmp(&a.0));
        let place = ends.iter().position(|(_, x)| fresh(x));
        match place {
            Some(place) => ends.swap_remove(place).1,
            // Everything good was tried: somewhere else.
            None => cube.snapped(&sobol::point(seed, SPREAD, d)),
        }
    }

    /// Follows coordinates that have no slope, one step to either side at a time.
    fn stepped(&self, cube: &Cube, mut x: Vec<f64>) -> Vec<f64> {
        let mut value = self.value(&x);
        for k in 0..x.len() {
            let Some(count) = cube.parameters[k].1.cardinality() else { continue };
            let width = 1.0 / count as f64;
            let others: Vec<f64> = if count <= 12 {
                (0..count).map(|i| (i as f64 + 0.5) * width).collect()
            } else {
                vec![x[k] - width, x[k] + width]
            };
            for other in others.into_iter().filter(|other| (0.0..=1.0).contains(other)) {
                let mut moved = x.clone();
                moved[k] = other;
                let moved = cube.snapped(&moved);
                let new = self.value(&moved);
                if new > value {
                    (x, value) = (moved, new);
                }
            }
        }
        x
    }

    fn value(&self, x: &[f64]) -> f64 {
        let Some(gp) = &self.objective else { return 0.0 };
        let improvement = self.best.map_or(0.0, |best| {
            let (mean, variance) = gp.predict(x);
            let deviation = variance.sqrt();
            ln_improvement((best - mean) / deviation).0 + deviation.ln()
        });
        let kept = self.constraints.iter().map(|(gp, limit)| {
            let (mean, variance) = gp.predict(x);
            normal::ln_cdf((limit - mean) / variance.sqrt())
        });
        improvement + kept.sum::<f64>()
    }

    fn value_and_slope(&self, x: &[f64], slope: &mut [f64]) -> f64 {
        slope.fill(0.0);
        let Some(gp) = &self.objective else { return 0.0 };
        let mut value = 0.0;
        if let Some(best) = self.best {
            let (mean, variance, means, variances) = gp.predict_with_slopes(x);
            let deviation = variance.sqrt();
            let z = (best - mean) / deviation;
            let (ln, rate) = ln_improvement(z);
            value += ln + deviation.ln();
            for k in 0..x.len() {
                let change = variances[k] / (2.0 * deviation);
                slope[k] -= rate * (-means[k] - z * change) / deviation + change / deviation;
            }
        }
        for (gp, limit) in &self.constraints {
            let (mean, variance, means, variances) = gp.predict_with_slopes(x);
            let deviation = variance.sqrt();
            let z = (limit - mean) / deviation;
            let ln = normal::ln_cdf(z);
            value += ln;
            let rate = (-0.5 * z * z - normal::LN_SQRT_2PI - ln).exp();
            for k in 0..x.len() {
                slope[k] -= rate * (-means[k] - z * variances[k] / (2.0 * deviation)) / deviation;
            }
        }
        value
    }
}

/// ln(density(z) + z * cdf(z)), and its slope.
fn ln_improvement(z: f64) -> (f64, f64) {
    if z > -6.0 {
        let h = normal::density(z) + z * normal::cdf(z);
        return (h.ln(), normal::cdf(z) / h);
    }
    // The tail's series: density(z) / z^2 * (1 - 3 / z^2 + 15 / z^4).
    let inverse = 1.0 / (z * z);
    let series = 1.0 - 3.0 * inverse + 15.0 * inverse * inverse;
    (-0.5 * z * z - normal::LN_SQRT_2PI + inverse.ln() + series.ln(), -z - 2.0 / z)
}

fn near(centre: &[f64], width: f64, draws: &mut Draws) -> Vec<f64> {
    let normal = |draws: &mut Draws| normal::pair(draws.unit(), draws.unit()).0;
    centre.iter().map(|x| (x + width * normal(draws)).clamp(0.0, 1.0)).collect()
}
