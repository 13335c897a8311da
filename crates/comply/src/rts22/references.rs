use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use tapeloom_core::Timestamp;

use super::report::TransactionReport;
use crate::clock::ClockRule;
use crate::{Codes, Date};

/// What a report is held against besides itself. What is not given is not checked, and the result says so.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The moment of the check, which stands for the moment of sending.
    pub now: Option<Timestamp>,
    /// ISO 3166-1 alpha-2 codes in use.
    pub countries: Option<Codes>,
    /// ISO 4217 codes in use.
    pub currencies: Option<Codes>,
    /// ISO 10383 codes.
    pub mics: Option<Codes>,
    /// Legal entities whose identifier is in force.
    pub leis: Option<HashSet<String>>,
    /// Instruments of the authority's reference data.
    pub instruments: Option<Instruments>,
    /// Reports that were sent before.
    pub sent: Option<SentReports>,
    /// The rule of the venue's or firm's clock.
    pub clock: Option<ClockRule>,
    /// Days, besides Saturdays and Sundays, on which nobody works.
    pub holidays: Option<Holidays>,
}

impl References {
    /// The lists of countries, currencies and markets that come with this crate, and the moment of the check.
    #[must_use]
    pub fn standard(now: Timestamp) -> Self {
        Self {
            now: Some(now),
            countries: Some(Codes::countries()),
            currencies: Some(Codes::currencies()),
            mics: Some(Codes::mics()),
            ..Self::default()
        }
    }
}

/// Instruments by ISIN, with the days from the first to the last on which each was traded.
#[derive(Clone, Debug, Default)]
pub struct Instruments(HashMap<String, RangeInclusive<i32>>);

impl Instruments {
    /// Adds an instrument; without a last day it still is traded.
    pub fn insert(&mut self, isin: impl Into<String>, first: Date, last: Option<Date>) {
        self.0.insert(isin.into(), first.days()..=last.map_or(i32::MAX, Date::days));
    }

    pub(super) fn get(&self, isin: &str) -> Option<&RangeInclusive<i32>> {
        self.0.get(isin)
    }
}

/// References of reports that were sent and not cancelled, by executing entity.
#[derive(Clone, Debug, Default)]
pub struct SentReports(HashMap<String, HashSet<String>>);

impl SentReports {
    /// Notes a report that was sent: a new one is there from now on, a cancelled one no more.
    pub fn note(&mut self, report: &TransactionReport) {
        let (Some(firm), Some(reference)) = (report.values(4).first(), report.values(2).first()) else { return };
        let of_firm = self.0.entry(firm.clone()).or_default();
        if report.values(1).first().is_some_and(|status| status == "CANC") {
            of_firm.remove(reference);
        } else {
            of_firm.insert(reference.clone());
        }
    }

    pub(super) fn contains(&self, firm: &str, reference: &str) -> bool {
        self.0.get(firm).is_some_and(|of_firm| of_firm.contains(reference))
    }
}

/// Days without work, for the time in which a report is due.
#[derive(Clone, Debug, Default)]
pub struct Holidays(BTreeSet<i32>);

impl Holidays {
    /// Whether a moment is before the end of the next working day after a day of trading, in UTC.
    pub(super) fn is_in_time(&self, traded: i32, sent: Timestamp) -> bool {
        let is_work = |day: &i32| {
            // 1970-01-01 was a Thursday.
            let weekday = (day + 3).rem_euclid(7);
            weekday < 5 && !self.0.contains(day)
        };
        let due = (traded + 1..).find(is_work).unwrap_or(i32::MAX);
        sent.micros().div_euclid(86_400_000_000) <= i64::from(due)
    }
}

impl FromIterator<Date> for Holidays {
    fn from_iter<I: IntoIterator<Item = Date>>(days: I) -> Self {
        Self(days.into_iter().map(Date::days).collect())
    }
}
