use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::arrow::array::RecordBatch;
use tapeloom_core::{Fingerprint, Timestamp};

use crate::bars::BarsBuilder;
use crate::cells::{self, Cells};
use crate::{Error, Result};

/// A CSV file of bars, plain or gzip (told by its first bytes).
///
/// Two layouts: [`CsvSource::bars`] is one symbol with a column each for date, prices and volume; [`CsvSource::panel`] is a
/// date column followed by one column of closes for each symbol, where an empty cell means not listed.
#[derive(Clone, Debug)]
pub struct CsvSource {
    path: PathBuf,
    layout: Layout,
    headers: Vec<(Column, String)>,
    date_format: String,
    sha256: Option<String>,
    adjust: bool,
}

/// A column that a file of one symbol's bars can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `Date`: the time of the bar; must be there.
    Date,
    /// `Open`.
    Open,
    /// `High`.
    High,
    /// `Low`.
    Low,
    /// `Close`; must be there.
    Close,
    /// `Volume`.
    Volume,
    /// `Adj Close`: the close as it would have been without later splits and dividends.
    AdjClose,
}

impl Column {
    /// In the order of [`crate::bars::VALUES`].
    const VALUES: [Self; 5] = [Self::Open, Self::High, Self::Low, Self::Close, Self::Volume];

    const fn usual_header(self) -> &'static str {
        match self {
            Self::Date => "Date",
            Self::Open => "Open",
            Self::High => "High",
            Self::Low => "Low",
            Self::Close => "Close",
            Self::Volume => "Volume",
            Self::AdjClose => "Adj Close",
        }
    }
}

#[derive(Clone, Debug)]
enum Layout {
    Bars(String),
    Panel,
}

impl CsvSource {
    /// One symbol: columns `Date`, `Open`, `High`, `Low`, `Close`, `Volume`; case does not matter, and all but date and
    /// close may be missing.
    pub fn bars(path: impl Into<PathBuf>, symbol: impl Into<String>) -> Self {
        Self::new(path.into(), Layout::Bars(symbol.into()))
    }

    /// Many symbols: the date first, then the closes of each symbol under its name.
    pub fn panel(path: impl Into<PathBuf>) -> Self {
        Self::new(path.into(), Layout::Panel)
    }

    fn new(path: PathBuf, layout: Layout) -> Self {
        Self { path, layout, headers: vec![], date_format: "%Y-%m-%d".into(), sha256: None, adjust: false }
    }

    /// Reads `column` of a file of bars from under `header`, which must then be there.
    #[must_use]
    pub fn column(mut self, column: Column, header: impl Into<String>) -> Self {
        self.headers.retain(|(c, _)| *c != column);
        self.headers.push((column, header.into()));
        self
    }

    /// How dates are written, in chrono's notation, with or without time of day and offset. Default `%Y-%m-%d`; RFC 3339 is
    /// always understood. A date without time is its midnight, a time without offset is in UTC.
    #[must_use]
    pub fn date_format(mut self, format: impl Into<String>) -> Self {
        self.date_format = format.into();
        self
    }

    /// Refuses the file unless its SHA-256, as 64 hex digits, is this.
    #[must_use]
    pub fn sha256(mut self, digest: impl Into<String>) -> Self {
        self.sha256 = Some(digest.into());
        self
    }

