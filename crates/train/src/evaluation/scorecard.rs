use serde::Serialize;

use crate::evaluation::BacktestConfig;
use crate::evaluation::Evaluation;
use crate::evaluation::Forecasts;

/// A model beside the baselines that it has to beat, scored alike on the same samples.
#[derive(Clone, Debug, Serialize)]
pub struct Scorecard {
    /// The model comes first.
    pub rows: Vec<(String, Evaluation)>,
    /// Trials that the deflated Sharpe ratios count.
    pub trials: usize,
}

/// What the scores allow to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "edge", content = "reasons", rename_all = "snake_case")]
pub enum Verdict {
    /// No edge was shown; the reasons are sentences.
    None(Vec<String>),
    /// Nothing here speaks against an edge. That is not proof: test on data that nobody has looked at.
    Possible,
}

impl Scorecard {
    /// What a t statistic and a deflated Sharpe ratio must reach before an edge is possible.
    const T: f64 = 2.0;
    const CONFIDENCE: f64 = 0.95;
    /// Daily returns are not forecast this well; a leak is likelier.
    const SUSPICIOUS_IC: f64 = 0.1;

    /// Scores `model` and `baselines`. `earlier` holds the per-period Sharpe ratios of other trials on the same data, such as
    /// the trials of a study.
    #[must_use]
    pub fn new(
        model: (&str, &Forecasts),
        baselines: &[(&str, &Forecasts)],
        earlier: &[f64],
        config: &BacktestConfig,
    ) -> Self {
        let all = std::iter::once(&model).chain(baselines);
        let mut rows: Vec<(String, Evaluation)> =
            all.map(|(name, forecasts)| ((*name).to_owned(), Evaluation::new(forecasts, config))).collect();
        let sharpes: Vec<f64> = rows.iter().map(|(_, e)| e.backtest.period_sharpe()).collect();
        for (i, (_, evaluation)) in rows.iter_mut().enumerate() {
            let others = sharpes.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, s)| *s);
            evaluation.deflate(&others.chain(earlier.iter().copied()).collect::<Vec<_>>());
        }
        let trials = sharpes.iter().chain(earlier).filter(|s| s.is_finite()).count();
        Self { rows, trials }
    }

    /// Says plainly whether the first row shows an edge over the others.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(((_, model), baselines)) = self.rows.split_first() else { return Verdict::None(vec![]) };
        let mut reasons = Vec::new();
        // NaN counts against the model.
        let above = |value: f64, least: f64| value.partial_cmp(&least).is_some_and(std::cmp::Ordering::is_gt);
        if !above(model.ic_t, Self::T) {
            reasons.push(format!(
                "IC {:+.4} is within chance (t = {:.1}, {} is needed)",
                model.ic,
                model.ic_t,
                Self::T
            ));
        }
        if model.ic > Self::SUSPICIOUS_IC {
            reasons.push(format!("IC {:+.4} is too good for daily returns: look for a leak first", model.ic));
        }
        if !above(model.deflated_sharpe, Self::CONFIDENCE) {
            let (p, trials) = (model.deflated_sharpe, self.trials);
            reasons.push(format!("deflated Sharpe {p:.2} over {trials} trials is below {}", Self::CONFIDENCE));
        }
        for (name, baseline) in baselines {
            if !above(model.backtest.sharpe, baseline.backtest.sharpe) {
                let (ours, theirs) = (model.backtest.sharpe, baseline.backtest.sharpe);
                reasons.push(format!("Sharpe after costs {ours:.2} does not beat {name} ({theirs:.2})"));
            }
        }
        if reasons.is_empty() { Verdict::Possible } else { Verdict::None(reasons) }
    }
}
