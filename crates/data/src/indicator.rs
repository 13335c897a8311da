use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

/// An indicator over one column, as a window function that keeps its state and streams.
///
/// Deviations are here too: the engine's own slide over a frame by adding and taking away, and what rounding leaves of a
/// large value then outweighs the small ones that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Indicator {
    /// Wilder's relative strength index, 0 to 100 ("New concepts in technical trading systems", 1978).
    Rsi { bars: usize },
    /// Appel's MACD histogram, over the close so that symbols compare: (MACD - signal) / close.
    Macd { fast: usize, slow: usize, signal: usize },
    /// Standard deviation (over n) of the last rows that hold a value.
    Deviation { bars: usize },
    /// The row's distance from the mean of the last rows that hold a value, in their standard deviations.
    Zscore { bars: usize },
}

impl Indicator {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Rsi { bars } => format!("rsi_{bars}"),
            Self::Macd { fast, slow, signal } => format!("macd_{fast}_{slow}_{signal}"),
            Self::Deviation { bars } => format!("deviation_{bars}"),
            Self::Zscore { bars } => format!("zscore_{bars}"),
        }
    }

    /// The function to register under [`Indicator::name`]; it takes one column.
    pub(crate) fn function(self) -> WindowUDF {
        let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
        WindowUDF::from(Function { name: self.name(), indicator: self, signature })
    }

    fn state(self) -> State {
        match self {
            Self::Rsi { bars } => State::Rsi(Rsi { bars, ..Rsi::default() }),
            Self::Macd { fast, slow, signal } => {
                State::Macd { fast: Ema::new(fast), slow: Ema::new(slow), signal: Ema::new(signal) }
            }
            Self::Deviation { bars } => State::Deviation(Last::new(bars)),
            Self::Zscore { bars } => State::Zscore(Last::new(bars)),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    name: String,
    indicator: Indicator,
    signature: Signature,
}

impl WindowUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs<'_>,
    ) -> datafusion::common::Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator(self.indicator.state())))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> datafusion::common::Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Float64, true)))
    }
}

/// One for each symbol; rows come in order, one at a time.
#[derive(Debug)]
struct Evaluator(State);

impl PartitionEvaluator for Evaluator {
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> datafusion::common::Result<ScalarValue> {
        let column = values[0].as_primitive::<Float64Type>();
        let value = column.is_valid(range.start).then(|| column.value(range.start));
        Ok(ScalarValue::Float64(self.0.push(value)))
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }
}

#[derive(Debug)]
enum State {
    Rsi(Rsi),
    Macd { fast: Ema, slow: Ema, signal: Ema },
    Deviation(Last),
    Zscore(Last),
}

impl State {
    /// Takes the next row's value; nothing comes out for an empty row or during warm-up.
    fn push(&mut self, value: Option<f64>) -> Option<f64> {
        match self {
            Self::Rsi(rsi) => rsi.push(value?),
            Self::Macd { fast, slow, signal } => {
                let close = value?;
                let line = fast.push(close) - slow.push(close);
                Some((line - signal.push(line)) / close)
            }
            Self::Deviation(last) => last.push(value).map(|(_, deviation)| deviation),
            // What did not move stands at its mean.
            Self::Zscore(last) => {
                last.push(value).map(|(off, deviation)| if deviation > 0.0 { off / deviation } else { 0.0 })
            }
        }
    }
}

/// The last rows, and how far the newest is from their mean.
#[derive(Debug)]
struct Last {
    bars: usize,
    rows: VecDeque<Option<f64>>,
}

impl Last {
    fn new(bars: usize) -> Self {
        Self { bars, rows: VecDeque::new() }
    }

    /// Distance of the newest value from the mean, and the standard deviation.
    fn push(&mut self, value: Option<f64>) -> Option<(f64, f64)> {
        self.rows.push_back(value);
        if self.rows.len() > self.bars {
            self.rows.pop_front();
        }
        let newest = value.filter(|_| self.rows.len() == self.bars)?;
        // Measured from the newest value, equal values have a deviation of exactly 0.
        let offsets = || self.rows.iter().flatten().map(|x| x - newest);
        let count = offsets().count() as f64;
        let mean = offsets().sum::<f64>() / count;
        let variance = offsets().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        Some((-mean, variance.sqrt()))
    }
}

