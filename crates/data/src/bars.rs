use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
    new_null_array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use tapeloom_core::{Fingerprint, Fingerprinter, Timestamp};

use crate::error::Asked;
use crate::{Error, Result};

/// Price and volume columns of a bar, in the order of [`schema`].
pub(crate) const VALUES: [&str; 5] = ["open", "high", "low", "close", "volume"];

/// The one shape of bars: symbol, time in UTC, prices and volume, and where the row came from.
///
/// Only `symbol`, `ts` and `close` must be there; a missing price or volume is null. `_file` and `_row` let an error name
/// the place.
#[must_use]
pub fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![Field::new("symbol", DataType::Utf8, false), Field::new("ts", time, false)];
    fields.extend(VALUES.map(|name| Field::new(name, DataType::Float64, true)));
    fields.push(Field::new("_file", DataType::Utf8, false));
    fields.push(Field::new("_row", DataType::UInt64, false));
    Arc::new(Schema::new(fields))
}

/// Collects bars row by row.
#[derive(Debug, Default)]
pub(crate) struct BarsBuilder {
    symbols: Vec<String>,
    times: Vec<i64>,
    values: [Vec<Option<f64>>; 5],
    rows: Vec<u64>,
}

impl BarsBuilder {
    pub(crate) fn push(&mut self, symbol: &str, time: Timestamp, values: [Option<f64>; 5], row: u64) {
        self.symbols.push(symbol.to_owned());
        self.times.push(time.micros());
        self.values.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        self.rows.push(row);
    }

    pub(crate) fn finish(self, file: &str) -> Result<RecordBatch> {
        let files = StringArray::from(vec![file; self.rows.len()]);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(self.symbols)),
            Arc::new(TimestampMicrosecondArray::from(self.times).with_timezone("UTC")),
        ];
        columns.extend(self.values.map(|values| Arc::new(Float64Array::from(values)) as ArrayRef));
        columns.push(Arc::new(files));
        columns.push(Arc::new(UInt64Array::from(self.rows)));
        RecordBatch::try_new(schema(), columns).asked("build bars")
    }
}

/// Brings a batch from elsewhere into the shape of [`schema`]: any text for `symbol`, any date or timestamp for `ts`, any
/// number for prices and volume; other columns are left out. Without
/// `_file` and `_row`, rows are named by `name` and their number from 1.
pub(crate) fn adopt(batch: &RecordBatch, name: &str) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let mut columns = Vec::new();
    for field in schema().fields() {
        let column: ArrayRef = match (field.name().as_str(), batch.column_by_name(field.name())) {
            (_, Some(column)) => convert(column, field, name)?,
            ("_file", None) => Arc::new(StringArray::from(vec![name; rows])),
            ("_row", None) => Arc::new(UInt64Array::from_iter_values(1..=rows as u64)),
            (_, None) if field.is_nullable() && field.name() != "close" => new_null_array(field.data_type(), rows),
            (column, None) => {
                let there: Vec<&str> = batch.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
                let remedy = format!("column {column} is missing; there are {}", there.join(", "));
                return Err(Error::invalid("bars", name, remedy));
            }
        };
        columns.push(column);
    }
    RecordBatch::try_new(schema(), columns).asked("adopt bars")
}

fn convert(column: &ArrayRef, field: &Field, name: &str) -> Result<ArrayRef> {
    let from = column.data_type();
    let (fits, remedy) = match field.data_type() {
        DataType::Utf8 => (from.is_string() || matches!(from, DataType::Dictionary(..)), "give text"),
        DataType::Float64 => (from.is_numeric() || from.is_null(), "give numbers"),
        DataType::UInt64 => (from.is_integer(), "give whole numbers"),
        _ => {
            (matches!(from, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64), "give dates or timestamps")
        }
    };
    let place = || format!("{name}, column {}", field.name());
    if !fits {
        return Err(Error::invalid(place(), from, remedy));
    }
    let converted = cast(column, field.data_type()).asked("convert bars")?;
    match (0..converted.len()).find(|row| !field.is_nullable() && converted.is_null(*row)) {
        Some(row) => Err(Error::BadRow {
            file: name.to_owned(),
            row: row as u64 + 1,
            column: field.name().clone(),
            value: "nothing".into(),
            problem: "stands there".into(),
        }),
        None => Ok(converted),
    }
}

/// Identifies bars by symbol, time and values, to the bit.
pub(crate) fn fingerprint(bars: &RecordBatch) -> Fingerprint {
    let mut print = Fingerprinter::default();
    let mut bytes = Vec::new();
    for symbol in bars.column(0).as_string::<i32>().iter().flatten() {
        bytes.extend_from_slice(&(symbol.len() as u64).to_le_bytes());
        bytes.extend_from_slice(symbol.as_bytes());
    }
    print.add(&bytes);
    bytes.clear();
    let times = bars.column(1).as_primitive::<TimestampMicrosecondType>();
    times.values().iter().for_each(|time| bytes.extend_from_slice(&time.to_le_bytes()));
    print.add(&bytes);
    for value in 2..2 + VALUES.len() {
        bytes.clear();
        for value in bars.column(value).as_primitive::<Float64Type>() {
            bytes.push(u8::from(value.is_some()));
            bytes.extend_from_slice(&value.unwrap_or_default().to_le_bytes());
        }
        print.add(&bytes);
    }
    print.finish()
}
