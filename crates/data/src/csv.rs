use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use flate2::read::MultiGzDecoder;
use tapeloom_core::{Fingerprint, Timestamp};

use crate::bars::BarsBuilder;
use crate::{Error, Result};

/// A CSV file of bars, plain or gzip (told by its first bytes).
///
/// Two layouts: [`CsvSource::bars`] is one symbol with a column each for date, prices and volume; [`CsvSource::panel`] is a
/// date column followed by one column of closes for each symbol, where an empty cell means not listed.
#[derive(Clone, Debug)]
pub struct CsvSource {
    path: PathBuf,
    layout: Layout,
    date_format: String,
    sha256: Option<String>,
    adjust: bool,
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

    /// Many symbols: a `Date` column, and the closes of each symbol under its name.
    pub fn panel(path: impl Into<PathBuf>) -> Self {
        Self::new(path.into(), Layout::Panel)
    }

    fn new(path: PathBuf, layout: Layout) -> Self {
        Self { path, layout, date_format: "%Y-%m-%d".into(), sha256: None, adjust: false }
    }

    /// How dates are written, in chrono's notation. Default `%Y-%m-%d`; RFC 3339 is always understood.
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

    /// Multiplies all prices by `Adj Close / Close`, so that dividends and splits leave no jump.
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
    /// that can't be read.
    pub fn read(&self) -> Result<(RecordBatch, Fingerprint)> {
        let stored = std::fs::read(&self.path).map_err(|source| Error::Io {
            action: "read",
            path: self.path.clone(),
            source,
        })?;
        let fingerprint = Fingerprint::of(&stored);
        if let Some(expected) = self.sha256.as_ref().filter(|e| **e != fingerprint.to_string()) {
            let problem = format!("the file has changed: sha256 is {fingerprint}, expected {expected}");
            return Err(Error::bad_file(&self.path, problem));
        }
        let text = self.unpack(stored)?;
        let table = self.table(&text)?;
        Ok((self.rows(&table)?, fingerprint))
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    fn unpack(&self, stored: Vec<u8>) -> Result<Vec<u8>> {
        if !stored.starts_with(&[0x1f, 0x8b]) {
            return Ok(stored);
        }
        let mut text = Vec::new();
        MultiGzDecoder::new(&stored[..])
            .read_to_end(&mut text)
            .map_err(|e| Error::bad_file(&self.path, format!("broken gzip: {e}")))?;
        Ok(text)
    }

    /// All cells as text.
    fn table(&self, text: &[u8]) -> Result<RecordBatch> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::bad_file(&self.path, "the file is empty"));
        }
        let broken = |e: datafusion::arrow::error::ArrowError| Error::bad_file(&self.path, e.to_string());
        let (header, _) =
            Format::default().with_header(true).infer_schema(Cursor::new(text), Some(0)).map_err(broken)?;
        let fields: Vec<Field> =
            header.fields().iter().map(|f| Field::new(f.name().trim(), DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let reader = ReaderBuilder::new(schema.clone()).with_header(true).build(Cursor::new(text)).map_err(broken)?;
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(broken)?;
        let table = datafusion::arrow::compute::concat_batches(&schema, &batches).map_err(broken)?;
        if table.num_rows() == 0 {
            return Err(Error::bad_file(&self.path, "the file has a header and no rows"));
        }
        Ok(table)
    }

    fn column<'a>(&self, table: &'a RecordBatch, name: &str) -> Option<(&'a str, &'a StringArray)> {
        let schema = table.schema_ref();
        let at = schema.fields().iter().position(|f| f.name().eq_ignore_ascii_case(name))?;
        Some((schema.field(at).name(), table.column(at).as_string()))
    }

    fn require<'a>(&self, table: &'a RecordBatch, name: &str) -> Result<(&'a str, &'a StringArray)> {
        self.column(table, name).ok_or_else(|| {
            let there: Vec<&str> = table.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
            Error::bad_file(&self.path, format!("column {name} is missing; there are {}", there.join(", ")))
        })
    }

    fn rows(&self, table: &RecordBatch) -> Result<RecordBatch> {
        let (date_name, dates) = self.require(table, "Date")?;
        let mut bars = BarsBuilder::default();
        let time = |row: usize| -> Result<Timestamp> {
            let text = if dates.is_null(row) { "" } else { dates.value(row).trim() };
            self.parse_time(text).ok_or_else(|| {
                let problem = format!("is no date written as {}", self.date_format);
                self.bad_row(row, date_name, text, problem)
            })
        };
        match &self.layout {
            Layout::Bars(symbol) => {
                self.require(table, "Close")?;
                let columns = crate::bars::VALUES.map(|name| self.column(table, name));
                let adjusted = if self.adjust { Some(self.require(table, "Adj Close")?) } else { None };
                for row in 0..table.num_rows() {
                    let mut values = [None; 5];
                    for (value, column) in values.iter_mut().zip(&columns) {
                        *value = column.map_or(Ok(None), |(name, cells)| self.number(row, name, cells))?;
                    }
                    if let Some((name, cells)) = adjusted {
                        adjust(&mut values, self.number(row, name, cells)?);
                    }
                    bars.push(symbol, time(row)?, values, row as u64 + 1);
                }
            }
            Layout::Panel => {
                let symbols = table.schema_ref().fields().iter().map(|f| f.name().as_str());
                let symbols: Vec<&str> = symbols.filter(|name| *name != date_name).collect();
                for symbol in symbols {
                    let (_, cells) = self.require(table, symbol)?;
                    for row in 0..table.num_rows() {
                        if let Some(close) = self.number(row, symbol, cells)? {
                            bars.push(symbol, time(row)?, [None, None, None, Some(close), None], row as u64 + 1);
                        }
                    }
                }
            }
        }
        bars.finish(&self.name())
    }

    fn number(&self, row: usize, column: &str, cells: &StringArray) -> Result<Option<f64>> {
        let text = if cells.is_null(row) { "" } else { cells.value(row).trim() };
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.bad_row(row, column, text, "is no number".into()))
    }

    fn parse_time(&self, text: &str) -> Option<Timestamp> {
        let date = NaiveDate::parse_from_str(text, &self.date_format).ok();
        let midnight = date.and_then(|d| d.and_hms_opt(0, 0, 0)).map(|t| t.and_utc().timestamp_micros());
        midnight.map(Timestamp::from_micros).or_else(|| Timestamp::parse(text).ok())
    }

    fn bad_row(&self, row: usize, column: &str, value: &str, problem: String) -> Error {
        let value = format!("{:?}", value.chars().take(40).collect::<String>());
        Error::BadRow { file: self.name(), row: row as u64 + 1, column: column.to_owned(), value, problem }
    }
}

/// Scales prices so that the close becomes the adjusted close.
fn adjust(values: &mut [Option<f64>; 5], adjusted_close: Option<f64>) {
    let factor = adjusted_close.zip(values[3]).map(|(adjusted, close)| adjusted / close);
    let [prices @ .., _volume] = values;
    prices.iter_mut().for_each(|price| *price = price.zip(factor).map(|(price, factor)| price * factor));
}
