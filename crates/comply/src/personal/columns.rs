use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde::Serialize;
use tapeloom_core::Philox;

use super::detect::{Detector, Kind};
use super::pseudonym::Pseudonymizer;
use crate::{Error, Result};

/// What was found in a column of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnFinding {
    /// The column.
    pub column: String,
    /// Of what.
    pub kind: Kind,
    /// Rows in which there is one.
    pub rows: usize,
    /// The first of them.
    pub first_row: usize,
}

/// Looks for direct identifiers in all columns of text of a table, by column and kind.
#[must_use]
pub fn find_in_columns(detector: &Detector, table: &RecordBatch) -> Vec<ColumnFinding> {
    let mut findings = Vec::new();
    for (field, column) in table.schema().fields().iter().zip(table.columns()) {
        let mut kinds = BTreeMap::<Kind, (usize, usize)>::new();
        each_text(column, |row, text| {
            let mut seen: Vec<Kind> = detector.find(text).into_iter().map(|found| found.kind).collect();
            seen.sort_unstable();
            seen.dedup();
            seen.into_iter().for_each(|kind| kinds.entry(kind).or_insert((0, row)).0 += 1);
        });
        findings.extend(kinds.into_iter().map(|(kind, (rows, first_row))| ColumnFinding {
            column: field.name().clone(),
            kind,
            rows,
            first_row,
        }));
    }
    findings
}

/// What happens to a column.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Measure {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
    /// Pseudonyms of a key. The result stays personal data.
    Pseudonymize,
    /// Pseudonyms that the key turns back. The result stays personal data.
    PseudonymizeReversibly,
    /// What a [`Detector`] finds in the text is replaced by its kind.
    Redact(Detector),
    /// Numbers become the lower end of bins of this width; of text, so many first characters stay.
    Generalize(f64),
    /// Laplace noise of this scale is added to numbers: for a sum over persons who each change it by at most `s`, a scale of
    /// `s / epsilon` is differentially private (Dwork and others, 2006). Drawn from the key, which nobody may keep.
    Noise(f64),
}

/// What happens to each column of a table. A column that the plan does not name is an error: nothing slips through.
#[derive(Clone, Debug, Default)]
pub struct Plan(BTreeMap<String, Measure>);

impl Plan {
    /// Adds a column.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, measure: Measure) -> Self {
        self.0.insert(name.into(), measure);
        self
    }

    /// Whether a result is still personal data by the measures alone. That it is not does not make it anonymous: measure it
    /// with [`measure`](crate::measure).
    #[must_use]
    pub fn keeps_pseudonyms(&self) -> bool {
        self.0.values().any(|measure| matches!(measure, Measure::Pseudonymize | Measure::PseudonymizeReversibly))
    }

    /// The table with every measure taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that the plan does not name, a name that the table does not have, or a measure that a
    /// column's type does not take.
    pub fn apply(&self, table: &RecordBatch, pseudonyms: &Pseudonymizer) -> Result<RecordBatch> {
        let schema = table.schema();
        if let Some(name) = self.0.keys().find(|name| schema.index_of(name).is_err()) {
            return Err(Error::invalid("column", name, "the table has no such column"));
        }
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in schema.fields().iter().zip(table.columns()) {
            let name = field.name();
            let measure = self.0.get(name);
            let measure =
                measure.ok_or_else(|| Error::invalid("column", name, "the plan does not say what happens to it"))?;
            if matches!(measure, Measure::Drop) {
                continue;
            }
            let column = taken(measure, name, column, pseudonyms)?;
            fields.push(Field::new(name, column.data_type().clone(), true));
            columns.push(column);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        batch.map_err(|e| Error::invalid("plan", format!("{} columns", self.0.len()), e.to_string()))
    }
}

