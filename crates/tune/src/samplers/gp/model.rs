use crate::math::lbfgs;
use crate::math::ridge::{cholesky, forward, solve};

/// A Gaussian process with a Matérn 5/2 kernel, a length of its own for each coordinate, over points of a unit cube
/// (Rasmussen and Williams, "Gaussian processes for machine learning", 2006). Choices differ or are the same.
#[derive(Clone, Debug)]
pub(super) struct Gp {
    points: Vec<Vec<f64>>,
    hyper: Hyper,
    /// Of the covariance.
    factor: Vec<Vec<f64>>,
    /// The covariance's inverse times the targets.
    weights: Vec<f64>,
}

/// What shapes the kernel; all logarithms.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hyper {
    /// Of the inverse squared length of each coordinate.
    rates: Vec<f64>,
    scale: f64,
    noise: f64,
    /// Which coordinates are choices.
    choices: Vec<bool>,
}

const LEAST_NOISE: f64 = 1e-6;

impl Hyper {
    /// A guess to start from.
    pub(super) fn new(choices: Vec<bool>) -> Self {
        Self { rates: vec![1.0; choices.len()], scale: 0.0, noise: -6.0, choices }
    }

    /// The most likely numbers for these targets, under weak beliefs about each: lengths about the size of the cube (as far
    /// out on either side less likely), a scale of about one, little noise.
    pub(super) fn fit(&self, points: &[Vec<f64>], targets: &[f64]) -> Self {
        let dimensions = self.rates.len();
        let start = self.rates.iter().copied().chain([self.scale, self.noise]).collect();
        let (best, _) = lbfgs::minimize(start, -10.0, 8.0, 40, |x, gradient| {
            let hyper = Self {
                rates: x[..dimensions].to_vec(),
                scale: x[dimensions],
                noise: x[dimensions + 1],
                ..self.clone()
            };
            hyper.loss(points, targets, gradient).unwrap_or(f64::INFINITY)
        });
        Self {
            rates: best[..dimensions].to_vec(),
            scale: best[dimensions],
            noise: best[dimensions + 1],
            ..self.clone()
        }
    }

    /// Minus the logarithm of likelihood times belief.
    fn loss(&self, points: &[Vec<f64>], targets: &[f64], gradient: &mut [f64]) -> Option<f64> {
        let (n, d) = (points.len(), self.rates.len());
        let factor = cholesky(self.covariance(points))?;
        let weights = solve(&factor, targets.to_vec());
        let fit: f64 = targets.iter().zip(&weights).map(|(t, w)| t * w).sum();
        let volume: f64 = factor.iter().enumerate().map(|(i, row)| row[i].ln()).sum();
        let inverse = inverse(&factor);
        let (scale, rates) = (self.scale.exp(), self.rates.iter().map(|r| r.exp()).collect::<Vec<_>>());
        gradient.fill(0.0);
        for i in 0..n {
            for j in 0..=i {
                // Half the trace of (weights weights' - inverse) times the covariance's derivative; both triangles.
                let pull = (weights[i] * weights[j] - inverse[i][j]) * if i == j { 0.5 } else { 1.0 };
                if i != j {
                    let squared = self.squared(&rates, &points[i], &points[j]);
                    let (kernel, slope) = matern(squared);
                    gradient[d] -= pull * scale * kernel;
                    for k in 0..d {
                        gradient[k] -= pull * scale * slope * rates[k] * self.gap(k, &points[i], &points[j]);
                    }
                } else {
                    gradient[d] -= pull * scale;
                    gradient[d + 1] -= pull * self.noise.exp();
                }
            }
        }
        let mut loss = 0.5 * fit + volume;
        for (k, rate) in rates.iter().enumerate() {
            loss += 0.1 / rate + 0.1 * rate;
            gradient[k] += -0.1 / rate + 0.1 * rate;
        }
        // Gamma densities, of shape 2 and rate 1 for the scale, and of shape 1.1 and rate 30 for the noise.
        loss += scale - self.scale;
        gradient[d] += scale - 1.0;
        loss += 30.0 * self.noise.exp() - 0.1 * self.noise;
        gradient[d + 1] += 30.0 * self.noise.exp() - 0.1;
        Some(loss)
    }

    fn covariance(&self, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (scale, noise) = (self.scale.exp(), self.noise.exp() + LEAST_NOISE);
        let rates: Vec<f64> = self.rates.iter().map(|r| r.exp()).collect();
        let row = |i: usize| {
            let mut row = vec![0.0; points.len()];
            (0..i).for_each(|j| row[j] = scale * matern(self.squared(&rates, &points[i], &points[j])).0);
            row[i] = scale + noise;
            row
        };
        (0..points.len()).map(row).collect()
    }

    fn squared(&self, rates: &[f64], a: &[f64], b: &[f64]) -> f64 {
        (0..rates.len()).map(|k| rates[k] * self.gap(k, a, b)).sum()
    }

    fn gap(&self, k: usize, a: &[f64], b: &[f64]) -> f64 {
        let gap = a[k] - b[k];
        if self.choices[k] { f64::from(u8::from(gap.abs() > 1e-9)) } else { gap * gap }
    }
}

impl Gp {
    /// None when the numbers do not allow it.
    pub(super) fn new(hyper: &Hyper, points: Vec<Vec<f64>>, targets: &[f64]) -> Option<Self> {
        let factor = cholesky(hyper.covariance(&points))?;
        let weights = solve(&factor, targets.to_vec());
        Some(Self { points, hyper: hyper.clone(), factor, weights })
    }

