//! The rules say yes and no where they should.

use std::sync::Arc;

use chrono::NaiveDate;
use proptest::prelude::*;
use tapeloom_comply::identifier::{is_alphanum, is_date_time, is_decimal, is_isin, is_lei};
use tapeloom_comply::{RecordClass, Retention, Transaction, algorithm_changes, check_transaction};
use tapeloom_core::{Ledger, Record, SystemClock};
use tapeloom_seal::{AuditLog, Key};

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn good() -> Transaction {
    let lei = "5493001KJTIIGC8Y1R12";
    let fields = [
        (1, "NEWT"),
        (2, "REF0001"),
        (4, lei),
        (6, lei),
        (7, lei),
        (16, "INTC"),
        (28, "2018-12-31T23:59:59.000001Z"),
        (29, "DEAL"),
        (30, "100"),
        (33, "12.5"),
        (34, "EUR"),
        (36, "XETR"),
        (41, "US0378331005"),
        (59, "ALGO7"),
    ];
    fields.map(|(number, value)| (number, value.to_owned())).into()
}

#[test]
fn known_identifiers_are_recognised() {
    for isin in ["US0378331005", "DE000BAY0017", "GB0002634946", "AU0000XVGZA3"] {
        assert!(is_isin(isin), "{isin}");
    }
    for isin in ["US0378331006", "us0378331005", "US037833100", "0S0378331005", "US037833100X"] {
        assert!(!is_isin(isin), "{isin}");
    }
    assert!(is_lei("5493001KJTIIGC8Y1R12") && is_lei("HWUPKR0MPOU8FGXBT394"));
    assert!(!is_lei("5493001KJTIIGC8Y1R13") && !is_lei("5493001KJTIIGC8Y1R1") && !is_lei(""));
}

#[test]
fn formats_hold_at_their_edges() {
    assert!(is_decimal("123456789012345678", 18, 17) && !is_decimal("1234567890123456789", 18, 17));
    assert!(is_decimal("-0.5", 18, 1) && !is_decimal("0.55", 18, 1));
    assert!(
        !is_decimal(".5", 18, 5) && !is_decimal("5.", 18, 5) && !is_decimal("1e5", 18, 5) && !is_decimal("", 18, 5)
    );
    assert!(is_date_time("2020-02-29T00:00:00Z") && !is_date_time("2019-02-29T00:00:00Z"));
    assert!(!is_date_time("2020-02-28T00:00:00.1234567Z") && !is_date_time("2020-02-28 00:00:00Z"));
    assert!(is_alphanum(&"A".repeat(52), 52) && !is_alphanum(&"A".repeat(53), 52) && !is_alphanum("a", 52));
}

#[test]
fn a_good_record_breaks_no_rule_and_lists_what_was_not_checked() {
    let result = check_transaction(&good()).mifid_ii;
    assert!(result.compliant, "{:?}", result.issues);
    assert!(result.not_checked.iter().any(|rule| rule.starts_with("RTS22.36.venue_exists")));
}

#[test]
fn each_broken_field_is_named_by_its_rule() {
    let cases = [
        (1, "OLD", "RTS22.01.status"),
        (2, "ref-1", "RTS22.02.reference"),
        (4, "5493001KJTIIGC8Y1R13", "RTS22.04.lei_checksum"),
        (7, "a person", "RTS22.07.lei_checksum"),
        (28, "31/12/2018", "RTS22.28.date_time"),
        (29, "ANY", "RTS22.29.capacity"),
        (30, "1,000", "RTS22.30.quantity"),
        (33, "0.12345678901234", "RTS22.33.price"),
        (34, "euro", "RTS22.34.currency"),
        (36, "XETRA", "RTS22.36.venue"),
        (41, "US0378331006", "RTS22.41.isin_checksum"),
        (59, "", "RTS22.59.execution"),
    ];
    for (number, value, rule) in cases {
        let mut record = good();
        record.insert(number, value.to_owned());
        let result = check_transaction(&record).mifid_ii;
        assert!(!result.compliant);
        assert!(result.issues.len() == 1 && result.issues[0].starts_with(rule), "{number}: {:?}", result.issues);
    }
}

