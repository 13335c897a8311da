use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Date, Error, Result};

/// No rule asks for more, and a larger number is a slip.
const MAX_YEARS: u32 = 100;

/// What a record is, which decides how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordClass {
    /// Orders and transactions in financial instruments.
    OrdersAndTransactions,
    /// Orders of a high-frequency technique; the period starts with the submission of the order.
    HighFrequencyOrders,
    /// Recorded telephone conversations and electronic communications.
    Recordings,
    /// Changes of an algorithm: checkpoints that were made, promoted or withdrawn.
    AlgorithmChanges,
    /// Personal data that none of the other classes needs.
    PersonalData,
}

impl RecordClass {
    /// All classes.
    pub const ALL: [Self; 5] = [
        Self::OrdersAndTransactions,
        Self::HighFrequencyOrders,
        Self::Recordings,
        Self::AlgorithmChanges,
        Self::PersonalData,
    ];

    /// Calendar years for which a rule asks; none for personal data, for which a rule sets an end and no start.
    #[must_use]
    pub const fn minimum_years(self) -> Option<u32> {
        match self {
            Self::PersonalData => None,
            _ => Some(5),
        }
    }

    /// Where the period comes from.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::OrdersAndTransactions => "Regulation (EU) 600/2014 art. 25(1)",
            Self::HighFrequencyOrders => "Delegated Regulation (EU) 2017/589 art. 28(3)",
            Self::Recordings => "Directive 2014/65/EU art. 16(7)",
            Self::AlgorithmChanges => {
                "Delegated Regulation (EU) 2017/589 art. 5(7) names no period: kept as long as the orders they explain"
            }
            Self::PersonalData => "Regulation (EU) 2016/679 art. 5(1)(e)",
        }
    }
}

/// How long the host wants to keep records. What it says is a wish; [`Retention::new`] holds it against the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Calendar years by class, where the host keeps records longer than the rule asks.
    pub years: BTreeMap<RecordClass, u32>,
    /// The authority asked for recordings to be kept for seven years (Directive 2014/65/EU art. 16(7)).
    pub recordings_for_seven_years: bool,
    /// Days for which all records but the audit log are kept. A floor beside `years`: days and calendar years differ.
    pub data_retention_days: Option<u32>,
    /// Days for which the audit log, and with it the changes of algorithms, is kept.
    pub audit_retention_days: Option<u32>,
    /// Days after which personal data that no rule needs must be gone.
    pub personal_data_max_days: Option<u32>,
}

/// Something about a [`RetentionConfig`] that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionFinding {
    /// The field of the config.
    pub field: String,
    /// Its value.
    pub value: u32,
    /// Whether a rule is broken; otherwise the value only looks like more than it is.
    pub is_breach: bool,
    /// What the rule asks for, where it stands, and what to write instead.
    pub reason: String,
}

/// Whether a record may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "deletion")]
#[non_exhaustive]
pub enum Deletion {
    /// No rule keeps it.
    Allowed,
    /// A rule keeps it.
    Kept {
        /// The last day on which it must be there.
        until: Date,
        /// The rule.
        source: &'static str,
    },
    /// A legal hold keeps it, whatever its age.
    Held,
}

/// A retention policy that satisfies the rules.
///
/// Periods are calendar years. As in art. 3 of Regulation (EEC) 1182/71, the day of the event does not count and the period
/// ends with the last hour of the same date, or with 28 February where there is no 29th.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention(RetentionConfig);

impl Retention {
    /// Takes a config that satisfies the rules.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first breach that [`Retention::check`] finds.
    pub fn new(config: RetentionConfig) -> Result<Self> {
        match Self::check(&config).into_iter().find(|finding| finding.is_breach) {
            Some(RetentionFinding { field, value, reason, .. }) => Err(Error::invalid(field, value, reason)),
            None => Ok(Self(config)),
        }
    }

