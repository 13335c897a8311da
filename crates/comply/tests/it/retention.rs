use proptest::prelude::*;
use tapeloom_comply::{Date, Deletion, Error, RecordClass, Result, Retention, RetentionConfig};

const TRADES: RecordClass = RecordClass::OrdersAndTransactions;

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

fn years(class: RecordClass, years: u32) -> RetentionConfig {
    RetentionConfig { years: [(class, years)].into(), ..RetentionConfig::default() }
}

fn config(change: impl FnOnce(&mut RetentionConfig)) -> RetentionConfig {
    let mut config = RetentionConfig::default();
    change(&mut config);
    config
}

#[test]
fn seven_times_365_days_are_no_seven_years() {
    let short = config(|c| {
        c.recordings_for_seven_years = true;
        c.data_retention_days = Some(2555);
    });
    let findings = Retention::check(&short);
    assert_eq!((findings.len(), findings[0].field.as_str(), findings[0].is_breach), (1, "data_retention_days", true));
    assert_eq!(
        findings[0].reason,
        "Directive 2014/65/EU art. 16(7) asks for 7 calendar years, which have up to 2557 days: write 2557, or leave it out"
    );
    let error = Retention::new(short).expect_err("too short").to_string();
    assert!(error.starts_with("data_retention_days = 2555: Directive 2014/65/EU art. 16(7) asks"), "{error}");
    for (days, is_sound) in [(2556, false), (2557, true)] {
        let config = config(|c| {
            c.recordings_for_seven_years = true;
            c.data_retention_days = Some(days);
        });
        assert_eq!(Retention::new(config).is_ok(), is_sound, "{days}");
    }
}

#[test]
fn days_that_look_like_years_are_reported_though_no_rule_is_broken() {
    let findings = Retention::check(&config(|c| c.data_retention_days = Some(2555)));
    assert_eq!(findings.len(), 1);
    assert!(!findings[0].is_breach && findings[0].reason.contains("7 calendar years have up to 2557 days"));
    assert!(Retention::new(config(|c| c.data_retention_days = Some(2555))).is_ok());
    assert_eq!(Retention::check(&config(|c| c.data_retention_days = Some(1827))), []);
}

