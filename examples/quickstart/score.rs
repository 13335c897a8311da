//! The model against baselines that cost nothing.

use comfy_table::{CellAlignment, Table, presets};
use tapeloom::data::Fold;
use tapeloom::train::{BacktestConfig, Forecasts, Scorecard, Verdict, baseline};

use crate::AnyError;

pub(crate) struct Scored {
    pub(crate) card: Scorecard,
    pub(crate) model: Forecasts,
}

pub(crate) fn scorecard(model: Forecasts, folds: &[Fold]) -> Result<Scored, AnyError> {
    let each = |forecast: &dyn Fn(&Fold) -> tapeloom::train::Result<Forecasts>| -> Result<Forecasts, AnyError> {
        Ok(Forecasts::join(folds.iter().map(forecast).collect::<Result<Vec<_>, _>>()?))
    };
    let zero = each(&|fold| baseline::zero(&fold.test))?;
    let last = each(&|fold| baseline::last_value(&fold.test, "log_return_1"))?;
    let linear = each(&|fold| baseline::ridge(&fold.train, &fold.test, 0.01))?;
    let baselines = [("zero", &zero), ("last return", &last), ("linear (ridge)", &linear)];
    let card = Scorecard::new(("LSTM attention", &model), &baselines, &[], &BacktestConfig::default());
    Ok(Scored { card, model })
}

pub(crate) const HEADERS: [&str; 9] =
    ["model", "IC", "rank IC", "t", "direction", "Sharpe", "deflated", "drawdown", "turnover"];

/// One row of text for each model.
pub(crate) fn rows(card: &Scorecard) -> Vec<Vec<String>> {
    let number = |x: f64, digits: usize| if x.is_finite() { format!("{x:+.digits$}") } else { "-".into() };
    let share = |x: f64| if x.is_finite() { format!("{:.1} %", 100.0 * x) } else { "-".into() };
    let row = |(name, e): &(String, tapeloom::train::Evaluation)| {
        vec![
            name.clone(),
            number(e.ic, 4),
            number(e.rank_ic, 4),
            number(e.ic_t, 1),
            share(e.directional_accuracy),
            number(e.backtest.sharpe, 2),
            if e.deflated_sharpe.is_finite() { format!("{:.2}", e.deflated_sharpe) } else { "-".into() },
            share(e.backtest.max_drawdown),
            format!("{:.2}", e.backtest.turnover),
        ]
    };
    card.rows.iter().map(row).collect()
}

pub(crate) fn table(card: &Scorecard) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(HEADERS).add_rows(rows(card));
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Says plainly what the numbers allow.
pub(crate) fn verdict(card: &Scorecard) -> String {
    match card.verdict() {
        Verdict::None(reasons) => format!("No edge: {}.", reasons.join("; ")),
        _ => "Nothing here speaks against an edge. Test it on data that nobody has looked at before you believe it."
            .into(),
    }
}
