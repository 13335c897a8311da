use serde::{Deserialize, Serialize};

use crate::indicator::Indicator;
use crate::{Error, Result};

/// One or more feature columns, computed from a symbol's own bars up to and including the row. None looks ahead.
///
/// `bars` counts bars of the input, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Feature {
    /// `ln(close / close[-bars])`. Column `log_return_{bars}`.
    LogReturn {
        /// At least 1.
        bars: usize,
    },
    /// Standard deviation (over n) of the last `bars` one-bar log returns. Column `volatility_{bars}`.
    Volatility {
        /// At least 2.
        bars: usize,
    },
    /// Wilder's relative strength index, 0 to 100. Column `rsi_{bars}`.
    Rsi {
        /// At least 2.
        bars: usize,
    },
    /// MACD histogram over the close. Column `macd_{fast}_{slow}_{signal}`.
    Macd {
        /// Span of the fast average, below `slow`.
        fast: usize,
        /// Span of the slow average.
        slow: usize,
        /// Span of the signal line.
        signal: usize,
    },
    /// The close's distance from its mean over the last `bars`, in standard deviations; 0 where it did not move. Column
    /// `zscore_{bars}`.
    Zscore {
        /// At least 2.
        bars: usize,
    },
    /// The same of the volume, over the rows that have one; 0 where the row has none. Column `volume_zscore_{bars}`.
    VolumeZscore {
        /// At least 2.
        bars: usize,
    },
    /// Day of the week and month on the circle: columns `weekday_sin`, `weekday_cos`, `month_sin`, `month_cos`.
    Calendar,
    /// Any SQL expression over `symbol`, `ts`, `open`, `high`, `low`, `close`, `volume` and the one-bar log return `ret`;
    /// write window functions with `PARTITION BY symbol ORDER BY ts` and a bounded frame.
    Sql {
        /// Of the column.
        name: String,
        /// The expression.
        expression: String,
        /// Rows before the first that is whole.
        look_back: usize,
    },
}

impl Feature {
    /// Column names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.columns().into_iter().map(|(name, _)| name).collect()
    }

    /// Bars before a row that its value needs; earlier rows are dropped. For the recursive indicators, whose memory never
    /// quite ends, it is the span after which they have settled.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        match self {
            Self::LogReturn { bars } | Self::Volatility { bars } | Self::Rsi { bars } => *bars,
            Self::Macd { slow, signal, .. } => *slow + *signal,
            Self::Zscore { bars } | Self::VolumeZscore { bars } => bars.saturating_sub(1),
            Self::Calendar => 0,
            Self::Sql { look_back, .. } => *look_back,
        }
    }

    /// The function of ours that the expression calls.
    pub(crate) const fn indicator(&self) -> Option<Indicator> {
        match self {
            Self::Rsi { bars } => Some(Indicator::Rsi { bars: *bars }),
            Self::Macd { fast, slow, signal } => Some(Indicator::Macd { fast: *fast, slow: *slow, signal: *signal }),
            Self::Volatility { bars } => Some(Indicator::Deviation { bars: *bars }),
            Self::Zscore { bars } | Self::VolumeZscore { bars } => Some(Indicator::Zscore { bars: *bars }),
            Self::LogReturn { .. } | Self::Calendar | Self::Sql { .. } => None,
        }
    }

    /// Name and SQL expression of each column.
    pub(crate) fn columns(&self) -> Vec<(String, String)> {
        const SYMBOL: &str = "PARTITION BY symbol ORDER BY ts";
        let own = |column: &str| {
            let function = self.indicator().map(Indicator::name).unwrap_or_default();
            format!("{function}({column}) OVER ({SYMBOL})")
        };
        let circle = |name: &str, part: &str, period: u32| {
            let angle = format!("2 * pi() * date_part('{part}', ts) / {period}");
            [(format!("{name}_sin"), format!("sin({angle})")), (format!("{name}_cos"), format!("cos({angle})"))]
        };
        match self {
            Self::LogReturn { bars } => {
                vec![(format!("log_return_{bars}"), format!("ln(close / lag(close, {bars}) OVER ({SYMBOL}))"))]
            }
            Self::Volatility { bars } => vec![(format!("volatility_{bars}"), own("ret"))],
            Self::Rsi { bars } => vec![(format!("rsi_{bars}"), own("close"))],
            Self::Macd { fast, slow, signal } => vec![(format!("macd_{fast}_{slow}_{signal}"), own("close"))],
            Self::Zscore { bars } => vec![(format!("zscore_{bars}"), own("close"))],
            Self::VolumeZscore { bars } => {
                vec![(format!("volume_zscore_{bars}"), format!("coalesce({}, 0)", own("volume")))]
            }
            Self::Calendar => [circle("weekday", "dow", 7), circle("month", "month", 12)].concat(),
            Self::Sql { name, expression, .. } => vec![(name.clone(), expression.clone())],
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let at_least = |field: &str, value: usize, least: usize| {
            if value >= least { Ok(()) } else { Err(Error::invalid(field, value, format!("give at least {least}"))) }
        };
        match self {
            Self::LogReturn { bars } => at_least("log_return.bars", *bars, 1),
            Self::Volatility { bars } => at_least("volatility.bars", *bars, 2),
            Self::Rsi { bars } => at_least("rsi.bars", *bars, 2),
            Self::Zscore { bars } => at_least("zscore.bars", *bars, 2),
            Self::VolumeZscore { bars } => at_least("volume_zscore.bars", *bars, 2),
            Self::Macd { fast, slow, signal } => {
                at_least("macd.fast", *fast, 1)?;
                at_least("macd.signal", *signal, 1)?;
                at_least("macd.slow", *slow, fast + 1)
            }
            Self::Sql { name, .. }
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') =>
            {
                Err(Error::invalid("sql.name", name, "use letters, digits and '_'"))
            }
            Self::Calendar | Self::Sql { .. } => Ok(()),
        }
    }
}

/// What a window is a forecast of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Label {
    /// `ln(close[+delay + horizon] / close[+delay])`: a forecast made at a row trades `delay` rows later, and is held for
    /// `horizon` rows. With a delay of 1 the close that made the forecast is not also its entry price.
    ForwardReturn {
        /// At least 1.
        horizon: usize,
        /// 0 or more.
        delay: usize,
    },
}

impl Label {
    /// The target's name.
    #[must_use]
    pub fn name(&self) -> String {
        let Self::ForwardReturn { horizon, delay } = self;
        format!("forward_return_{horizon}_after_{delay}")
    }

    /// SQL of the label and of the time of the last row that it looks at.
    pub(crate) fn columns(&self) -> [String; 2] {
        let Self::ForwardReturn { horizon, delay } = self;
        let over = "OVER (PARTITION BY symbol ORDER BY ts)";
        let end = delay + horizon;
        let entry = if *delay == 0 { "close".into() } else { format!("lead(close, {delay}) {over}") };
        [format!("ln(lead(close, {end}) {over} / {entry})"), format!("lead(ts, {end}) {over}")]
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let Self::ForwardReturn { horizon, .. } = self;
        if *horizon == 0 { Err(Error::invalid("label.horizon", horizon, "give at least 1 bar")) } else { Ok(()) }
    }
}
