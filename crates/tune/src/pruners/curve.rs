use super::{Pruner, Verdict, loss, newest};
use crate::math::ridge::Ridge;
use crate::{Error, History, Result, TrialRecord};

/// Ends a trial that will hardly be one of the good ones at its end, from how the curves of complete trials went on.
///
/// When the number of reports has doubled, a ridge regression over the complete trials tells the final value from what a curve shows so far: its last and
/// best value, its slope, and where a power law through it ends. The errors that it makes on trials which it did not see
/// (leave-one-out) say how far to trust it: a trial ends when at most a share `error` of them would lift it over the bar, which
/// is what the best `quantile` of complete trials reach. So curves that cross make it careful, and with fewer than about
/// 1 / `error` complete trials it says nothing.
///
/// A share of its verdicts should be [audited](crate::StudyBuilder::audit): audited trials stand for all that were ended, so
/// that what it learns from is not only what it let live.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    last_step: u64,
    error: f64,
    quantile: f64,
    audit: f64,
    warmup: u64,
}

/// More curves than these, the newest, say nothing new.
const CURVES: usize = 300;
/// Complete trials below which a regression of five numbers means nothing.
const FEWEST: usize = 12;

impl Curve {
    /// For trials that end at `last_step`: an error of 5 %, the best fifth, from the second report on.
    #[must_use]
    pub const fn new(last_step: u64) -> Self {
        Self { last_step, error: 0.05, quantile: 0.2, audit: 0.05, warmup: 0 }
    }

    /// How many of the trials that it ends may have been good ones.
    #[must_use]
    pub const fn error(mut self, share: f64) -> Self {
        self.error = share;
        self
    }

    /// Which trials are good ones: the best share of the complete ones.
    #[must_use]
    pub const fn quantile(mut self, share: f64) -> Self {
        self.quantile = share;
        self
    }

    /// The share of the study's [audit](crate::StudyBuilder::audit), 5 % by default; 0 when there is none.
    #[must_use]
    pub const fn audit(mut self, share: f64) -> Self {
        self.audit = share;
        self
    }

    /// From which step on.
    #[must_use]
    pub const fn warmup(mut self, step: u64) -> Self {
        self.warmup = step;
        self
    }

    /// The chance that the trial ends below `bar`, or none where there is too little to tell.
    fn chance(&self, curves: &[Seen], own: &[f64], bar: f64) -> Option<f64> {
        let rows: Vec<Vec<f64>> = curves.iter().map(|curve| curve.features.clone()).collect();
        let targets: Vec<f64> = curves.iter().map(|curve| curve.last).collect();
        let weights: Vec<f64> = curves.iter().map(|curve| curve.weight).collect();
        let fit = Ridge::fit(&rows, &targets, &weights)?;
        let predicted = fit.predict(own);
        // One more error, which nobody has seen, would lift it: what conformal prediction adds for the trial itself.
        let (mut over, mut all) = (1.0, 1.0);
        for (residual, weight) in fit.left_out().iter().zip(&weights) {
            all += weight;
            if predicted + residual <= bar {
                over += weight;
            }
        }
        Some(over / all)
    }

    /// What the best `quantile` of all ended trials reach. Those that were ended early count as worse, or the bar would rise with
    /// every one of them.
    fn bar(&self, history: &History) -> f64 {
        let mut finals: Vec<f64> = history.trials().iter().filter_map(|t| t.value().map(|x| history.loss(x))).collect();
        finals.sort_by(f64::total_cmp);
        let place = self.quantile * (finals.len() as u64 + history.count("pruned")) as f64;
        finals.get(place as usize).or(finals.last()).copied().unwrap_or(f64::INFINITY)
    }

    /// Curves that were complete when it is judged, as they were at `step`.
    fn seen(&self, history: &History, step: u64) -> Vec<Seen> {
        let complete = history.trials().iter().rev().filter(|trial| trial.value().is_some());
        let seen = complete.filter_map(|trial| {
            let last = history.loss(trial.value()?);
            let features = self.features(history, trial, step)?;
            // Those that were audited stand for all that were ended.
            let audited = self.audit > 0.0 && trial.judgements.iter().any(|j| j.audited && j.step <= step);
            let weight = if audited { 1.0 / self.audit } else { 1.0 };
            last.is_finite().then_some(Seen { features, last, weight })
        });
        seen.take(CURVES).collect()
    }

