use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use tapeloom_comply::{
    ClockRule, Codes, Compliance, Holidays, Instruments, References, Result, Rts22, SentReports, TransactionReport,
    check_report,
};
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

fn set(codes: &[&str]) -> Option<Codes> {
    Some(codes.iter().collect())
}

fn references() -> References {
    References {
        now: Timestamp::parse("2018-06-26T08:00:00Z").ok(),
        countries: set(&["DE", "FR"]),
        currencies: set(&["EUR", "USD"]),
        mics: set(&["XETR"]),
        ..References::default()
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
        (&[(4, "7LTWFZYICNSX8D621K87"), (29, "MTCH")], "RTS22.04.lei_checksum"),
        (&[(4, "7LTWFZYICNSX8D621K8"), (29, "MTCH")], "RTS22.04.format"),
        (&[(7, "7LTWFZYICNSX8D621K87"), (29, "MTCH")], "RTS22.07.lei_checksum"),
        (&[(7, "somebody"), (29, "MTCH")], "RTS22.07.format"),
        (&[(5, "TRUE")], "RTS22.05.format"),
        (&[(8, "XX")], "RTS22.08.country_known"),
        (
            &[(7, "SE20180625JOHN#ENGHO"), (9, "JOHN"), (10, "ENGHOLM"), (11, "2018-06-25"), (29, "AOTC")],
            "RTS22.11.before_trade",
        ),
        (&[(21, "NLSPECI2014"), (22, "ANA"), (23, "SOL"), (24, "2019-02-29")], "RTS22.24.format"),
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
        (&[(9, "JOHN")], "RTS22.09.absent"),
        (&[(13, "JOHN")], "RTS22.13.absent"),
        (&[(29, "AOTC")], "RTS22.29.firm_is_no_party"),
        (&[(4, "529900T8BM49AURSDO55"), (16, "HWUPKR0MPOU8FGXBT394")], "RTS22.29.firm_is_party"),
        (&[(30, "0.000")], "RTS22.30.positive"),
        (&[(30, "-5")], "RTS22.30.positive"),
        (&[(33, "NOAP")], "RTS22.34.absent"),
        (&[(36, "XOFF")], "RTS22.03.absent"),
        (&[(36, "XOFF"), (3, "-"), (41, "-")], "RTS22.41.present"),
        (&[(36, "XXXX"), (3, "-"), (41, "-"), (42, "SWAP")], "RTS22.41.instrument_identified"),
        (&[(43, "QQXXXX")], "RTS22.43.cfi_known"),
        (&[(43, "EZXXXX")], "RTS22.43.cfi_known"),
        (&[(43, "ESVUFR"), (50, "PUTO")], "RTS22.50.absent"),
        (&[(49, "3MNTH")], "RTS22.49.with_48"),
        (&[(54, "2018-06-24")], "RTS22.54.not_before_trade"),
        (&[(59, "ALGO-7f3a"), (60, "DE")], "RTS22.60.for_person_only"),
        (&[(59, "SE19851205JOHN#ENGHO")], "RTS22.60.present"),
        (&[(59, "SE19851305JOHN#ENGHO"), (60, "FR")], "RTS22.59.concat"),
        (&[(57, "DE123456789"), (58, "DE"), (59, "EE19851205JOHN#ENGHO"), (60, "FR")], "RTS22.59.person_identifier"),
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
        &[(7, "INTC"), (29, "AOTC")][..],
        &[(7, "XETR"), (29, "MTCH")],
        &[(7, "SE19851205JOHN#ENGHO"), (9, "JOHN"), (10, "ENGHOLM"), (11, "1985-12-05"), (29, "AOTC")],
        &[(7, "ES99999999R"), (9, "ANA"), (10, "SOL"), (11, "1985-12-05"), (29, "AOTC")],
        &[(7, "NLSPECI2014"), (9, "ANA"), (10, "SOL"), (11, "1985-12-05"), (29, "AOTC")],
        &[(43, "OPASPS"), (50, "PUTO"), (51, "42.5"), (52, "EUR"), (53, "EURO"), (55, "2018-12-21"), (56, "PHYS")],
        &[(36, "XXXX"), (3, "-"), (41, "-"), (42, "SWAP"), (43, "SRCCSP"), (56, "CASH")],
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
fn a_person_is_judged_by_annex_ii_and_art_6() -> Result<()> {
    // The examples of art. 6(4) and of the national rules; then slips in them.
    let person = |id: &'static str, first: &'static str, last: &'static str, birth: &'static str| {
        issues(&[(16, id), (18, first), (19, last), (20, birth)], &references())
    };
    assert_eq!(person("SE19851205JOHN#ENGHO", "John", "Engholm", "1985-12-05")?, [""; 0]);
    assert_eq!(person("FR19720703MELISSMITH", "MELISSA,ANN", "SMITH", "1972-07-03")?, [""; 0]);
    assert_eq!(person("FR19720703MELISSMITH", "MELISSA", "SMITH", "1972-07-04")?, ["RTS22.16.concat_birth_date"]);
    assert_eq!(person("FR19720703MELISSMITH", "MELINA", "SMITH", "1972-07-03")?, ["RTS22.16.concat_names"]);
    assert_eq!(person("FR19720703######MITH", "MELISSA", "SMITH", "1972-07-03")?, ["RTS22.16.person_identifier"]);
    // Germany gives CONCAT alone, Spain and Estonia a number alone.
    assert_eq!(person("DE123456789", "A", "B", "1972-07-03")?, ["RTS22.16.person_identifier"]);
    assert_eq!(person("ES19720703MELISSMITH", "MELISSA", "SMITH", "1972-07-03")?, ["RTS22.16.person_identifier"]);
    assert_eq!(person("EE37605030299", "A", "B", "1976-05-03")?, [""; 0]);
    assert_eq!(person("EE37605030298", "A", "B", "1976-05-03")?, ["RTS22.16.person_identifier"]);
    // What may be a passport is not judged, and accents are not either.
    let report = with(&[(16, "US123456789"), (18, "José"), (19, "O'Neil"), (20, "1972-07-03")])?;
    let result = check_report(&report, &references()).mifid_ii;
    assert!(result.compliant && result.not_checked.iter().any(|rule| rule.rule == "RTS22.16.person_identifier"));
    let report = with(&[(16, "IE19720703JOSE#ONEIL"), (18, "José"), (19, "O'Neil"), (20, "1972-07-03")])?;
    let result = check_report(&report, &references()).mifid_ii;
    assert!(result.compliant && result.not_checked.iter().any(|rule| rule.rule == "RTS22.16.concat_names"));
    Ok(())
}

#[test]
fn with_more_references_fewer_rules_are_left_open() -> Result<()> {
    let mut instruments = Instruments::default();
    let day = |text: &str| text.parse().expect("a date");
    instruments.insert("DE0007164600", day("1988-11-04"), None);
    let mut sent = SentReports::default();
    sent.note(&with(&[(2, "USED")])?);
    let full = || References {
        leis: Some(["7LTWFZYICNSX8D621K86", "529900T8BM49AURSDO55"].map(str::to_owned).into()),
        instruments: Some(instruments.clone()),
        sent: Some(sent.clone()),
        clock: Some(ClockRule::HighFrequency),
        holidays: Some(Holidays::default()),
        ..references()
    };
    let result = check_report(&with(&[])?, &full()).mifid_ii;
    assert!(result.compliant, "{:?}", result.issues);
    assert!(result.not_checked.iter().all(|open| open.rule.ends_with(".present")), "{:?}", result.not_checked);
    let failed = |changes: &[(u8, &str)], references: References| issues(changes, &references);
    assert_eq!(failed(&[(2, "USED")], full())?, ["RTS22.02.unique"]);
    let cancel = |reference: &'static str| {
        let fields = [(1, "CANC"), (2, reference), (4, TRADE[3].1), (6, TRADE[3].1)];
        Ok::<_, tapeloom_comply::Error>(check_report(&TransactionReport::new(fields)?, &full()).mifid_ii)
    };
    assert!(cancel("USED")?.compliant);
    let unknown = cancel("OTHER")?;
    assert_eq!(
        (unknown.issues[0].rule.as_str(), unknown.issues[0].esma_code),
        ("RTS22.02.cancels_known_report", Some("CON-024"))
    );
    assert_eq!(failed(&[], References { leis: Some(HashSet::new()), ..full() })?.len(), 4);
    assert_eq!(failed(&[(41, "US0378331005")], full())?, ["RTS22.41.in_reference_data"]);
    let mut ended = instruments.clone();
    ended.insert("DE0007164600", day("1988-11-04"), Some(day("2018-06-24")));
    assert_eq!(failed(&[], References { instruments: Some(ended), ..full() })?, ["RTS22.41.valid_on_trading_date"]);
    // Traded on a Monday: due by Tuesday's end, or a day later where Tuesday is a holiday.
    let at = |now: &str, holidays: &[&str]| References {
        now: Timestamp::parse(now).ok(),
        holidays: Some(holidays.iter().map(|text| day(text)).collect()),
        ..full()
    };
    assert_eq!(failed(&[], at("2018-06-26T23:59:59Z", &[]))?, [""; 0]);
    assert_eq!(failed(&[], at("2018-06-27T00:00:00Z", &[]))?, ["RTS22.28.reported_in_time"]);
    assert_eq!(failed(&[], at("2018-06-27T23:00:00Z", &["2018-06-26"]))?, [""; 0]);
    let friday = [(28, "2018-06-29T12:00:00.000001Z")];
    assert_eq!(failed(&friday, at("2018-07-02T23:00:00Z", &[]))?, [""; 0]);
    assert_eq!(failed(&friday, at("2018-07-03T00:00:00Z", &[]))?, ["RTS22.28.reported_in_time"]);
    Ok(())
}

#[test]
fn an_engine_remembers_what_it_saw() -> Result<()> {
    let mut rules = Rts22::new(references());
    let report = with(&[])?;
    assert!(rules.check_and_note(&report).is_sound());
    let again = rules.check_and_note(&report);
    assert!(!again.is_sound());
    let issues = rules.explain(&report, &again).mifid_ii.issues;
    assert_eq!((issues.len(), issues[0].esma_code), (1, Some("CON-023")));
    assert!(issues[0].article.contains("2017/590") && issues[0].remedy.contains("not used before"));
    let (passed, failed, skipped) = again.counts();
    assert!(passed > 40 && failed == 1 && skipped > 20, "{passed} {failed} {skipped}");
    Ok(())
}

#[test]
fn the_fields_are_those_of_the_vendored_table() {
    let table = include_str!("../../data/rts22_fields.csv");
    let report = |number: u8| TransactionReport::new([(number, "?")]);
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let number: u8 = line.split(',').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(report(number).is_ok());
        rows += 1;
    }
    assert_eq!(rows, 65);
    assert!(report(66).is_err());
}

