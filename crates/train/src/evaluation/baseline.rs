//! Forecasts that cost nothing, for a model to beat.

use tapeloom_core::WindowSource;

use crate::evaluation::Forecasts;
use crate::{Error, Result};

/// Always zero: no view, no trade.
///
/// # Errors
/// Whatever the source refuses.
pub fn zero(source: &dyn WindowSource) -> Result<Forecasts> {
    let width = source.spec().window_len();
    Forecasts::from_fn(source, |inputs| Ok(vec![0.0; inputs.len() / width]))
}

/// The last value of one feature, in its raw unit: with the last return, "tomorrow moves as today did".
///
/// # Errors
/// [`Error::Invalid`] when the source has no such feature.
pub fn last_value(source: &dyn WindowSource, feature: &str) -> Result<Forecasts> {
    let spec = source.spec();
    let Some(column) = spec.features.iter().position(|name| name == feature) else {
        return Err(Error::invalid("feature", feature, format!("name one of {}", spec.features.join(", "))));
    };
    let (mean, std) = spec.scaler.as_ref().map_or((0.0, 1.0), |s| (s.mean[column], s.std[column]));
    let (width, last) = (spec.window_len(), spec.window_len() - spec.features.len() + column);
    Forecasts::from_fn(source, |inputs| {
        Ok(inputs.chunks_exact(width).map(|window| f64::from(window[last] * std + mean)).collect())
    })
}

/// Ridge regression of the first target on the window's last row, fitted on `train` in closed form.
///
/// `penalty` is in units of the number of samples, on features as they come (scaled, as a rule); the intercept is free.
///
/// # Errors
/// [`Error::Invalid`] for a negative penalty or no training samples; whatever the sources refuse.
pub fn ridge(train: &dyn WindowSource, source: &dyn WindowSource, penalty: f64) -> Result<Forecasts> {
    if !(penalty >= 0.0 && penalty.is_finite()) {
        return Err(Error::invalid("penalty", penalty, "give 0 or more"));
    }
    if train.is_empty() {
        return Err(Error::invalid("train", 0, "give a source with samples"));
    }
    let beta = fit(train, penalty)?;
    let (width, features) = (source.spec().window_len(), source.spec().features.len());
    Forecasts::from_fn(source, |inputs| {
        let forecast = |window: &[f32]| dot(&beta, &window[width - features..]);
        Ok(inputs.chunks_exact(width).map(forecast).collect())
    })
}

/// Coefficients, the intercept last.
fn fit(train: &dyn WindowSource, penalty: f64) -> Result<Vec<f64>> {
    const CHUNK: usize = 512;
    let (width, features) = (train.spec().window_len(), train.spec().features.len());
    let targets = train.spec().targets.len();
    let n = features + 1;
    let (mut gram, mut moment) = (vec![0.0; n * n], vec![0.0; n]);
    let ids: Vec<usize> = (0..train.len()).collect();
    for ids in ids.chunks(CHUNK) {
        let (mut inputs, mut outcomes) = (vec![0.0; ids.len() * width], vec![0.0; ids.len() * targets]);
        train.gather(ids, &mut inputs, &mut outcomes)?;
        for (window, outcome) in inputs.chunks_exact(width).zip(outcomes.chunks_exact(targets)) {
            let row = &window[width - features..];
            let x = |i: usize| if i < features { f64::from(row[i]) } else { 1.0 };
            for i in 0..n {
                moment[i] += x(i) * f64::from(outcome[0]);
                (0..=i).for_each(|j| gram[i * n + j] += x(i) * x(j));
            }
        }
    }
    (0..features).for_each(|i| gram[i * n + i] += penalty * train.len() as f64);
    Ok(solve(&mut gram, moment, n))
}

/// Solves the symmetric positive system by Cholesky, in the lower triangle; a direction without variance gets no weight.
fn solve(gram: &mut [f64], mut b: Vec<f64>, n: usize) -> Vec<f64> {
    for i in 0..n {
        for j in 0..=i {
            let done: f64 = (0..j).map(|k| gram[i * n + k] * gram[j * n + k]).sum();
            let rest = gram[i * n + j] - done;
            let pivot = gram[j * n + j];
            gram[i * n + j] = match i == j {
                true if rest > 1e-12 * gram[i * n + i].abs() => rest.sqrt(),
                true => f64::INFINITY,
                false => rest / pivot,
            };
        }
    }
    for i in 0..n {
        let done: f64 = (0..i).map(|k| gram[i * n + k] * b[k]).sum();
        b[i] = (b[i] - done) / gram[i * n + i];
    }
    for i in (0..n).rev() {
        let done: f64 = (i + 1..n).map(|k| gram[k * n + i] * b[k]).sum();
        b[i] = (b[i] - done) / gram[i * n + i];
    }
    b
}

fn dot(beta: &[f64], row: &[f32]) -> f64 {
    beta.iter().zip(row).map(|(b, x)| b * f64::from(*x)).sum::<f64>() + beta[row.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symmetric_system_is_solved() {
        // [[4, 2], [2, 3]] x = [10, 9] has x = [1.5, 2].
        let x = solve(&mut [4.0, 0.0, 2.0, 3.0], vec![10.0, 9.0], 2);
        assert!((x[0] - 1.5).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn a_column_twice_does_not_blow_up() {
        let x = solve(&mut [2.0, 0.0, 2.0, 2.0], vec![2.0, 2.0], 2);
        assert!(x.iter().all(|v| v.is_finite()), "{x:?}");
        assert!((x[0] + x[1] - 1.0).abs() < 1e-9);
    }
}
