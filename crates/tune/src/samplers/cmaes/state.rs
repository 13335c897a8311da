use crate::Draws;
use crate::math::{eigen, normal};

/// The covariance matrix adaptation evolution strategy after some generations, on a unit cube (Hansen, "The CMA evolution
/// strategy: a tutorial", arXiv 1604.00772, with active updates), with restarts of growing size (Auger and Hansen, "A restart
/// CMA evolution strategy with increasing population size", CEC 2005) that alternate with small ones (Hansen, "BI-population
/// CMA-ES", GECCO 2009), and with a margin on stepped coordinates (Hamano and others, "CMA-ES with margin", GECCO 2022).
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) generation: u64,
    pub(super) size: usize,
    mean: Vec<f64>,
    sigma: f64,
    covariance: Vec<Vec<f64>>,
    /// Square roots of eigenvalues, and eigenvectors as columns.
    axes: (Vec<f64>, Vec<Vec<f64>>),
    path: Vec<f64>,
    step_path: Vec<f64>,
    /// Generations since the last start, and the best of each.
    bests: Vec<f64>,
    restarts: u32,
    large: u32,
    /// Trials in large and in small populations.
    spent: [usize; 2],
    is_small: bool,
    seed: u64,
    /// Half a step of stepped coordinates.
    half_steps: Vec<Option<f64>>,
}

const SIGMA: f64 = 1.0 / 6.0;

