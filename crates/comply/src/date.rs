use std::fmt;
use std::str::FromStr;

use chrono::{Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A calendar date, `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(NaiveDate);

impl Date {
    /// The date that many years later; of 29 February, 28 February where there is no 29th. The last date there is, when it
    /// lies beyond that.
    #[must_use]
    pub fn plus_years(self, years: u32) -> Self {
        let months = years.checked_mul(12).map(Months::new);
        Self(months.and_then(|months| self.0.checked_add_months(months)).unwrap_or(NaiveDate::MAX))
    }

    /// The date that many days later, or the last date there is.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self(self.0.checked_add_days(Days::new(days.into())).unwrap_or(NaiveDate::MAX))
    }
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid("date", format!("{text:?}"), "write YYYY-MM-DD, a day that exists");
        // The parser alone would also take signs, spaces and short years.
        let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = text.split('-');
        let shape = [4, 2, 2].iter().all(|length| parts.next().is_some_and(|part| digits(part, *length)));
        if !shape || parts.next().is_some() {
            return Err(bad());
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Date {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_that_exist_parse() {
        for good in ["2018-12-31", "2020-02-29", "2000-02-29", "0001-01-01"] {
            assert_eq!(good.parse::<Date>().map(|date| date.to_string()).ok().as_deref(), Some(good));
        }
        for bad in [
            "",
            "2019-02-29",
            "1900-02-29",
            "2018-13-01",
            "2018-1-01",
            "2018-01-1",
            "2018-01-1 ",
            "18-01-01",
            "+018-01-01",
            " 2018-01-01",
            "2018-01-01Z",
        ] {
            assert!(bad.parse::<Date>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn years_are_calendar_years() -> Result<()> {
        let later = |date: &str, years| Ok::<_, Error>(date.parse::<Date>()?.plus_years(years).to_string());
        assert_eq!(later("2019-03-01", 5)?, "2024-03-01");
        assert_eq!(later("2020-02-29", 4)?, "2024-02-29");
        assert_eq!(later("2020-02-29", 5)?, "2025-02-28");
        assert_eq!("2019-03-01".parse::<Date>()?.plus_days(1827).to_string(), "2024-03-01");
        let last = "2020-01-01".parse::<Date>()?.plus_years(u32::MAX);
        assert_eq!((last, last.plus_days(1)), (Date(NaiveDate::MAX), last));
        Ok(())
    }
}
