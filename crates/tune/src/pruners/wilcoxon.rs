use super::{Pruner, Verdict, loss};
use crate::math::normal;
use crate::{History, TrialRecord};

/// Ends a trial that is significantly worse than the best one on the steps that both have reported: for steps that are alike,
/// such as folds of a walk-forward or seeds, and not for epochs.
///
/// One-sided signed-rank test of Wilcoxon, "Individual comparisons by ranking methods" (1945), ranks of zeros split between the
/// signs. A trial whose mean so far is no worse than the best one's is never ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Wilcoxon {
    p_value: f64,
    startup: usize,
}

impl Wilcoxon {
    /// Ends trials when the test gives less than `p_value`; 0.1 is usual.
    #[must_use]
    pub const fn new(p_value: f64) -> Self {
        Self { p_value, startup: 2 }
    }

    /// Needs so many common steps; 2 by default.
    #[must_use]
    pub const fn startup(mut self, steps: usize) -> Self {
        self.startup = if steps < 2 { 2 } else { steps };
        self
    }
}

impl Pruner for Wilcoxon {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        let Some(best) = history.best() else { return Verdict::Continue };
        let losses = |trial: &TrialRecord| -> Vec<(u64, f64)> {
            trial.reports.iter().map(|(step, values)| (*step, loss(history, values))).collect()
        };
        let (own, other) = (losses(trial), losses(best));
        let pairs = own.iter().filter_map(|(step, value)| {
            let place = other.binary_search_by_key(step, |(step, _)| *step).ok()?;
            Some(value - other[place].1)
        });
        let differences: Vec<f64> = pairs.filter(|difference| !difference.is_nan()).collect();
        if differences.len() < self.startup {
            return Verdict::Continue;
        }
        let mean = |values: &[(u64, f64)]| values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
        let p = signed_rank(&differences);
        if p >= self.p_value || mean(&own) <= mean(&other) {
            return Verdict::Continue;
        }
        let (steps, number) = (differences.len(), best.number);
        Verdict::prune(format!("worse than trial {number} on {steps} common steps, p = {p:.4}"))
    }

    fn identity(&self) -> String {
        format!("wilcoxon (p {}, startup {})", self.p_value, self.startup)
    }
}

/// How likely so large differences are if none is expected.
fn signed_rank(differences: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let count = sorted.len();
    let (mut positive, mut ties, mut start) = (0.0, 0.0, 0);
    let mut exact = count <= 50;
    while start < count {
        let alike = sorted[start..].iter().take_while(|x| x.abs() == sorted[start].abs()).count();
        // The mean of ranks start + 1 to start + alike.
        let rank = start as f64 + (alike as f64 + 1.0) / 2.0;
        let share = |x: &f64| if *x == 0.0 { 0.5 } else { f64::from(u8::from(*x > 0.0)) };
        positive += sorted[start..start + alike].iter().map(share).sum::<f64>() * rank;
        ties += (alike as f64).powi(3) - alike as f64;
        exact &= alike == 1 && sorted[start] != 0.0;
        start += alike;
    }
    let n = count as f64;
    if exact {
        return at_least(count, positive as usize);
    }
    let mean = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    if variance <= 0.0 { 1.0 } else { 1.0 - normal::cdf((positive - mean) / variance.sqrt()) }
}

/// The share of the 2^n ways to give signs to the ranks 1 to n whose positive ranks add up to `sum` or more.
fn at_least(n: usize, sum: usize) -> f64 {
    let total = n * (n + 1) / 2;
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for rank in 1..=n {
        (rank..=total).rev().for_each(|at| ways[at] = (ways[at] + ways[at - rank]) / 2.0);
        ways[..rank].iter_mut().for_each(|way| *way /= 2.0);
    }
    ways[sum..].iter().sum()
}

#[cfg(test)]
mod tests {
    use super::signed_rank;

    #[test]
    fn p_values_are_those_of_tables() {
        // scipy.stats.wilcoxon(x, alternative="greater", zero_method="zsplit") of SciPy 1.17.
        let close = |differences: &[f64], p: f64| {
            let got = signed_rank(differences);
            assert!((got - p).abs() < 1e-9, "{differences:?}: {got} instead of {p}");
        };
        close(&[1.0, 2.0, 3.0], 0.125);
        close(&[-1.0, 2.0, 3.0, 4.0], 0.125);
        close(&[0.5, -0.25, 1.5, 2.5, 3.5, -0.75, 4.5], 0.054_687_5);
    }
}