    /// Multiplies the prices of a file of bars by `Adj Close / Close`, so that dividends and splits leave no jump. Volume
    /// stays.
    ///
    /// Adjusted prices of a day depend on dividends paid after it; returns, and features made of ratios, do not.
    #[must_use]
    pub const fn adjusted(mut self) -> Self {
        self.adjust = true;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all bars, and the fingerprint of the file as stored.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadFile`] for a changed digest, an empty file or a missing column, [`Error::BadRow`] for a cell
    /// that can't be read, [`Error::Invalid`] for a setting that does not fit the layout.
    pub fn read(&self) -> Result<(RecordBatch, Fingerprint)> {
        let expected = self.sha256.as_deref().map(|hex| Fingerprint::parse(&hex.to_ascii_lowercase())).transpose()?;
        let stored = std::fs::read(&self.path).map_err(|source| Error::Io {
            action: "read",
            path: self.path.clone(),
            source,
        })?;
        let fingerprint = Fingerprint::of(&stored);
        if let Some(expected) = expected.filter(|expected| *expected != fingerprint) {
            let problem = format!("the file has changed: sha256 is {fingerprint}, expected {expected}");
            return Err(Error::bad_file(&self.path, problem));
        }
        let cells = Cells::parse(&self.path, stored)?;
        let mut bars = BarsBuilder::default();
        match &self.layout {
            Layout::Bars(symbol) => self.read_bars(&cells, symbol, &mut bars)?,
            Layout::Panel => self.read_panel(&cells, &mut bars)?,
        }
        Ok((bars.finish(&cells::name(&self.path))?, fingerprint))
    }

    fn read_bars(&self, cells: &Cells<'_>, symbol: &str, bars: &mut BarsBuilder) -> Result<()> {
        if symbol.is_empty() {
            return Err(Error::invalid("symbol", "\"\"", "give the bars a name"));
        }
        let date = cells.require(self.header(Column::Date))?;
        let mut columns = [None; 5];
        for (at, column) in columns.iter_mut().zip(Column::VALUES) {
            let must = column == Column::Close || self.headers.iter().any(|(mapped, _)| *mapped == column);
            let header = self.header(column);
            *at = if must { Some(cells.require(header)?) } else { cells.find(header)? };
        }
        let adjusted = if self.adjust { Some(cells.require(self.header(Column::AdjClose))?) } else { None };
        for row in 0..cells.rows() {
            let mut values = [None; 5];
            for (value, column) in values.iter_mut().zip(columns) {
                *value = column.map_or(Ok(None), |column| cells.number(row, column))?;
            }
            if let Some(column) = adjusted {
                adjust(&mut values, cells.number(row, column)?);
            }
            bars.push(symbol, self.time(cells, row, date)?, values, row as u64 + 1);
        }
        Ok(())
    }

    fn read_panel(&self, cells: &Cells<'_>, bars: &mut BarsBuilder) -> Result<()> {
        if self.adjust || !self.headers.is_empty() {
            let remedy = "a panel holds one close for each symbol: leave out column() and adjusted()";
            return Err(Error::invalid("panel", self.path.display(), remedy));
        }
        let times = (0..cells.rows()).map(|row| self.time(cells, row, 0)).collect::<Result<Vec<_>>>()?;
        for (column, symbol) in cells.headers().into_iter().enumerate().skip(1) {
            cells.check_single(column)?;
            for (row, time) in times.iter().enumerate() {
                if let Some(close) = cells.number(row, column)? {
                    bars.push(symbol, *time, [None, None, None, Some(close), None], row as u64 + 1);
                }
            }
        }
        Ok(())
    }

    fn header(&self, column: Column) -> &str {
        let mapped = self.headers.iter().find(|(mapped, _)| *mapped == column);
        mapped.map_or(column.usual_header(), |(_, header)| header)
    }

    fn time(&self, cells: &Cells<'_>, row: usize, column: usize) -> Result<Timestamp> {
        let text = cells.text(row, column);
        parse_time(text, &self.date_format)
            .ok_or_else(|| cells.bad(row, column, format!("is no date written as {}", self.date_format)))
    }
}

/// Most exact reading first: a shorter one would silently leave out offset or time of day.
fn parse_time(text: &str, format: &str) -> Option<Timestamp> {
    let exact = || DateTime::parse_from_str(text, format).ok().map(|t| t.timestamp_micros());
    let local = || NaiveDateTime::parse_from_str(text, format).ok().map(|t| t.and_utc().timestamp_micros());
    let date =
        || Some(NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
    let micros = exact().or_else(local).or_else(date);
    micros.map(Timestamp::from_micros).or_else(|| Timestamp::parse(text).ok())
}

/// Scales prices so that the close becomes the adjusted close.
fn adjust(values: &mut [Option<f64>; 5], adjusted_close: Option<f64>) {
    let factor = adjusted_close.zip(values[3]).map(|(adjusted, close)| adjusted / close);
    let [prices @ .., _volume] = values;
    prices.iter_mut().for_each(|price| *price = price.zip(factor).map(|(price, factor)| price * factor));
}