    /// What a curve shows at `step`.
    fn features(&self, history: &History, trial: &TrialRecord, step: u64) -> Option<Vec<f64>> {
        let points: Vec<(f64, f64)> = trial
            .reports
            .range(..=step)
            .map(|(step, values)| (*step as f64, loss(history, values)))
            .filter(|(_, value)| value.is_finite())
            .collect();
        let (last, best) = (points.last()?.1, points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min));
        let recent = &points[points.len() - (points.len() / 3).max(2).min(points.len())..];
        let slope = if recent.len() < 2 { 0.0 } else { (last - recent[0].1) / (points.last()?.0 - recent[0].0) };
        let left = (self.last_step as f64 - step as f64).max(0.0);
        Some(vec![last, best, slope * left.sqrt(), power_law(&points, self.last_step as f64).unwrap_or(last)])
    }
}

/// One complete curve as it was.
struct Seen {
    features: Vec<f64>,
    last: f64,
    weight: f64,
}

impl Pruner for Curve {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        let Some((step, own)) = newest(history, trial) else { return Verdict::Continue };
        // A few looks only: each one more is one more chance to be wrong.
        let looks = trial.reports.len() >= 2 && trial.reports.len().is_power_of_two();
        if !looks || step >= self.last_step || step < self.warmup {
            return Verdict::Continue;
        }
        let curves = self.seen(history, step);
        if curves.len() < FEWEST {
            return Verdict::Continue;
        }
        let bar = self.bar(history);
        let features = if own.is_finite() { self.features(history, trial, step) } else { None };
        let Some(features) = features else {
            return Verdict::Prune { reason: "it diverged".into(), bar: Some(history.loss(bar)) };
        };
        let Some(chance) = self.chance(&curves, &features, bar) else { return Verdict::Continue };
        if chance > self.error {
            return Verdict::Continue;
        }
        let (percent, bar, of) = (chance * 100.0, history.loss(bar), curves.len());
        let reason = format!("the curves of {of} complete trials give it a chance of {percent:.1} % to reach {bar:.6}");
        Verdict::Prune { reason, bar: Some(bar) }
    }

    fn identity(&self) -> String {
        let Self { last_step, error, quantile, audit, warmup } = self;
        format!("curve to step {last_step} (error {error}, quantile {quantile}, audit {audit}, warmup {warmup})")
    }

    fn check(&self, objectives: usize) -> Result<()> {
        let share = |field: &str, value: f64| {
            let valid = value.is_finite() && value > 0.0 && value < 1.0;
            if valid { Ok(()) } else { Err(Error::invalid(field, value, "give a share between 0 and 1")) }
        };
        share("error of the curve pruner", self.error)?;
        share("quantile of the curve pruner", self.quantile)?;
        if objectives == 1 {
            return Ok(());
        }
        Err(Error::invalid("pruner", "curve", "it judges one objective; for several use `Dominated` or none"))
    }
}

/// Where `a + b * step^-c` ends that lies closest to the points, newer ones counting more; it never ends above the last point.
fn power_law(points: &[(f64, f64)], end: f64) -> Option<f64> {
    if points.len() < 4 {
        return None;
    }
    let mut closest: Option<(f64, f64)> = None;
    for c in [0.25, 0.5, 0.75, 1.0, 1.5, 2.0] {
        // Weighted least squares of a line in step^-c.
        let (mut n, mut x1, mut y1, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let terms = points.iter().enumerate().map(|(i, (step, y))| ((i + 1) as f64, step.max(1.0).powf(-c), *y));
        for (w, x, y) in terms.clone() {
            (n, x1, y1, xx, xy) = (n + w, x1 + w * x, y1 + w * y, xx + w * x * x, xy + w * x * y);
        }
        let spread = n * xx - x1 * x1;
        if spread <= 1e-12 * xx * n {
            continue;
        }
        let b = ((n * xy - x1 * y1) / spread).max(0.0);
        let a = (y1 - b * x1) / n;
        let error: f64 = terms.map(|(w, x, y)| w * (y - a - b * x).powi(2)).sum();
        if closest.is_none_or(|(least, _)| error < least) {
            closest = Some((error, a + b * end.max(1.0).powf(-c)));
        }
    }
    closest.map(|(_, end)| end.min(points[points.len() - 1].1))
}

#[cfg(test)]
mod tests {
    use super::power_law;

    #[test]
    fn a_power_law_is_continued() {
        let points: Vec<(f64, f64)> = (1..=10).map(|t| (f64::from(t), 0.3 + 2.0 / f64::from(t))).collect();
        assert!((power_law(&points, 100.0).expect("enough points") - 0.32).abs() < 1e-9);
        assert_eq!(power_law(&points[..3], 100.0), None);
    }
}
