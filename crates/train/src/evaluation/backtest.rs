use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tapeloom_core::Timestamp;

use crate::evaluation::Forecasts;
use crate::evaluation::Moments;

/// How forecasts are traded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BacktestConfig {
    /// Cost of trading, in basis points of the amount traded. Default 5.
    pub cost_bps: f64,
    /// Bars from one rebalancing to the next: the horizon of the forecasts. Default 1.
    pub horizon_bars: usize,
    /// Bars of a year, for annual figures. Default 252.
    pub bars_per_year: f64,
}

impl Default for BacktestConfig {
    fn default() -> Self {
        Self { cost_bps: 5.0, horizon_bars: 1, bars_per_year: 252.0 }
    }
}

/// What trading the forecasts would have given.
///
/// At each rebalancing a symbol's weight is its forecast over the sum of absolute forecasts, so gross exposure is 1.
/// Outcomes must be log returns from the trade's entry to its exit. Costs are taken on every change of weight. There is no
/// slippage beyond that, no borrowing fee and no limit of size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// One for each rebalancing.
    pub periods: Vec<Period>,
    /// Mean over standard deviation of the periods' returns, a year; 0 where nothing was traded.
    pub sharpe: f64,
    /// Of the equity from its peak, as a share in [0, 1].
    pub max_drawdown: f64,
    /// Mean of the absolute change of weights at a rebalancing; 2 is turning the whole book over.
    pub turnover: f64,
    /// Compound growth a year, as a share.
    pub annual_return: f64,
}

/// One holding period.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Period {
    /// The moment of the forecasts.
    pub time: Timestamp,
    /// Return after costs, as a share.
    pub net_return: f64,
    /// Return of holding every symbol in equal parts, without costs.
    pub benchmark_return: f64,
    /// Equity after the period; it starts at 1.
    pub equity: f64,
    /// Equity of the benchmark.
    pub benchmark_equity: f64,
}

impl Backtest {
    /// Trades the forecasts.
    #[must_use]
    pub fn run(forecasts: &Forecasts, config: &BacktestConfig) -> Self {
        let mut held: BTreeMap<u32, f64> = BTreeMap::new();
        let (mut equity, mut benchmark_equity, mut traded) = (1.0, 1.0, 0.0);
        let mut periods = Vec::new();
        for date in forecasts.dates().step_by(config.horizon_bars.max(1)) {
            let gross: f64 = date.iter().map(|row| row.value.abs()).sum();
            let weight = |value: f64| if gross > 0.0 { value / gross } else { 0.0 };
            let next: BTreeMap<u32, f64> = date.iter().map(|row| (row.symbol, weight(row.value))).collect();
            let turnover = change(&held, &next);
            let simple = |outcome: f64| outcome.exp() - 1.0;
            let gain: f64 = date.iter().map(|row| weight(row.value) * simple(row.outcome)).sum();
            let net_return = gain - turnover * config.cost_bps / 1e4;
            let benchmark_return = date.iter().map(|row| simple(row.outcome)).sum::<f64>() / date.len() as f64;
            equity *= 1.0 + net_return;
            benchmark_equity *= 1.0 + benchmark_return;
            traded += turnover;
            periods.push(Period { time: date[0].time, net_return, benchmark_return, equity, benchmark_equity });
            held = next;
        }
        let count = periods.len().max(1) as f64;
        let years = count * config.horizon_bars.max(1) as f64 / config.bars_per_year;
        let mut backtest = Self {
            sharpe: 0.0,
            max_drawdown: drawdowns(periods.iter().map(|p| p.equity)).into_iter().fold(0.0, f64::max),
            turnover: traded / count,
            annual_return: equity.powf(1.0 / years) - 1.0,
            periods,
        };
        let period_sharpe = backtest.period_sharpe();
        if period_sharpe.is_finite() {
            backtest.sharpe = period_sharpe * (config.bars_per_year / config.horizon_bars.max(1) as f64).sqrt();
        }
        backtest
    }

    /// Returns after costs, one for each period.
    #[must_use]
    pub fn returns(&self) -> Vec<f64> {
        self.periods.iter().map(|p| p.net_return).collect()
    }

    /// Sharpe ratio of one period, not annualised; NaN where returns do not vary.
    #[must_use]
    pub fn period_sharpe(&self) -> f64 {
        let m = Moments::of(&self.returns());
        m.mean / m.std
    }
}

/// How far each equity lies below its peak so far, the start of 1 included, as a share in [0, 1].
#[must_use]
pub fn drawdowns(equity: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut peak = 1.0_f64;
    let below = |value: f64| {
        peak = peak.max(value);
        1.0 - value / peak
    };
    equity.into_iter().map(below).collect()
}

fn change(held: &BTreeMap<u32, f64>, next: &BTreeMap<u32, f64>) -> f64 {
    let moved: f64 = next.iter().map(|(symbol, weight)| (weight - held.get(symbol).unwrap_or(&0.0)).abs()).sum();
    let sold: f64 = held.iter().filter(|(symbol, _)| !next.contains_key(symbol)).map(|(_, w)| w.abs()).sum();
    moved + sold
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tapeloom_core::{MatrixWindows, Segment, WindowSpec};

    /// One symbol whose outcomes are `returns` (simple) and whose feature is the forecast.
    fn forecasts(rows: &[(f32, f64)]) -> Forecasts {
        let times: Vec<Timestamp> = (0..rows.len() as i64).map(Timestamp::from_micros).collect();
        let segment = Segment {
            symbol: 0,
            features: rows.iter().map(|(f, _)| *f).collect(),
            targets: rows.iter().map(|(_, r)| (1.0 + r).ln() as f32).collect(),
            target_ends: times.clone(),
            times,
        };
        let spec = WindowSpec { steps: 1, features: vec!["f".into()], targets: vec!["y".into()], scaler: None };
        let source = MatrixWindows::all(spec, vec!["X".into()], Arc::new([segment])).expect("well formed");
        Forecasts::from_fn(&source, |x| Ok(x.iter().map(|v| f64::from(*v)).collect())).expect("plain")
    }

    #[test]
    fn equity_costs_and_turnover_follow_by_hand() {
        let config = BacktestConfig { cost_bps: 100.0, ..BacktestConfig::default() };
        let result = Backtest::run(&forecasts(&[(0.2, 0.10), (0.3, -0.05), (-0.1, -0.10)]), &config);
        let got: Vec<f64> = result.periods.iter().map(|p| p.net_return).collect();
        // Long 1 (cost 1 %), stay long (no cost), turn short (2 units, 2 %).
        for (got, want) in got.iter().zip([0.09, -0.05, 0.08]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        assert!((result.turnover - 1.0).abs() < 1e-12);
        assert!((result.max_drawdown - 0.05).abs() < 1e-6);
        assert!((result.periods[2].benchmark_equity - 1.1 * 0.95 * 0.9).abs() < 1e-6);
    }

    #[test]
    fn forecasts_of_zero_trade_nothing() {
        let result = Backtest::run(&forecasts(&[(0.0, 0.1), (0.0, -0.2)]), &BacktestConfig::default());
        assert_eq!((result.sharpe, result.turnover, result.max_drawdown, result.annual_return), (0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn a_longer_horizon_trades_less_often() {
        let rows: Vec<(f32, f64)> = (0..10).map(|i| (1.0, 0.01 * f64::from(i % 3))).collect();
        let config = BacktestConfig { horizon_bars: 5, ..BacktestConfig::default() };
        assert_eq!(Backtest::run(&forecasts(&rows), &config).periods.len(), 2);
    }
}