    /// Everything in a config that breaks a rule or looks like more than it is.
    #[must_use]
    pub fn check(config: &RetentionConfig) -> Vec<RetentionFinding> {
        let years = config.years.iter().filter_map(|(class, years)| check_years(config, *class, *years));
        let data = config.data_retention_days.and_then(|days| {
            let classes =
                [RecordClass::Recordings, RecordClass::OrdersAndTransactions, RecordClass::HighFrequencyOrders];
            check_days(config, "data_retention_days", days, &classes)
        });
        let audit = config
            .audit_retention_days
            .and_then(|days| check_days(config, "audit_retention_days", days, &[RecordClass::AlgorithmChanges]));
        years.chain(data).chain(audit).collect()
    }

    /// The last day on which a record must be there; of personal data, the last day on which it may be there. None for
    /// personal data without a limit.
    #[must_use]
    pub fn expires(&self, class: RecordClass, created: Date) -> Option<Date> {
        let config = &self.0;
        let Some(rule) = years_asked(config, class) else {
            return config.personal_data_max_days.map(|days| created.plus_days(days));
        };
        let years = config.years.get(&class).copied().unwrap_or(rule);
        let days = match class {
            RecordClass::AlgorithmChanges => config.audit_retention_days,
            _ => config.data_retention_days,
        };
        Some(created.plus_years(years).max(created.plus_days(days.unwrap_or(0))))
    }

    /// Whether a record may be deleted today. A legal hold comes before everything, an erasure request after both: what a
    /// legal duty keeps is not erased (Regulation (EU) 2016/679 art. 17(3)(b)).
    #[must_use]
    pub fn may_delete(&self, class: RecordClass, created: Date, today: Date, is_held: bool) -> Deletion {
        if is_held {
            return Deletion::Held;
        }
        match self.expires(class, created) {
            Some(until) if class.minimum_years().is_some() && today <= until => {
                Deletion::Kept { until, source: class.source() }
            }
            _ => Deletion::Allowed,
        }
    }

    /// Whether personal data should have been deleted by today. Never for other classes: their rules set no end.
    #[must_use]
    pub fn is_overdue(&self, class: RecordClass, created: Date, today: Date, is_held: bool) -> bool {
        !is_held && class == RecordClass::PersonalData && self.expires(class, created).is_some_and(|last| today > last)
    }
}

/// Calendar years for which rule and authority ask.
fn years_asked(config: &RetentionConfig, class: RecordClass) -> Option<u32> {
    let is_extended = class == RecordClass::Recordings && config.recordings_for_seven_years;
    class.minimum_years().map(|years| if is_extended { 7 } else { years })
}

/// The most days that so many calendar years can have.
const fn most_days(years: u32) -> u32 {
    365 * years + years.div_ceil(4)
}

fn check_years(config: &RetentionConfig, class: RecordClass, years: u32) -> Option<RetentionFinding> {
    let reason = match years_asked(config, class) {
        None => format!("{} sets an end and no start: use personal_data_max_days", class.source()),
        Some(asked) if years < asked => format!("{} asks for {asked} calendar years: write {asked}", class.source()),
        Some(_) if years > MAX_YEARS => format!("no record is kept so long: write at most {MAX_YEARS}"),
        Some(_) => return None,
    };
    let class = serde_json::to_value(class).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    Some(RetentionFinding { field: format!("years.{class}"), value: years, is_breach: true, reason })
}

fn check_days(config: &RetentionConfig, field: &str, days: u32, classes: &[RecordClass]) -> Option<RetentionFinding> {
    let finding = |is_breach, reason| RetentionFinding { field: field.into(), value: days, is_breach, reason };
    if days > most_days(MAX_YEARS) {
        return Some(finding(true, format!("no record is kept so long: write at most {}", most_days(MAX_YEARS))));
    }
    for class in classes {
        let Some(years) = years_asked(config, *class).filter(|years| days < most_days(*years)) else { continue };
        let most = most_days(years);
        let reason = format!(
            "{} asks for {years} calendar years, which have up to {most} days: write {most}, or leave it out",
            class.source()
        );
        return Some(finding(true, reason));
    }
    // Whoever multiplies years by 365 means calendar years, and gets less.
    let years = days / 365;
    (days.is_multiple_of(365) && years > 0).then(|| {
        let most = most_days(years);
        finding(false, format!("{years} calendar years have up to {most} days: write {most} if years are meant"))
    })
}