impl State {
    pub(super) fn new(half_steps: Vec<Option<f64>>, seed: u64, mean: Option<Vec<f64>>) -> Self {
        let d = half_steps.len();
        let identity: Vec<Vec<f64>> = (0..d).map(|i| (0..d).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        Self {
            generation: 0,
            size: default_size(d),
            mean: mean.unwrap_or_else(|| vec![0.5; d]),
            sigma: SIGMA,
            axes: (vec![1.0; d], identity.clone()),
            covariance: identity,
            path: vec![0.0; d],
            step_path: vec![0.0; d],
            bests: Vec::new(),
            restarts: 0,
            large: 0,
            spent: [0, 0],
            is_small: false,
            seed,
            half_steps,
        }
    }

    /// A point of the next generation. Drawn anew while it lies outside of the cube, then put onto its wall.
    pub(super) fn sample(&self, draws: &mut Draws) -> Vec<f64> {
        let d = self.mean.len();
        for round in 0.. {
            let z: Vec<f64> = (0..d).map(|_| normal::pair(draws.unit(), draws.unit()).0).collect();
            let y = |i: usize| -> f64 { (0..d).map(|k| self.axes.1[i][k] * self.axes.0[k] * z[k]).sum() };
            let x: Vec<f64> = (0..d).map(|i| self.mean[i] + self.sigma * self.margin(i) * y(i)).collect();
            if x.iter().all(|x| (0.0..=1.0).contains(x)) {
                return x;
            }
            if round >= 10 * d {
                return x.into_iter().map(|x| x.clamp(0.0, 1.0)).collect();
            }
        }
        unreachable!("the loop returns")
    }

    /// Learns from a whole generation: points and losses.
    pub(super) fn tell(&mut self, mut generation: Vec<(f64, Vec<f64>)>) {
        generation.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.spent[usize::from(self.is_small)] += generation.len();
        self.generation += 1;
        self.adapt(&generation);
        self.bests.push(generation[0].0);
        if self.is_done(&generation) {
            self.restart();
        }
    }

    fn adapt(&mut self, generation: &[(f64, Vec<f64>)]) {
        let (d, lambda) = (self.mean.len() as f64, generation.len());
        let n = self.mean.len();
        let half = lambda / 2;
        let raw: Vec<f64> = (1..=lambda).map(|i| ((lambda as f64 + 1.0) / 2.0).ln() - (i as f64).ln()).collect();
        let (good, bad): (f64, f64) = (raw[..half].iter().sum(), raw[half..].iter().map(|w| w.abs()).sum());
        let effective = |w: &[f64]| w.iter().sum::<f64>().powi(2) / w.iter().map(|w| w * w).sum::<f64>().max(1e-300);
        let (mu, mu_bad) = (effective(&raw[..half]), effective(&raw[half..]));
        let c1 = 2.0 / ((d + 1.3).powi(2) + mu);
        let cmu = (2.0 * (mu - 2.0 + 1.0 / mu) / ((d + 2.0).powi(2) + mu)).min(1.0 - c1 - 1e-8);
        let cs = (mu + 2.0) / (d + mu + 5.0);
        let damping = 1.0 + 2.0 * (((mu - 1.0) / (d + 1.0)).max(0.0).sqrt() - 1.0).max(0.0) + cs;
        let cc = (4.0 + mu / d) / (d + 4.0 + 2.0 * mu / d);
        let limit = (1.0 + c1 / cmu).min(1.0 + 2.0 * mu_bad / (mu + 2.0)).min((1.0 - c1 - cmu) / (d * cmu));
        let weight = |i: usize| if i < half { raw[i] / good } else { raw[i] / bad.max(1e-300) * limit };
        let steps: Vec<Vec<f64>> = generation
            .iter()
            .map(|(_, x)| (0..n).map(|i| (x[i] - self.mean[i]) / (self.sigma * self.margin(i))).collect())
            .collect();
        let mean_step: Vec<f64> = (0..n).map(|i| (0..half).map(|k| weight(k) * steps[k][i]).sum()).collect();
        let expected = d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d));
        let whitened = self.whitened(&mean_step);
        let grow = (cs * (2.0 - cs) * mu).sqrt();
        self.step_path.iter_mut().zip(&whitened).for_each(|(p, w)| *p = (1.0 - cs) * *p + grow * w);
        let length = norm(&self.step_path);
        let rounds = 2.0 * (self.bests.len() as f64 + 1.0);
        let stalled = length / (1.0 - (1.0 - cs).powf(rounds)).sqrt() >= (1.4 + 2.0 / (d + 1.0)) * expected;
        let push = if stalled { 0.0 } else { (cc * (2.0 - cc) * mu).sqrt() };
        self.path.iter_mut().zip(&mean_step).for_each(|(p, y)| *p = (1.0 - cc) * *p + push * y);
        for (i, step) in mean_step.iter().enumerate() {
            self.mean[i] = (self.mean[i] + self.sigma * self.margin(i) * step).clamp(0.0, 1.0);
        }
        let lost = if stalled { c1 * cc * (2.0 - cc) } else { 0.0 };
        let total: f64 = (0..lambda).map(weight).sum();
        let scaled: Vec<f64> = (0..lambda)
            .map(|k| {
                let w = weight(k);
                if w >= 0.0 { w } else { w * d / norm(&self.whitened(&steps[k])).powi(2).max(1e-8) }
            })
            .collect();
        for i in 0..n {
            for j in 0..=i {
                let rank: f64 = (0..lambda).map(|k| scaled[k] * steps[k][i] * steps[k][j]).sum();
                let new = (1.0 + lost - c1 - cmu * total) * self.covariance[i][j]
                    + c1 * self.path[i] * self.path[j]
                    + cmu * rank;
                (self.covariance[i][j], self.covariance[j][i]) = (new, new);
            }
        }
        self.sigma = (self.sigma * ((cs / damping) * (length / expected - 1.0)).min(1.0).exp()).clamp(1e-12, 1.0);
        let (values, vectors) = eigen::symmetric(self.covariance.clone());
        self.axes = (values.into_iter().map(|value| value.max(1e-20).sqrt()).collect(), vectors);
    }

    /// The step in the frame in which the distribution is round.
    fn whitened(&self, step: &[f64]) -> Vec<f64> {
        let n = step.len();
        let (roots, vectors) = &self.axes;
        let turned: Vec<f64> =
            (0..n).map(|k| (0..n).map(|i| vectors[i][k] * step[i]).sum::<f64>() / roots[k]).collect();
        (0..n).map(|i| (0..n).map(|k| vectors[i][k] * turned[k]).sum()).collect()
    }

    /// By how much a stepped coordinate is widened, so that a generation leaves its middle step now and then.
    fn margin(&self, i: usize) -> f64 {
        let Some(half) = self.half_steps[i] else { return 1.0 };
        let deviation = self.sigma * self.covariance[i][i].max(1e-20).sqrt();
        let least = half / -normal::quantile(0.5 / (self.size * self.mean.len()) as f64);
        (least / deviation).max(1.0)
    }

    /// Whether more generations would bring nothing.
    fn is_done(&self, generation: &[(f64, Vec<f64>)]) -> bool {
        let d = self.mean.len() as f64;
        let widest = self.axes.0.iter().fold(0.0_f64, |a, b| a.max(*b)) * self.sigma;
        let narrowest = self.axes.0.iter().fold(f64::INFINITY, |a, b| a.min(*b)) * self.sigma;
        let window = 10 + (30.0 * d / self.size as f64).ceil() as usize;
        let recent = &self.bests[self.bests.len().saturating_sub(window)..];
        let range = |values: &[f64]| {
            let (low, high) =
                values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
            high - low
        };
        let losses: Vec<f64> = generation.iter().map(|(loss, _)| *loss).collect();
        let flat = recent.len() == window && range(recent) <= 1e-12 && range(&losses) <= 1e-12;
        flat || widest < 1e-8 || widest / narrowest > 1e7
    }

    fn restart(&mut self) {
        let d = self.mean.len();
        self.restarts += 1;
        let mut draws = Draws::new(self.seed, u64::from(self.restarts), "cmaes.restart");
        let mut fresh = Self::new(self.half_steps.clone(), self.seed, Some((0..d).map(|_| draws.unit()).collect()));
        // The regime that has spent less is next.
        fresh.is_small = self.spent[1] < self.spent[0] && self.restarts > 1;
        let (default, large) = (default_size(d), self.large + u32::from(!fresh.is_small));
        let most = default << large.min(8);
        if fresh.is_small {
            let share = draws.unit().powi(2);
            fresh.size = (default as f64 * (0.5 * most as f64 / default as f64).max(1.0).powf(share)) as usize;
            fresh.sigma = SIGMA * 10.0_f64.powf(-2.0 * draws.unit());
        } else {
            fresh.size = most;
        }
        (fresh.generation, fresh.restarts, fresh.large, fresh.spent) =
            (self.generation, self.restarts, large, self.spent);
        *self = fresh;
    }
}

fn default_size(d: usize) -> usize {
    4 + (3.0 * (d as f64).ln()).floor().max(0.0) as usize
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(generations: u64, function: fn(&[f64]) -> f64) -> (f64, State) {
        let mut state = State::new(vec![None; 5], 3, None);
        let mut best = f64::INFINITY;
        for generation in 0..generations {
            let draw = |i| state.sample(&mut Draws::new(9, generation * 1_000 + i, "test"));
            let points: Vec<(f64, Vec<f64>)> = (0..state.size as u64).map(draw).map(|x| (function(&x), x)).collect();
            best = points.iter().map(|(loss, _)| *loss).fold(best, f64::min);
            state.tell(points);
        }
        (best, state)
    }

    #[test]
    fn an_ellipsoid_is_solved_and_a_restart_follows() {
        let ellipsoid = |x: &[f64]| -> f64 {
            x.iter().enumerate().map(|(i, x)| 1e6_f64.powf(i as f64 / 4.0) * (x - 0.3).powi(2)).sum()
        };
        let (best, state) = run(700, ellipsoid);
        assert!(best < 1e-9, "{best:e}");
        assert!(state.restarts > 0, "what is solved is not gone on with");
    }
}
