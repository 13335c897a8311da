//! The run as a page.

use tapeloom::core::{RunId, WindowSource};
use tapeloom::data::{FeatureFrame, Fold};
use tapeloom::track::{Axis, Guide, Report, Series, Verdict as Mark};
use tapeloom::train::{Verdict, drawdowns};

use crate::score::{self, Scored};
use crate::{Trained, market};

pub(crate) fn report(id: &RunId, frame: &FeatureFrame, folds: &[Fold], trained: &[Trained], scored: &Scored) -> Report {
    let evaluation = &scored.card.rows[0].1;
    let mark = if matches!(scored.card.verdict(), Verdict::None(_)) { Mark::Caution } else { Mark::Good };
    let periods = &evaluation.backtest.periods;
    let equity = periods.iter().map(|p| (p.time, p.equity));
    let holding = periods.iter().map(|p| (p.time, p.benchmark_equity));
    let below = drawdowns(periods.iter().map(|p| p.equity));
    let below = periods.iter().map(|p| p.time).zip(below.into_iter().map(|d| -d));
    let points = scored.model.rows().iter().map(|row| (row.value, row.outcome));
    let report = Report::new(format!("Quickstart run {id}"))
        .lead(format!(
            "LSTM with attention on {} symbols and {} features of daily bars, retrained at each step of a walk-forward. \
             All scores are out of sample.",
            frame.symbols().len(),
            frame.spec().features.len()
        ))
        .verdict(mark, score::verdict(&scored.card))
        .section("Scores")
        .table("After costs of 5 basis points; Sharpe is annual, t is the IC in standard errors", score::HEADERS, score::rows(&scored.card))
        .section("Trading the forecasts")
        .lines(
            "Equity against holding all symbols in equal parts",
            Axis::date(""),
            Axis::number("growth of 1"),
            [Series::dated("model, after costs", equity), Series::dated("buy and hold", holding)],
        )
        .area("Drawdown of the model", Axis::date(""), Axis::percent("below peak"), Series::dated("drawdown", below))
        .section("Forecasts")
        .scatter("Forecast against outcome, next day but one", Axis::percent("forecast"), Axis::percent("outcome"), points, Guide::Regression)
        .section("Training");
    losses(report, trained)
        .table(
            "Blocks of the walk-forward",
            ["fold", "training", "validation", "test"],
            folds.iter().enumerate().map(|(i, fold)| {
                let block = |b: &dyn WindowSource| market::span(b);
                [(i + 1).to_string(), block(&fold.train), block(&fold.valid), block(&fold.test)]
            }),
        )
        .notes([
            "A loss of 1 is what forecasting zero would cost on the training targets.".to_owned(),
            "A forecast made at a close is traded at the next close and held for one day.".to_owned(),
            "The universe overlaps (SPX and SPY move as one), so symbols are not independent and t is too kind."
                .to_owned(),
            "Example data, not for trading; see examples/data/README.md.".to_owned(),
        ])
}

fn losses(report: Report, trained: &[Trained]) -> Report {
    let curves = trained.iter().enumerate().flat_map(|(i, t)| {
        let curve = |name: &str, of: fn(&tapeloom::train::EpochSummary) -> f64| {
            Series::new(format!("fold {} {name}", i + 1), t.fitted.history.iter().map(|e| (e.epoch as f64, of(e))))
        };
        [curve("training", |e| e.train_loss), curve("validation", |e| e.valid_loss)]
    });
    report.lines("Loss by epoch", Axis::number("epoch"), Axis::number("loss"), curves)
}
