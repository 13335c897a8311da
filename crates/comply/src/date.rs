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

impl Date {
    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i32 {
        self.0.to_epoch_days()
    }
}

/// Whether the calendar has such a day.
pub(crate) const fn day_exists(year: u32, month: u32, day: u32) -> bool {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    1 <= day && day <= length
}

/// `YYYY-MM-DD` as days since 1970-01-01; none for anything else. A report has many dates, so this is quick.
pub(crate) fn days(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let number = |digits: &[&u8]| {
        digits
            .iter()
            .try_fold(0_u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(**digit - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    if !day_exists(year, month, day) {
        return None;
    }
    // Days from a civil date: years begin in March, so that the leap day is the last of a year.
    let (year, month) = (year as i32 - i32::from(month < 3), (month as i32 + 9) % 12);
    let day_of_year = (153 * month + 2) / 5 + day as i32 - 1;
    Some(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
}

/// `YYYY-MM-DDThh:mm:ss.ddddddZ` as microseconds since 1970-01-01; none for anything else.
pub(crate) fn micros(text: &[u8]) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', fraction @ .., b'Z'] = time else { return None };
    let digits = [h1, h2, m1, m2, s1, s2];
    if fraction.len() != 6 || !digits.iter().all(|d| d.is_ascii_digit()) || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |a: &u8, b: &u8| i64::from(*a - b'0') * 10 + i64::from(*b - b'0');
    let (hour, minute, second) = (two(h1, h2), two(m1, m2), two(s1, s2));
    let fraction = fraction.iter().fold(0, |number, digit| number * 10 + i64::from(*digit - b'0'));
    let is_time = hour < 24 && minute < 60 && second < 60;
    let seconds = i64::from(days(date)?) * 86_400 + hour * 3600 + minute * 60 + second;
    is_time.then_some(seconds * 1_000_000 + fraction)
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quick_parsing_agrees_with_the_calendar(text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]") {
            let slow = text.parse::<Date>().ok();
            prop_assert_eq!(days(text.as_bytes()), slow.map(Date::days));
            let moment = format!("{text}T23:59:58.000007Z");
            let slow = tapeloom_core::Timestamp::parse(&moment).ok().map(tapeloom_core::Timestamp::micros);
            prop_assert_eq!(micros(moment.as_bytes()), slow);
        }
    }

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
