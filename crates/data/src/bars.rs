use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tapeloom_core::Timestamp;

use crate::Result;
use crate::error::Asked;

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