#[test]
fn annex_ii_is_the_vendored_one() -> Result<()> {
    let table: serde_json::Value = serde_json::from_str(include_str!("../../data/rts22_annex2.json")).expect("json");
    let priority = table["priority"].as_object().expect("a table");
    assert_eq!(priority.len(), 32);
    for (country, kinds) in priority {
        let kinds: Vec<&str> = kinds.as_array().expect("kinds").iter().filter_map(|kind| kind.as_str()).collect();
        let country = if country == "other" { "US" } else { country };
        let concat = format!("{country}19720703MELISSMITH");
        let report = with(&[(16, &concat), (18, "MELISSA"), (19, "SMITH"), (20, "1972-07-03")])?;
        let result = check_report(&report, &references()).mifid_ii;
        let failed = result.issues.iter().any(|issue| issue.rule == "RTS22.16.person_identifier");
        assert_eq!(failed, !kinds.contains(&"CONCAT"), "{country} {:?}", result.issues);
        // Whatever has the shape of nothing is open where passports are taken, and wrong where they are not.
        let report = with(&[(16, &format!("{country}A1B2C3")), (18, "MELISSA"), (19, "SMITH"), (20, "1972-07-03")])?;
        let result = check_report(&report, &references()).mifid_ii;
        let failed = result.issues.iter().any(|issue| issue.rule == "RTS22.16.person_identifier");
        let judged = !kinds.contains(&"CCPT") && !["GR"].contains(&country);
        assert_eq!(failed, judged, "{country}");
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
    assert!(result.passed.iter().all(|rule| rule.ends_with(".absent")), "{:?}", result.passed);
    Ok(())
}

#[test]
fn the_result_serialises_under_the_known_names_and_without_values()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let person = [(7, "SE19851205JOHN#ENGHO"), (9, "JOHN"), (10, "ENGHOLM"), (11, "1985-12-05"), (29, "AOTC")];
    let report = with(&[&person[..], &[(33, "42.5x"), (41, "DE0007164601")]].concat())?;
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
    fn no_report_makes_a_check_panic_or_lose_a_field(fields in prop::collection::vec((1_u8..=65, "[ -~é]{0,30}|[A-Z]{2}[0-9]{8}[A-Z#]{10}|[A-Z]{4}|20[0-9]{2}-[01][0-9]-[0-3][0-9]"), 0..20)) {
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

#[test]
fn a_table_of_reports_is_checked_row_by_row() -> Result<()> {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    let mut columns: Vec<(String, ArrayRef)> = TRADE
        .iter()
        .map(|(number, text)| (number.to_string(), Arc::new(StringArray::from(vec![*text, text])) as ArrayRef))
        .collect();
    columns.push(("61".into(), Arc::new(StringArray::from(vec![Some("SIZE|ILQD"), Some("SIZE|HUGE")]))));
    columns.push(("42".into(), Arc::new(StringArray::from(vec![None, Some("")]))));
    let table =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let rules = Rts22::new(references());
    let result = rules.check_table(&table.expect("a table"))?;
    assert_eq!((result.rows, result.failed.len(), result.failed[0].0), (2, 1, 1));
    let report = with(&[(61, "SIZE"), (61, "HUGE")])?;
    assert_eq!(rules.check(&report), result.failed[0].1);
    for name in ["0", "66", "price"] {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let table = RecordBatch::try_from_iter([(name, column)]).expect("a table");
        assert!(rules.check_table(&table).is_err(), "{name}");
    }
    Ok(())
}