    /// Mean and variance of the function at a point.
    pub(super) fn predict(&self, x: &[f64]) -> (f64, f64) {
        let (scale, rates) = self.scales();
        let mut covariances: Vec<f64> =
            self.points.iter().map(|point| scale * matern(self.hyper.squared(&rates, x, point)).0).collect();
        let mean = covariances.iter().zip(&self.weights).map(|(k, w)| k * w).sum();
        forward(&self.factor, &mut covariances);
        (mean, (scale - covariances.iter().map(|v| v * v).sum::<f64>()).max(1e-12))
    }

    /// The same, and how both change with the point.
    pub(super) fn predict_with_slopes(&self, x: &[f64]) -> (f64, f64, Vec<f64>, Vec<f64>) {
        let (scale, rates) = self.scales();
        let kernels: Vec<(f64, f64)> =
            self.points.iter().map(|point| matern(self.hyper.squared(&rates, x, point))).collect();
        let covariances: Vec<f64> = kernels.iter().map(|(kernel, _)| scale * kernel).collect();
        let mean = covariances.iter().zip(&self.weights).map(|(k, w)| k * w).sum();
        let solved = solve(&self.factor, covariances.clone());
        let variance = (scale - covariances.iter().zip(&solved).map(|(k, s)| k * s).sum::<f64>()).max(1e-12);
        let (mut mean_slope, mut variance_slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for (i, point) in self.points.iter().enumerate() {
            for k in (0..x.len()).filter(|k| !self.hyper.choices[*k]) {
                let slope = scale * kernels[i].1 * rates[k] * 2.0 * (x[k] - point[k]);
                mean_slope[k] += self.weights[i] * slope;
                variance_slope[k] -= 2.0 * solved[i] * slope;
            }
        }
        (mean, variance, mean_slope, variance_slope)
    }

    fn scales(&self) -> (f64, Vec<f64>) {
        (self.hyper.scale.exp(), self.hyper.rates.iter().map(|r| r.exp()).collect())
    }
}

/// The Matérn 5/2 kernel at a squared distance, and its slope in it.
fn matern(squared: f64) -> (f64, f64) {
    let r = (5.0 * squared).sqrt();
    let decay = (-r).exp();
    ((1.0 + r + r * r / 3.0) * decay, -5.0 / 6.0 * (1.0 + r) * decay)
}

/// The lower triangle of the inverse of the matrix with this factor.
fn inverse(factor: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = factor.len();
    // Columns of the factor's inverse, as rows.
    let columns: Vec<Vec<f64>> = (0..n)
        .map(|j| {
            let mut column = vec![0.0; n];
            column[j] = 1.0 / factor[j][j];
            for i in j + 1..n {
                let sum: f64 = factor[i][j..i].iter().zip(&column[j..i]).map(|(a, b)| a * b).sum();
                column[i] = -sum / factor[i][i];
            }
            column
        })
        .collect();
    (0..n)
        .map(|i| (0..=i).map(|j| columns[i][i..].iter().zip(&columns[j][i..]).map(|(a, b)| a * b).sum()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (Vec<Vec<f64>>, Vec<f64>) {
        let points: Vec<Vec<f64>> =
            (0..15).map(|i| vec![f64::from(i) / 14.0, f64::from(i * 7 % 15) / 15.0, 0.25]).collect();
        let targets = points.iter().map(|p| (5.0 * p[0]).sin() + p[1]).collect();
        (points, targets)
    }

    #[test]
    fn slopes_are_those_of_differences() {
        let (points, targets) = data();
        let hyper = Hyper { rates: vec![1.3, 0.2, 0.5], scale: 0.3, noise: -4.0, choices: vec![false, false, true] };
        let mut gradient = vec![0.0; 5];
        hyper.loss(&points, &targets, &mut gradient).expect("positive definite");
        let at = |k: usize, by: f64| {
            let mut moved = hyper.clone();
            *[&mut moved.scale, &mut moved.noise].into_iter().nth(k.wrapping_sub(3)).unwrap_or(&mut 0.0) += by;
            if k < 3 {
                moved.rates[k] += by;
            }
            moved.loss(&points, &targets, &mut [0.0; 5]).expect("positive definite")
        };
        for (k, slope) in gradient.iter().enumerate() {
            let difference = (at(k, 1e-5) - at(k, -1e-5)) / 2e-5;
            assert!((slope - difference).abs() < 1e-5 * slope.abs().max(1.0), "{k}: {slope} or {difference}");
        }
        let gp = Gp::new(&hyper, points, &targets).expect("positive definite");
        let x = [0.33, 0.71, 0.25];
        let (_, _, mean, variance) = gp.predict_with_slopes(&x);
        for k in 0..2 {
            let moved = |by: f64| {
                let mut x = x;
                x[k] += by;
                gp.predict(&x)
            };
            let (above, below) = (moved(1e-5), moved(-1e-5));
            assert!((mean[k] - (above.0 - below.0) / 2e-5).abs() < 1e-6);
            assert!((variance[k] - (above.1 - below.1) / 2e-5).abs() < 1e-6);
        }
    }

    #[test]
    fn a_fitted_process_interpolates() {
        let (points, targets) = data();
        let hyper = Hyper::new(vec![false; 3]).fit(&points, &targets);
        let gp = Gp::new(&hyper, points.clone(), &targets).expect("positive definite");
        for (point, target) in points.iter().zip(&targets) {
            let (mean, variance) = gp.predict(point);
            assert!((mean - target).abs() < 0.05 && variance < 0.01, "{mean} instead of {target}, variance {variance}");
        }
    }
}
