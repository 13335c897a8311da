use std::collections::BTreeSet;

use proptest::prelude::*;
use tapeloom_comply::{Compliance, References, Result, TransactionReport, check_report};
use tapeloom_core::Timestamp;

/// A share, bought on a venue by a firm from another.
const TRADE: [(u8, &str); 18] = [
    (1, "NEWT"),
    (2, "20180625REF0001"),
    (3, "VENUE7712"),
    (4, "7LTWFZYICNSX8D621K86"),
    (5, "true"),
    (6, "7LTWFZYICNSX8D621K86"),
    (7, "7LTWFZYICNSX8D621K86"),
    (16, "529900T8BM49AURSDO55"),
    (25, "false"),
    (28, "2018-06-25T12:45:27.123456Z"),
    (29, "DEAL"),
    (30, "2000"),
    (33, "42.5"),
    (34, "EUR"),
    (36, "XETR"),
    (41, "DE0007164600"),
    (59, "ALGO-7f3a"),
    (65, "false"),
];

fn with(changes: &[(u8, &str)]) -> Result<TransactionReport> {
    let kept = TRADE.iter().filter(|(number, _)| changes.iter().all(|(changed, _)| changed != number));
    TransactionReport::new(kept.chain(changes.iter().filter(|(_, text)| *text != "-")).copied())
}

fn issues(changes: &[(u8, &str)], references: &References) -> Result<Vec<String>> {
    let result = check_report(&with(changes)?, references).mifid_ii;
    assert_eq!(result.compliant, result.issues.is_empty());
    Ok(result.issues.into_iter().map(|issue| issue.rule).collect())
}

fn set(codes: &[&str]) -> Option<BTreeSet<String>> {
    Some(codes.iter().map(|code| (*code).to_owned()).collect())
}

fn references() -> References {
    References {
        now: Timestamp::parse("2018-06-26T08:00:00Z").ok(),
        countries: set(&["DE", "FR"]),
        currencies: set(&["EUR", "USD"]),
        mics: set(&["XETR"]),
    }
}

#[test]
fn a_sound_report_passes_and_says_what_was_not_checked() -> Result<()> {
    let Compliance { mifid_ii: result, .. } = check_report(&with(&[])?, &references());
    assert_eq!((result.compliant, result.issues.as_slice()), (true, &[][..]));
    for rule in ["RTS22.04.lei_checksum", "RTS22.41.isin_check_digit", "RTS22.28.not_in_future", "RTS22.36.mic_known"] {
        assert!(result.passed.iter().any(|passed| passed == rule), "{rule}");
    }
    let unchecked: Vec<&str> = result.not_checked.iter().map(|unchecked| unchecked.rule.as_str()).collect();
    for rule in ["RTS22.02.unique", "RTS22.04.lei_status", "RTS22.28.granularity", "RTS22.41.in_reference_data"] {
        assert!(unchecked.contains(&rule), "{rule}");
    }
    assert!(result.not_checked.iter().all(|unchecked| !unchecked.reason.is_empty()));
    assert_eq!(result.rule_set.regulation, "Commission Delegated Regulation (EU) 2017/590");
    Ok(())
}