/// Exponential moving average with weight `2 / (bars + 1)`, started at the first value.
#[derive(Debug)]
struct Ema {
    weight: f64,
    value: Option<f64>,
}

impl Ema {
    fn new(bars: usize) -> Self {
        Self { weight: 2.0 / (bars as f64 + 1.0), value: None }
    }

    fn push(&mut self, x: f64) -> f64 {
        let next = self.value.map_or(x, |value| value + self.weight * (x - value));
        self.value = Some(next);
        next
    }
}

/// Averages of gains and losses: a plain mean over the first changes, Wilder's smoothing from then on.
#[derive(Debug, Default)]
struct Rsi {
    bars: usize,
    last: Option<f64>,
    first: VecDeque<f64>,
    average: Option<(f64, f64)>,
}

impl Rsi {
    fn push(&mut self, close: f64) -> Option<f64> {
        let change = close - self.last.replace(close)?;
        let (gain, loss) = (change.max(0.0), (-change).max(0.0));
        let n = self.bars as f64;
        if let Some((up, down)) = self.average {
            self.average = Some(((up * (n - 1.0) + gain) / n, (down * (n - 1.0) + loss) / n));
        } else {
            self.first.push_back(change);
            if self.first.len() == self.bars {
                let sum = |sign: f64| self.first.iter().map(|c| (sign * c).max(0.0)).sum::<f64>();
                self.average = Some((sum(1.0) / n, sum(-1.0) / n));
            }
        }
        // A price that did not move has as much strength up as down.
        self.average.map(|(up, down)| if up + down > 0.0 { 100.0 * up / (up + down) } else { 50.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsi_starts_with_a_mean_and_goes_on_with_wilders_smoothing() {
        let mut rsi = Rsi { bars: 3, ..Rsi::default() };
        let out: Vec<Option<f64>> = [10.0, 11.0, 10.5, 12.0, 11.0].map(|c| rsi.push(c)).to_vec();
        // By hand: gains 1 and 1.5, loss 0.5 over 3; then gain 0 and loss 1: up (2.5/3 * 2)/3, down (0.5/3 * 2 + 1)/3.
        let (up, down) = (2.5 / 3.0 * 2.0 / 3.0, (0.5 / 3.0 * 2.0 + 1.0) / 3.0);
        assert_eq!(out[..3], [None, None, None]);
        assert!((out[3].expect("warm") - 100.0 * 2.5 / 3.0).abs() < 1e-12);
        assert!((out[4].expect("warm") - 100.0 * up / (up + down)).abs() < 1e-12);
    }

    #[test]
    fn a_flat_price_has_an_rsi_of_fifty_and_no_macd() {
        let mut rsi = Rsi { bars: 2, ..Rsi::default() };
        let mut macd = Indicator::Macd { fast: 2, slow: 4, signal: 3 }.state();
        for _ in 0..9 {
            rsi.push(5.0);
            assert_eq!(macd.push(Some(5.0)), Some(0.0));
        }
        assert_eq!(rsi.push(5.0), Some(50.0));
    }

    #[test]
    fn a_deviation_skips_empty_rows_and_waits_for_all_of_its_bars() {
        let mut state = Indicator::Deviation { bars: 3 }.state();
        let out = [Some(1.0), None, Some(3.0), Some(5.0)].map(|x| state.push(x));
        assert_eq!(out, [None, None, Some(1.0), Some(1.0)]);
        let mut state = Indicator::Zscore { bars: 2 }.state();
        assert_eq!([Some(1.0), Some(3.0), None, Some(3.0)].map(|x| state.push(x)), [None, Some(1.0), None, Some(0.0)]);
    }

    #[test]
    fn macd_follows_its_definition() {
        let closes = [10.0, 11.0, 13.0, 12.0];
        let mut macd = Indicator::Macd { fast: 1, slow: 3, signal: 3 }.state();
        let (mut slow, mut signal) = (closes[0], 0.0);
        for (i, close) in closes.into_iter().enumerate() {
            slow = if i == 0 { close } else { 0.5 * (slow + close) };
            let line = close - slow;
            signal = if i == 0 { line } else { 0.5 * (signal + line) };
            let got = macd.push(Some(close)).expect("always warm");
            assert!((got - (line - signal) / close).abs() < 1e-12);
        }
    }
}
