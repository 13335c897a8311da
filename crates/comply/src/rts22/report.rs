use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields::FIELDS;
use crate::{Error, Result};

/// Numbers that fields have, with 0 for none.
pub(super) const SLOTS: usize = FIELDS.len() + 1;

/// One transaction report: text by field number, as in Annex I, Table 2 of Delegated Regulation (EU) 2017/590. A field that may
/// come several times has several values. Reads and writes `{"1": "NEWT", "61": ["SIZE", "ILQD"]}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<u8, Values>", into = "BTreeMap<u8, Values>")]
pub struct TransactionReport {
    /// By field, in the order of the fields.
    values: Vec<String>,
    /// Where the values of each field begin, and where the last ones end.
    starts: [u16; SLOTS + 1],
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl TransactionReport {
    /// A report from values by field number.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number other than 1 to 65, or for more values than any report has.
    pub fn new<T: Into<String>>(values: impl IntoIterator<Item = (u8, T)>) -> Result<Self> {
        let mut fields: Vec<(u8, String)> = values.into_iter().map(|(number, value)| (number, value.into())).collect();
        if let Some((number, _)) = fields.iter().find(|(number, _)| *number == 0 || usize::from(*number) >= SLOTS) {
            let remedy = format!("a report has fields 1 to {}", FIELDS.len());
            return Err(Error::invalid("field number", number, remedy));
        }
        let count = u16::try_from(fields.len()).ok().filter(|count| *count < 10_000);
        if count.is_none() {
            return Err(Error::invalid("values", fields.len(), "one report has less than 10000: give one at a time"));
        }
        fields.sort_by_key(|(number, _)| *number);
        let mut starts = [0; SLOTS + 1];
        fields.iter().for_each(|(number, _)| starts[usize::from(*number) + 1] += 1);
        (1..starts.len()).for_each(|slot| starts[slot] += starts[slot - 1]);
        Ok(Self { values: fields.into_iter().map(|(_, value)| value).collect(), starts })
    }

    /// The values of a field.
    #[must_use]
    pub fn values(&self, number: u8) -> &[String] {
        let slot = usize::from(number);
        if slot >= SLOTS {
            return &[];
        }
        &self.values[usize::from(self.starts[slot])..usize::from(self.starts[slot + 1])]
    }

    fn numbers(&self) -> impl Iterator<Item = u8> {
        (1..SLOTS as u8).filter(|number| !self.values(*number).is_empty())
    }

    /// The report as rules read it.
    pub(super) fn row(&self) -> Row<'_> {
        let mut row = Row { values: Vec::with_capacity(self.values.len()), starts: self.starts };
        row.values.extend(self.values.iter().map(String::as_str));
        row
    }
}

impl Default for TransactionReport {
    fn default() -> Self {
        Self { values: Vec::new(), starts: [0; SLOTS + 1] }
    }
}

/// Numbers only: a report names clients and prices.
impl fmt::Debug for TransactionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionReport with fields ")?;
        f.debug_list().entries(self.numbers()).finish()
    }
}

impl TryFrom<BTreeMap<u8, Values>> for TransactionReport {
    type Error = Error;

    fn try_from(fields: BTreeMap<u8, Values>) -> Result<Self> {
        let values = fields.into_iter().flat_map(|(number, values)| {
            let values = match values {
                Values::One(value) => vec![value],
                Values::Several(values) => values,
            };
            values.into_iter().map(move |value| (number, value))
        });
        Self::new(values)
    }
}

impl From<TransactionReport> for BTreeMap<u8, Values> {
    fn from(report: TransactionReport) -> Self {
        let of = |number| match report.values(number) {
            [only] => Values::One(only.clone()),
            several => Values::Several(several.to_vec()),
        };
        report.numbers().map(|number| (number, of(number))).collect()
    }
}

/// A report whose text lies elsewhere: in a [`TransactionReport`], or in the columns of a table.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    values: Vec<&'a str>,
    starts: [u16; SLOTS + 1],
}

impl<'a> Row<'a> {
    /// Takes the fields in the order of their numbers.
    pub(crate) fn of(fields: impl IntoIterator<Item = (u8, &'a str)>) -> Self {
        let (mut values, mut starts) = (Vec::with_capacity(32), [0; SLOTS + 1]);
        for (number, value) in fields {
            values.push(value);
            starts[usize::from(number) + 1] += 1;
        }
        (1..starts.len()).for_each(|slot| starts[slot] += starts[slot - 1]);
        Self { values, starts }
    }

    pub(super) fn values(&self, number: u8) -> &[&'a str] {
        let slot = usize::from(number);
        &self.values[usize::from(self.starts[slot])..usize::from(self.starts[slot + 1])]
    }

    pub(super) fn first(&self, number: u8) -> Option<&'a str> {
        self.values(number).first().copied()
    }

    pub(super) fn has(&self, number: u8) -> bool {
        !self.values(number).is_empty()
    }
}
