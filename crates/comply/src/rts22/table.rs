use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

use super::check::Rts22;
use super::report::{Row, SLOTS};
use super::rule::Outcome;
use crate::{Error, Result};

/// Parts the values of a field that comes several times.
const SEPARATOR: char = '|';

/// What came of a table of reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableOutcome {
    /// Reports.
    pub rows: usize,
    /// Rows of the reports in which a rule failed, with what came of each.
    pub failed: Vec<(usize, Outcome)>,
}

impl Rts22 {
    /// All rules over a table of reports: a row each, columns of text named by the number of their field, `1` to `65`. Values of a
    /// field that comes several times are parted by `|`; what is empty or null is not there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column with another name or type.
    pub fn check_table(&self, table: &RecordBatch) -> Result<TableOutcome> {
        let mut columns = Vec::new();
        for (field, column) in table.schema().fields().iter().zip(table.columns()) {
            let number: Option<u8> = field.name().parse().ok();
            let number = number.filter(|number| *number > 0 && usize::from(*number) < SLOTS);
            let number =
                number.ok_or_else(|| Error::invalid("column", field.name(), "name it by its field, 1 to 65"))?;
            if *column.data_type() != DataType::Utf8 {
                return Err(Error::invalid(field.name(), column.data_type(), "cast the column to Utf8"));
            }
            columns.push((number, column.as_string::<i32>()));
        }
        columns.sort_by_key(|(number, _)| *number);
        let mut failed = Vec::new();
        for row in 0..table.num_rows() {
            let there = columns.iter().filter(|(_, column)| column.is_valid(row) && !column.value(row).is_empty());
            let values =
                there.flat_map(|(number, column)| column.value(row).split(SEPARATOR).map(|value| (*number, value)));
            let outcome = self.check_row(&Row::of(values));
            if !outcome.is_sound() {
                failed.push((row, outcome));
            }
        }
        Ok(TableOutcome { rows: table.num_rows(), failed })
    }
}