#[test]
fn each_fault_fails_its_own_rule_and_no_other() -> Result<()> {
    for (changes, rule) in [
        (&[(1, "NEW")][..], "RTS22.01.format"),
        (&[(2, "-")], "RTS22.02.present"),
        (&[(4, "7LTWFZYICNSX8D621K87")], "RTS22.04.lei_checksum"),
        (&[(4, "7LTWFZYICNSX8D621K8")], "RTS22.04.format"),
        (&[(7, "7LTWFZYICNSX8D621K87")], "RTS22.07.lei_checksum"),
        (&[(7, "somebody")], "RTS22.07.format"),
        (&[(5, "TRUE")], "RTS22.05.format"),
        (&[(8, "XX")], "RTS22.08.country_known"),
        (&[(11, "2018-06-25")], "RTS22.11.before_trade"),
        (&[(24, "2019-02-29")], "RTS22.24.format"),
        (&[(28, "2018-06-25T12:45:27Z")], "RTS22.28.format"),
        (&[(28, "2018-06-26T08:00:00.000001Z")], "RTS22.28.not_in_future"),
        (&[(29, "PROP")], "RTS22.29.format"),
        (&[(30, "1e3")], "RTS22.30.format"),
        (&[(33, "1.123456789012345678")], "RTS22.33.format"),
        (&[(34, "EURO")], "RTS22.34.format"),
        (&[(34, "XXX")], "RTS22.34.currency_known"),
        (&[(36, "XLON")], "RTS22.36.mic_known"),
        (&[(38, "-10.5")], "RTS22.39.with_38"),
        (&[(39, "EUR")], "RTS22.39.with_38"),
        (&[(41, "DE0007164601")], "RTS22.41.isin_check_digit"),
        (&[(55, "2018-06-24")], "RTS22.55.not_before_trade"),
        (&[(58, "DE")], "RTS22.58.with_57"),
        (&[(2, "A"), (2, "B")], "RTS22.02.single"),
        (&[(61, "SIZE"), (61, "HUGE")], "RTS22.61.format"),
    ] {
        let failed: BTreeSet<String> = issues(changes, &references())?.into_iter().collect();
        // A code that is written wrong is also not in its list.
        let expected: Vec<&str> =
            if changes[0] == (34, "EURO") { vec!["RTS22.34.currency_known", rule] } else { vec![rule] };
        assert_eq!(failed.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{changes:?}");
    }
    Ok(())
}

#[test]
fn what_is_allowed_is_not_called_a_fault() -> Result<()> {
    for changes in [
        &[(7, "INTC")][..],
        &[(7, "XETR")],
        &[(7, "SE19851205JOHN#ENGHO"), (9, "JOHN"), (11, "1985-12-05")],
        &[(16, "529900T8BM49AURSDO55"), (16, "HWUPKR0MPOU8FGXBT394")],
        &[(33, "PNDG"), (34, "-")],
        &[(33, "-0.25")],
        &[(36, "XOFF"), (3, "-")],
        &[(38, "-10.5"), (39, "EUR")],
        &[(55, "2018-06-25")],
        &[(61, "SIZE"), (61, "ILQD")],
        &[(28, "2018-06-26T08:00:00.000000Z")],
    ] {
        assert_eq!(issues(changes, &references())?, [""; 0], "{changes:?}");
    }
    Ok(())
}

#[test]
fn a_missing_reference_is_not_checked_rather_than_passed() -> Result<()> {
    let changes = [(8, "XX"), (34, "XXX"), (36, "XXXY"), (28, "2999-01-01T00:00:00.000000Z")];
    let result = check_report(&with(&changes)?, &References::default()).mifid_ii;
    assert!(result.compliant);
    for rule in ["RTS22.08.country_known", "RTS22.34.currency_known", "RTS22.36.mic_known", "RTS22.28.not_in_future"] {
        assert!(result.not_checked.iter().any(|unchecked| unchecked.rule == rule), "{rule}");
        assert!(!result.passed.iter().any(|passed| passed == rule), "{rule}");
    }
    Ok(())
}

#[test]
fn a_cancellation_needs_no_more_than_its_identification() -> Result<()> {
    let fields = [(1, "CANC"), (2, "20180625REF0001"), (4, TRADE[3].1), (6, TRADE[3].1)];
    let result = check_report(&TransactionReport::new(fields)?, &references()).mifid_ii;
    assert!(result.compliant);
    let of = |field| result.not_checked.iter().filter(move |unchecked| unchecked.field == field);
    assert!(of(28).any(|unchecked| unchecked.rule == "RTS22.28.present"));
    assert!(of(2).any(|unchecked| unchecked.esma_code == Some("CON-024")));
    let result = check_report(&TransactionReport::new(fields.into_iter().take(3))?, &references()).mifid_ii;
    assert_eq!(result.issues.iter().map(|issue| issue.rule.as_str()).collect::<Vec<_>>(), ["RTS22.06.present"]);
    Ok(())
}

#[test]
fn an_empty_report_lacks_every_field_that_is_always_there() -> Result<()> {
    let result = check_report(&TransactionReport::default(), &references()).mifid_ii;
    let missing: Vec<u8> = result.issues.iter().map(|issue| issue.field).collect();
    assert_eq!(missing, [1, 2, 4, 5, 6, 7, 16, 25, 28, 29, 30, 33, 36, 59, 65]);
    assert!(result.passed.is_empty());
    Ok(())
}

#[test]
fn the_result_serialises_under_the_known_names_and_without_values()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let report = with(&[(7, "SE19851205JOHN#ENGHO"), (33, "42.5x"), (41, "DE0007164601")])?;
    let json = serde_json::to_value(check_report(&report, &references()))?;
    assert_eq!(json["mifid_ii"]["compliant"], false);
    assert_eq!(json["mifid_ii"]["issues"][0]["rule"], "RTS22.33.format");
    assert_eq!(json["mifid_ii"]["issues"][1]["rule"], "RTS22.41.isin_check_digit");
    assert_eq!(json["mifid_ii"]["issues"][1]["detail"], "its check digits do not match");
    for text in [json.to_string(), format!("{report:?}")] {
        for secret in ["JOHN", "42.5", "DE0007164601", "REF0001"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    Ok(())
}

#[test]
fn a_report_reads_and_writes_numbers_with_one_value_or_several() -> std::result::Result<(), serde_json::Error> {
    let text = r#"{"1":"NEWT","61":["SIZE","ILQD"]}"#;
    let report: TransactionReport = serde_json::from_str(text)?;
    assert_eq!((report.values(1), report.values(61).len(), report.values(2).len()), (&["NEWT".to_owned()][..], 2, 0));
    assert_eq!(serde_json::to_string(&report)?, text);
    for bad in [r#"{"0":"x"}"#, r#"{"66":"x"}"#, r#"{"1":5}"#, r#"{"price":"1"}"#] {
        assert!(serde_json::from_str::<TransactionReport>(bad).is_err(), "{bad}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_report_makes_a_check_panic_or_lose_a_field(fields in prop::collection::vec((1_u8..=65, "[ -~é]{0,30}"), 0..20)) {
        let report = TransactionReport::new(fields.clone()).expect("known fields");
        let result = check_report(&report, &references()).mifid_ii;
        prop_assert_eq!(result.compliant, result.issues.is_empty());
        // Each field is spoken of, and no rule both passes and fails.
        for field in 1..=65_u8 {
            let prefix = format!("RTS22.{field:02}.");
            let rules = result.passed.iter().chain(result.issues.iter().map(|i| &i.rule)).chain(result.not_checked.iter().map(|u| &u.rule));
            prop_assert!(rules.clone().any(|rule| rule.starts_with(&prefix)), "{}", prefix);
        }
        prop_assert!(result.issues.iter().all(|issue| !result.passed.contains(&issue.rule)));
    }
}
