use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use tapeloom_core::Timestamp;

use super::fields::FIELDS;
use crate::{Date, Error, Format, Result};

/// One transaction report: text by field number, as in Annex I, Table 2 of Delegated Regulation (EU) 2017/590. A field that may
/// come several times has several values. Reads and writes `{"1": "NEWT", "61": ["SIZE", "ILQD"]}`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<u8, Values>", into = "BTreeMap<u8, Values>")]
pub struct TransactionReport(BTreeMap<u8, Vec<String>>);

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
    /// [`Error::Invalid`] for a number other than 1 to 65.
    pub fn new<T: Into<String>>(values: impl IntoIterator<Item = (u8, T)>) -> Result<Self> {
        let mut fields = BTreeMap::<u8, Vec<String>>::new();
        for (number, value) in values {
            if number == 0 || usize::from(number) > FIELDS.len() {
                return Err(Error::invalid(
                    "field number",
                    number,
                    format!("a report has fields 1 to {}", FIELDS.len()),
                ));
            }
            fields.entry(number).or_default().push(value.into());
        }
        Ok(Self(fields))
    }

    /// The values of a field.
    #[must_use]
    pub fn values(&self, number: u8) -> &[String] {
        self.0.get(&number).map_or(&[], Vec::as_slice)
    }

    pub(super) fn first(&self, number: u8) -> Option<&str> {
        self.values(number).first().map(String::as_str)
    }

    /// The trading date (field 28), where it is written right.
    pub(super) fn trading_date(&self) -> Option<Date> {
        let moment = self.first(28).filter(|text| Format::DateTime.check(text).is_ok())?;
        moment[..10].parse().ok()
    }
}

/// Numbers only: a report names clients and prices.
impl fmt::Debug for TransactionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionReport with fields ")?;
        f.debug_list().entries(self.0.keys()).finish()
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
        let one_or_several = |mut values: Vec<String>| match values.pop() {
            Some(only) if values.is_empty() => Values::One(only),
            last => Values::Several(values.into_iter().chain(last).collect()),
        };
        report.0.into_iter().map(|(number, values)| (number, one_or_several(values))).collect()
    }
}

/// What a report is held against besides itself. What is not given is not checked, and the result says so.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The moment of the check.
    pub now: Option<Timestamp>,
    /// ISO 3166-1 alpha-2 codes in use.
    pub countries: Option<BTreeSet<String>>,
    /// ISO 4217 codes in use.
    pub currencies: Option<BTreeSet<String>>,
    /// ISO 10383 codes in use, on the trading date.
    pub mics: Option<BTreeSet<String>>,
}
