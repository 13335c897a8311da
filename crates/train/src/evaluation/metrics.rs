use serde::Serialize;
use tapeloom_core::WindowSource;
use tapeloom_model::{Objective, Predict};

use super::{Forecasts, Moments};
use crate::batches::Samples;
use crate::{Error, Result};

/// How far forecasts of numbers were off, in the target's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// Forecasts looked at.
    pub samples: usize,
    /// Mean of squared errors.
    pub mse: f64,
    /// Mean of absolute errors.
    pub mae: f64,
    /// Mean of forecast less outcome.
    pub bias: f64,
    /// Share of the outcomes' variance that the forecasts explain; below 0 they are worse than the mean outcome.
    pub r2: f64,
    /// The same against a forecast of 0, which is what returns are measured against.
    pub r2_of_zero: f64,
}

impl Regression {
    /// Of forecasts and what came of them.
    #[must_use]
    pub fn of(forecasts: &Forecasts) -> Self {
        let rows = forecasts.rows();
        let mean =
            |f: &dyn Fn(f64, f64) -> f64| rows.iter().map(|r| f(r.value, r.outcome)).sum::<f64>() / rows.len() as f64;
        let mse = mean(&|f, y| (f - y).powi(2));
        let variance = Moments::of(&forecasts.outcomes()).std.powi(2);
        Self {
            samples: rows.len(),
            mse,
            mae: mean(&|f, y| (f - y).abs()),
            bias: mean(&|f, y| f - y),
            r2: 1.0 - mse / variance,
            r2_of_zero: 1.0 - mse / mean(&|_, y| y * y),
        }
    }
}

/// How well forecasts of classes and their probabilities were.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// Counts, `[true class][forecast class]`.
    pub confusion: Vec<Vec<u64>>,
    /// Share of samples whose class was forecast.
    pub accuracy: f64,
    /// Mean over classes of the recall: what guessing can't lift above one over the number of classes.
    pub balanced_accuracy: f64,
    /// For each class the share of its forecasts that were right; NaN where it was never forecast.
    pub precision: Vec<f64>,
    /// For each class the share of it that was found; NaN where it never came.
    pub recall: Vec<f64>,
    /// For each class the harmonic mean of the two.
    pub f1: Vec<f64>,
    /// Mean of the negative log of the true class's probability.
    pub log_loss: f64,
    /// Mean over samples of the squared distance of probabilities from the truth (Brier 1950), in [0, 2].
    pub brier: f64,
}

impl Classification {
    /// Lets a classifier forecast every sample of a source.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the model is no classifier or a target no class; whatever model or source refuse.
    pub fn of(model: &dyn Predict, source: &dyn WindowSource) -> Result<Self> {
        const CHUNK: usize = 512;
        let Objective::CrossEntropy { classes } = model.spec().objective else {
            return Err(Error::invalid("model", "a regression", "give one that was trained with cross_entropy"));
        };
        let (mut probabilities, mut truth) = (Vec::new(), Vec::new());
        let ids: Vec<usize> = (0..source.len()).collect();
        for ids in ids.chunks(CHUNK) {
            let samples = Samples::gather(source, ids)?;
            probabilities.extend(model.predict(&samples.inputs)?);
            for target in samples.targets {
                let class = target as usize;
                if target < 0.0 || class >= classes || target.fract() != 0.0 {
                    return Err(Error::invalid("target", target, format!("classes are 0 to {}", classes - 1)));
                }
                truth.push(class);
            }
        }
        Ok(Self::score(&probabilities, &truth, classes))
    }

    fn score(probabilities: &[f32], truth: &[usize], classes: usize) -> Self {
        let mut confusion = vec![vec![0_u64; classes]; classes];
        let (mut log_loss, mut brier) = (0.0, 0.0);
        for (row, class) in probabilities.chunks_exact(classes).zip(truth) {
            let best = (0..classes).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
            confusion[*class][best] += 1;
            log_loss -= f64::from(row[*class]).max(f64::MIN_POSITIVE).ln();
            let off = |(at, p): (usize, &f32)| (f64::from(*p) - f64::from(u8::from(at == *class))).powi(2);
            brier += row.iter().enumerate().map(off).sum::<f64>();
        }
        let count = truth.len() as f64;
        let share = |hits: u64, of: u64| if of > 0 { hits as f64 / of as f64 } else { f64::NAN };
        let hits = |class: usize| confusion[class][class];
        let precision: Vec<f64> =
            (0..classes).map(|c| share(hits(c), confusion.iter().map(|row| row[c]).sum())).collect();
        let recall: Vec<f64> = (0..classes).map(|c| share(hits(c), confusion[c].iter().sum())).collect();
        let seen: Vec<f64> = recall.iter().copied().filter(|recall| recall.is_finite()).collect();
        Self {
            accuracy: (0..classes).map(hits).sum::<u64>() as f64 / count,
            balanced_accuracy: seen.iter().sum::<f64>() / seen.len() as f64,
            f1: precision.iter().zip(&recall).map(|(p, r)| 2.0 * p * r / (p + r)).collect(),
            precision,
            recall,
            log_loss: log_loss / count,
            brier: brier / count,
            confusion,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_classes_follow_by_hand() {
        // Truth 0, 0, 1, 1; forecasts 0, 1, 1, 1.
        let probabilities = [0.9, 0.1, 0.4, 0.6, 0.2, 0.8, 0.25, 0.75];
        let scores = Classification::score(&probabilities, &[0, 0, 1, 1], 2);
        assert_eq!(scores.confusion, [[1, 1], [0, 2]]);
        assert_eq!((scores.accuracy, scores.balanced_accuracy), (0.75, 0.75));
        assert_eq!(scores.recall, [0.5, 1.0]);
        assert!((scores.precision[1] - 2.0 / 3.0).abs() < 1e-12 && (scores.f1[1] - 0.8).abs() < 1e-12);
        let log_loss = -(0.9_f64.ln() + 0.4_f64.ln() + 0.8_f64.ln() + 0.75_f64.ln()) / 4.0;
        assert!((scores.log_loss - log_loss).abs() < 1e-6);
        assert!((scores.brier - (0.02 + 0.72 + 0.08 + 0.125) / 4.0).abs() < 1e-6);
    }
}