#[test]
fn what_is_under_a_rule_is_refused() {
    for (bad, words) in [
        (config(|c| c.data_retention_days = Some(1826)), "which have up to 1827 days: write 1827"),
        (config(|c| c.data_retention_days = Some(0)), "5 calendar years"),
        (config(|c| c.audit_retention_days = Some(365)), "as long as the orders they explain"),
        (years(TRADES, 4), "years.orders_and_transactions = 4"),
        (years(TRADES, 101), "at most 100"),
        (years(RecordClass::PersonalData, 5), "personal_data_max_days"),
        (config(|c| c.data_retention_days = Some(u32::MAX)), "at most 36525"),
    ] {
        assert!(Retention::check(&bad).iter().any(|finding| finding.is_breach));
        let error = Retention::new(bad).expect_err("under the rule").to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_record_is_kept_through_its_last_day() -> Result<()> {
    let retention = Retention::new(RetentionConfig::default())?;
    for (created, last, first_free) in [
        ("2019-03-01", "2024-03-01", "2024-03-02"),
        ("2018-12-31", "2023-12-31", "2024-01-01"),
        ("2019-02-28", "2024-02-28", "2024-02-29"),
        ("2020-02-28", "2025-02-28", "2025-03-01"),
        ("2020-02-29", "2025-02-28", "2025-03-01"),
        ("2096-02-29", "2101-02-28", "2101-03-01"),
    ] {
        let (created, last, first_free) = (date(created), date(last), date(first_free));
        assert_eq!(retention.expires(TRADES, created), Some(last));
        let kept = Deletion::Kept { until: last, source: "Regulation (EU) 600/2014 art. 25(1)" };
        assert_eq!(retention.may_delete(TRADES, created, last, false), kept);
        assert_eq!(retention.may_delete(TRADES, created, first_free, false), Deletion::Allowed);
        assert_eq!(retention.may_delete(TRADES, created, first_free, true), Deletion::Held);
    }
    Ok(())
}

#[test]
fn the_longest_of_rule_years_and_days_counts() -> Result<()> {
    let retention = Retention::new(config(|c| {
        c.years.insert(TRADES, 6);
        c.recordings_for_seven_years = true;
        c.data_retention_days = Some(2557);
        c.audit_retention_days = Some(1900);
    }))?;
    let created = date("2019-01-01");
    let until = |class| retention.expires(class, created).map(|date| date.to_string());
    // 2557 days hold one leap day more than these seven years.
    assert_eq!(until(TRADES).as_deref(), Some("2026-01-01"));
    assert_eq!(until(RecordClass::Recordings).as_deref(), Some("2026-01-01"));
    assert_eq!(until(RecordClass::AlgorithmChanges).as_deref(), Some("2024-03-15"));
    let by_years = Retention::new(years(TRADES, 6))?;
    assert_eq!(by_years.expires(TRADES, created), Some(date("2025-01-01")));
    Ok(())
}

#[test]
fn personal_data_have_an_end_and_no_start() -> Result<()> {
    let class = RecordClass::PersonalData;
    let open = Retention::new(RetentionConfig::default())?;
    assert_eq!(open.expires(class, date("2020-01-01")), None);
    let limited = Retention::new(config(|c| c.personal_data_max_days = Some(30)))?;
    let created = date("2020-01-01");
    assert_eq!(limited.may_delete(class, created, created, false), Deletion::Allowed);
    assert!(!limited.is_overdue(class, created, date("2020-01-31"), false));
    assert!(limited.is_overdue(class, created, date("2020-02-01"), false));
    assert!(!limited.is_overdue(class, created, date("2020-02-01"), true), "a legal hold stops the clock");
    assert!(!limited.is_overdue(TRADES, created, date("2099-01-01"), false), "no rule says when these must go");
    Ok(())
}

#[test]
fn a_config_reads_as_written_and_refuses_unknown_keys() {
    let read = |text| serde_json::from_str::<RetentionConfig>(text);
    let config = read(r#"{"years":{"recordings":7},"audit_retention_days":1827}"#).expect("a config");
    assert_eq!((config.years[&RecordClass::Recordings], config.audit_retention_days), (7, Some(1827)));
    assert!(read(r#"{"retention":5}"#).is_err());
}

#[test]
fn every_class_names_its_source() {
    for class in RecordClass::ALL {
        assert!(class.source().contains("art. "), "{class:?}");
        assert_eq!(class.minimum_years().is_none(), class == RecordClass::PersonalData);
    }
}

#[test]
fn the_most_days_of_years_are_reached_and_never_passed() {
    // The limit at which a number of days is accepted is the most that any five or seven calendar years have.
    for (seven, days) in [(false, 1827_u32), (true, 2557)] {
        let years = if seven { 7 } else { 5 };
        let mut most = 0;
        for year in 1990..2110 {
            for day in ["01-01", "02-28", "03-01", "12-31"] {
                let start = date(&format!("{year}-{day}"));
                let end = start.plus_years(years);
                most = most.max((0..).find(|n| start.plus_days(*n) == end).unwrap_or(0));
            }
        }
        assert_eq!(most, days);
    }
}

proptest! {
    #[test]
    fn nothing_is_free_before_its_calendar_years_are_over(
        start in 0_u32..40_000, age in 0_u32..3_000, days in 1827_u32..3_000, seven in any::<bool>(),
    ) {
        let config = config(|c| {
            c.recordings_for_seven_years = seven;
            c.data_retention_days = Some(days);
        });
        let retention = match Retention::new(config) {
            Ok(retention) => retention,
            Err(Error::Invalid { .. }) => {
                prop_assert!(seven && days < 2557);
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        let created = date("1990-01-01").plus_days(start);
        let today = created.plus_days(age);
        for (class, years) in [(TRADES, 5), (RecordClass::Recordings, if seven { 7 } else { 5 })] {
            let is_free = retention.may_delete(class, created, today, false) == Deletion::Allowed;
            prop_assert!(!is_free || today > created.plus_years(years));
            prop_assert_eq!(is_free, age > days.max((0..).find(|n| created.plus_days(*n) == created.plus_years(years)).unwrap_or(0)));
        }
    }
}

#[test]
fn files_of_an_audit_log_go_when_their_time_is_over() -> std::result::Result<(), Box<dyn std::error::Error>> {
    use std::sync::Arc;

    use tapeloom_comply::retire_expired;
    use tapeloom_core::{Ledger, ManualClock, Record, Timestamp};
    use tapeloom_seal::{AuditLog, verify};
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::at(Timestamp::parse("2019-03-01T10:00:00Z")?));
    let log = AuditLog::open(folder.path().join("run.log"), None, clock.clone())?;
    log.append(&Record::new("kim", "checkpoint.promoted", "epoch-1"))?;
    log.rotate()?;
    clock.advance(86_400_000_000);
    log.append(&Record::new("kim", "checkpoint.promoted", "epoch-2"))?;
    log.rotate()?;
    let retention = Retention::new(RetentionConfig::default())?;
    assert_eq!(retire_expired(&log, &retention, date("2024-03-01"), "officer")?, None);
    log.hold("legal", "case 12", "asked for")?;
    assert!(retire_expired(&log, &retention, date("2024-03-02"), "officer").is_err());
    log.release("legal", "case 12", "closed")?;
    assert!(retire_expired(&log, &retention, date("2024-03-02"), "officer")?.is_some());
    assert_eq!(verify(log.path(), None)?.retired, 3);
    Ok(())
}