#[test]
fn the_result_has_the_names_that_readers_know() {
    let json = serde_json::to_value(check_transaction(&Transaction::new())).expect("plain");
    assert_eq!(json["mifid_ii"]["compliant"], false);
    assert!(json["mifid_ii"]["issues"].as_array().is_some_and(|issues| !issues.is_empty()));
}

#[test]
fn seven_years_are_more_than_2555_days() {
    let error = Retention::from_days(2555, 7).expect_err("short").to_string();
    assert!(error.contains("data_retention_days = 2555") && error.contains("2557"), "{error}");
    assert!(Retention::from_days(2557, 7).is_ok());
    let day = date("2020-01-01");
    assert_eq!((Retention::default().expires(RecordClass::Transactions, day) - day).num_days(), 2557);
}

#[test]
fn periods_below_the_law_are_refused_with_the_source() {
    let short = Retention { transactions_years: 4, ..Retention::default() };
    let error = short.validate().expect_err("short").to_string();
    assert_eq!(error, "transactions_years = 4: MiFIR art. 25(1) wants at least 5 years");
    assert!(Retention::default().validate().is_ok());
}

#[test]
fn leap_days_and_legal_holds_keep_a_record() {
    let policy = Retention { transactions_years: 5, ..Retention::default() };
    let created = date("2020-02-29");
    assert_eq!(policy.expires(RecordClass::Transactions, created), date("2025-03-01"));
    assert!(!policy.may_delete(RecordClass::Transactions, created, date("2025-02-28")));
    assert!(policy.may_delete(RecordClass::Transactions, created, date("2025-03-01")));
    let held = Retention { legal_hold: true, ..policy };
    assert!(!held.may_delete(RecordClass::Transactions, created, date("2099-01-01")));
}

#[test]
fn changes_of_an_algorithm_come_from_a_log_that_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, key) = (folder.path().join("audit.log"), Key::generate().expect("random bytes"));
    let log = AuditLog::open(&path, Some(&key), Arc::new(SystemClock)).expect("a new log");
    log.append(&Record::new("desk-7", "run.started", "run-1")).expect("durable");
    log.append(&Record::new("desk-7", "checkpoint.saved", "run-1").detail("set", "epoch-000003")).expect("durable");
    log.append(&Record::new("head-of-desk", "model.promoted", "epoch-000003")).expect("durable");
    let changes = algorithm_changes(&path, Some(&key)).expect("the log holds");
    let told: Vec<(&str, &str)> = changes.iter().map(|c| (c.actor.as_str(), c.action.as_str())).collect();
    assert_eq!(told, [("desk-7", "checkpoint.saved"), ("head-of-desk", "model.promoted")]);
    let text = std::fs::read_to_string(&path).expect("read").replace("head-of-desk", "nobody");
    std::fs::write(&path, text).expect("written");
    assert!(algorithm_changes(&path, Some(&key)).is_err());
}

proptest! {
    #[test]
    fn one_wrong_digit_breaks_an_lei(at in 0_usize..20, digit in 0_u32..10) {
        let lei = "5493001KJTIIGC8Y1R12";
        // A letter is two digits of the sum, so only digits can be swapped one for one.
        prop_assume!(lei.as_bytes()[at].is_ascii_digit());
        let mut changed: Vec<char> = lei.chars().collect();
        changed[at] = char::from_digit(digit, 10).expect("a digit");
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(is_lei(&changed), changed == lei);
    }

    #[test]
    fn a_record_is_never_deleted_before_its_years_are_over(days in 0_i64..40_000, years in 5_u32..11) {
        let created = date("1990-01-01") + chrono::TimeDelta::days(days);
        let policy = Retention { transactions_years: years, ..Retention::default() };
        let kept = (policy.expires(RecordClass::Transactions, created) - created).num_days();
        prop_assert!(kept >= 365 * i64::from(years) + i64::from(years) / 4 - 1);
        prop_assert!(kept <= 365 * i64::from(years) + i64::from(years) / 4 + 1);
    }

    #[test]
    fn no_record_makes_the_rules_panic(fields in prop::collection::btree_map(any::<u8>(), ".{0,40}", 0..30)) {
        let _ = check_transaction(&fields);
    }
}