fn taken(measure: &Measure, name: &str, column: &ArrayRef, pseudonyms: &Pseudonymizer) -> Result<ArrayRef> {
    let unfit = || {
        Error::invalid(name, column.data_type(), "this measure does not take such a column: drop it, or cast it first")
    };
    let text = |change: &dyn Fn(&str) -> Result<String>| {
        let texts = texts(column).ok_or_else(unfit)?;
        let changed = texts.into_iter().map(|text| text.map(change).transpose()).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(StringArray::from(changed)) as ArrayRef)
    };
    match measure {
        Measure::Keep | Measure::Drop => Ok(column.clone()),
        Measure::Pseudonymize => text(&|value| Ok(pseudonyms.pseudonym(name, value))),
        Measure::PseudonymizeReversibly => text(&|value| pseudonyms.reversible(name, value)),
        Measure::Redact(detector) => text(&|value| Ok(detector.redact(value))),
        Measure::Generalize(width) if !width.is_finite() || *width <= 0.0 => {
            Err(Error::invalid(name, width, "give a width over zero"))
        }
        Measure::Generalize(width) => match column.data_type() {
            DataType::Float64 => {
                let numbers = column.as_primitive::<Float64Type>().iter();
                let bin = |number: f64| (number / width).floor() * width;
                Ok(Arc::new(Float64Array::from_iter(numbers.map(|number| number.map(bin)))))
            }
            DataType::Int64 => {
                let width = (*width as i64).max(1);
                let numbers = column.as_primitive::<Int64Type>().iter();
                let bin = |number: i64| number.div_euclid(width).saturating_mul(width);
                Ok(Arc::new(Int64Array::from_iter(numbers.map(|number| number.map(bin)))))
            }
            _ => text(&|value| Ok(value.chars().take(*width as usize).collect())),
        },
        Measure::Noise(scale) if !scale.is_finite() || *scale <= 0.0 => {
            Err(Error::invalid(name, scale, "give a scale over zero"))
        }
        Measure::Noise(scale) => {
            let numbers: Vec<Option<f64>> = match column.data_type() {
                DataType::Float64 => column.as_primitive::<Float64Type>().iter().collect(),
                DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|n| n.map(|n| n as f64)).collect(),
                _ => return Err(unfit()),
            };
            let noise = Laplace::new(pseudonyms, name, *scale);
            let noisy = numbers.into_iter().zip(0..).map(|(number, row)| number.map(|number| number + noise.at(row)));
            Ok(Arc::new(Float64Array::from_iter(noisy)))
        }
    }
}

/// Draws of the Laplace distribution, each a function of key, column and row.
struct Laplace {
    philox: Philox,
    scale: f64,
}

impl Laplace {
    fn new(pseudonyms: &Pseudonymizer, column: &str, scale: f64) -> Self {
        let seed = pseudonyms.pseudonym("noise", column);
        Self { philox: Philox::new(u64::from_str_radix(&seed[..16], 16).unwrap_or(0)), scale }
    }

    fn at(&self, row: u64) -> f64 {
        let words = self.philox.block([row as u32, (row >> 32) as u32, 0, 0]);
        let bits = u64::from(words[0]) << 32 | u64::from(words[1]);
        // Uniform in the open interval from -1/2 to 1/2, through the inverse of the distribution.
        let uniform = ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64 - 0.5;
        -self.scale * uniform.signum() * (1.0 - 2.0 * uniform.abs()).ln()
    }
}

fn texts(column: &ArrayRef) -> Option<Vec<Option<&str>>> {
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().collect(),
        DataType::Utf8View => column.as_string_view().iter().collect(),
        _ => return None,
    })
}

fn each_text(column: &ArrayRef, mut each: impl FnMut(usize, &str)) {
    let texts = texts(column).unwrap_or_default();
    texts.into_iter().enumerate().for_each(|(row, text)| {
        if let Some(text) = text {
            each(row, text);
        }
    });
}

/// Columns as text, for whatever compares values: numbers as they print, nothing as nothing.
pub(super) fn as_text(column: &ArrayRef) -> Option<Vec<String>> {
    if let Some(texts) = texts(column) {
        return Some(texts.into_iter().map(|text| text.unwrap_or_default().to_owned()).collect());
    }
    match column.data_type() {
        DataType::Int64 => {
            let numbers = column.as_primitive::<Int64Type>().iter();
            Some(numbers.map(|number| number.map(|number| number.to_string()).unwrap_or_default()).collect())
        }
        DataType::Float64 => {
            let numbers = column.as_primitive::<Float64Type>().iter();
            Some(numbers.map(|number| number.map(|number| number.to_string()).unwrap_or_default()).collect())
        }
        _ => None,
    }
}

/// A column as numbers, where it is one.
pub(super) fn as_numbers(column: &ArrayRef) -> Option<Vec<f64>> {
    match column.data_type() {
        DataType::Int64 => {
            Some(column.as_primitive::<Int64Type>().iter().map(|n| n.map_or(f64::NAN, |n| n as f64)).collect())
        }
        DataType::Float64 => Some(column.as_primitive::<Float64Type>().iter().map(|n| n.unwrap_or(f64::NAN)).collect()),
        _ => None,
    }
}
