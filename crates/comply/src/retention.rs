use chrono::{Months, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Kinds of records with a legal minimum of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordClass {
    /// Orders and transactions: five years (MiFIR art. 25(1)).
    Transactions,
    /// Recorded conversations and communications: five years, seven when the authority asks (MiFID II art. 16(7)).
    Communications,
    /// Changes of trading algorithms and order records of high-frequency trading: five years (RTS 6 art. 28).
    Algorithms,
    /// Audit records that serve none of the above: one year, a floor of this product.
    Audit,
}

impl RecordClass {
    /// Years that the law wants at least.
    #[must_use]
    pub const fn minimum_years(self) -> u32 {
        match self {
            Self::Transactions | Self::Communications | Self::Algorithms => 5,
            Self::Audit => 1,
        }
    }

    /// Where the minimum stands.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Transactions => "MiFIR art. 25(1)",
            Self::Communications => "MiFID II art. 16(7)",
            Self::Algorithms => "RTS 6 art. 28",
            Self::Audit => "product rule",
        }
    }
}

/// How long records are kept, in calendar years: 2555 days are not seven years, for those hold one or two leap days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Years for transactions. Default 7.
    pub transactions_years: u32,
    /// Years for communications. Default 7.
    pub communications_years: u32,
    /// Years for algorithm records. Default 7.
    pub algorithms_years: u32,
    /// Years for other audit records. Default 1.
    pub audit_years: u32,
    /// Nothing is deleted while an investigation or a suit is open. Default false.
    pub legal_hold: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self { transactions_years: 7, communications_years: 7, algorithms_years: 7, audit_years: 1, legal_hold: false }
    }
}

impl Retention {
    /// A policy from a number of days, as older configs have it, for every class but `audit`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the days are short of `years` calendar years, with the number that is not.
    pub fn from_days(days: u32, years: u32) -> Result<Self> {
        // The longest that `years` years can be: a leap day each four years, one more where the span begins before one.
        let needed = 365 * years + years.div_ceil(4);
        if days < needed {
            let remedy =
                format!("{years} years are up to {needed} days, leap days included; say {years} years instead");
            return Err(Error::Invalid { field: "data_retention_days".into(), value: days.to_string(), remedy });
        }
        let policy =
            Self { transactions_years: years, communications_years: years, algorithms_years: years, ..Self::default() };
        policy.validate()?;
        Ok(policy)
    }

    /// Checks each period against the law.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a period below its minimum, with the source.
    pub fn validate(&self) -> Result<()> {
        use RecordClass::{Algorithms, Audit, Communications, Transactions};
        for class in [Transactions, Communications, Algorithms, Audit] {
            let (years, least) = (self.years(class), class.minimum_years());
            if years < least {
                let field = format!("{class:?}_years").to_lowercase();
                let remedy = format!("{} wants at least {least} years", class.source());
                return Err(Error::Invalid { field, value: years.to_string(), remedy });
            }
        }
        Ok(())
    }

    /// Years that a class is kept.
    #[must_use]
    pub const fn years(&self, class: RecordClass) -> u32 {
        match class {
            RecordClass::Transactions => self.transactions_years,
            RecordClass::Communications => self.communications_years,
            RecordClass::Algorithms => self.algorithms_years,
            RecordClass::Audit => self.audit_years,
        }
    }

    /// The first day on which a record may be deleted. A record of 29 February expires on 1 March where the year has no 29th.
    #[must_use]
    pub fn expires(&self, class: RecordClass, created: NaiveDate) -> NaiveDate {
        let months = Months::new(12 * self.years(class));
        let end = created.checked_add_months(months).unwrap_or(NaiveDate::MAX);
        // chrono clips to the 28th, which would be a day short.
        if chrono::Datelike::day(&end) < chrono::Datelike::day(&created) { end.succ_opt().unwrap_or(end) } else { end }
    }

    /// Whether a record may be deleted on `today`.
    #[must_use]
    pub fn may_delete(&self, class: RecordClass, created: NaiveDate, today: NaiveDate) -> bool {
        !self.legal_hold && today >= self.expires(class, created)
    }
}
