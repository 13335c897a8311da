use std::fmt;

use crate::{History, TrialStatus};

/// What became of trials that a pruner would have ended and that ran on for the audit, see
/// [`StudyBuilder::audit`](crate::StudyBuilder::audit).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PruningAudit {
    /// Trials that were ended.
    pub pruned: u64,
    /// Trials that ran on to their end.
    pub audited: u64,
    /// Those of them that reached the bar which the pruner thought they would not reach; where it named none, the best fifth of
    /// the trials that were complete when it judged.
    pub wrong: u64,
    /// Those of them that became the best of the study.
    pub became_best: u64,
    /// The share of wrong verdicts, with ends of its 95 % interval (Wilson, "Probable inference", 1927); absent without audited
    /// trials.
    pub rate: Option<(f64, f64, f64)>,
}

/// Counts how often a study's pruner was wrong.
#[must_use]
pub fn pruning_audit(history: &History) -> PruningAudit {
    let best = history.best().map(|best| best.number);
    let mut audit = PruningAudit { pruned: 0, audited: 0, wrong: 0, became_best: 0, rate: None };
    for trial in history.trials() {
        if matches!(trial.status, TrialStatus::Pruned { .. }) && trial.judgements.iter().any(|j| !j.audited) {
            audit.pruned += 1;
        }
        let judgement = trial.judgements.iter().find(|judgement| judgement.audited);
        let (Some(judgement), Some(value)) = (judgement, trial.value()) else { continue };
        audit.audited += 1;
        let bar = judgement.bar.map(|bar| history.loss(bar)).or_else(|| best_fifth(history, trial.number));
        audit.wrong += u64::from(bar.is_some_and(|bar| history.loss(value) <= bar));
        audit.became_best += u64::from(Some(trial.number) == best);
    }
    if audit.audited > 0 {
        audit.rate = Some(wilson(audit.wrong as f64, audit.audited as f64));
    }
    audit
}

/// The loss that the best fifth of the complete trials before `number` reach.
fn best_fifth(history: &History, number: u64) -> Option<f64> {
    let before = history.trials().iter().take(number as usize);
    let mut losses: Vec<f64> = before.filter_map(|trial| trial.value().map(|value| history.loss(value))).collect();
    losses.sort_by(f64::total_cmp);
    losses.get(losses.len() / 5).copied()
}

fn wilson(hits: f64, of: f64) -> (f64, f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let rate = hits / of;
    let scale = 1.0 + Z * Z / of;
    let centre = (rate + Z * Z / (2.0 * of)) / scale;
    let half = Z / scale * (rate * (1.0 - rate) / of + Z * Z / (4.0 * of * of)).sqrt();
    (rate, (centre - half).max(0.0), (centre + half).min(1.0))
}

impl fmt::Display for PruningAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pruned, audited, wrong, became_best, rate } = self;
        write!(f, "{pruned} trials were pruned; {audited} more ran on for the audit")?;
        if let Some((rate, low, high)) = rate {
            let (rate, low, high) = (rate * 100.0, low * 100.0, high * 100.0);
            write!(
                f,
                ", {wrong} of them wrongly judged: {rate:.1} %, from {low:.1} to {high:.1} % at 95 % confidence"
            )?;
            write!(f, "; {became_best} became the best")?;
        }
        write!(f, ".")
    }
}

#[cfg(test)]
mod tests {
    use super::wilson;

    #[test]
    fn the_interval_is_that_of_the_formula() {
        // statsmodels.stats.proportion.proportion_confint(2, 40, method="wilson"), computed by hand from the formula.
        let (rate, low, high) = wilson(2.0, 40.0);
        assert!((rate - 0.05).abs() < 1e-12 && (low - 0.013_821).abs() < 1e-4 && (high - 0.165_037).abs() < 1e-3);
    }
}
