use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use proptest::prelude::*;
use tapeloom_comply::{
    Detector, Kind, Measure, Plan, ProcessingRecord, Pseudonymizer, find_in_columns, measure, suppress,
};
use tapeloom_seal::Key;

/// What is found, as kind and text.
fn found<'a>(detector: &Detector, text: &'a str) -> Vec<(Kind, &'a str)> {
    detector.find(text).into_iter().map(|found| (found.kind, &text[found.start..found.end])).collect()
}

#[test]
fn identifiers_are_found_in_running_text() {
    let detector = Detector::new().countries(["PL", "FI", "IT", "SE", "US"]);
    for (text, kind, want) in [
        ("write to jane.doe+x@mail.example.com.", Kind::Email, "jane.doe+x@mail.example.com"),
        ("<o'neil@x.ie>", Kind::Email, "o'neil@x.ie"),
        ("müller@beispiel.de,", Kind::Email, "müller@beispiel.de"),
        ("call +49 30 1234567 now", Kind::Phone, "+49 30 1234567"),
        ("+44 (0)20 7946 0958", Kind::Phone, "+44 (0)20 7946 0958"),
        ("(415) 555-0132 x", Kind::Phone, "(415) 555-0132"),
        ("tel 415-555-0132", Kind::Phone, "415-555-0132"),
        ("0049 30 1234567", Kind::Phone, "0049 30 1234567"),
        ("pay DE89370400440532013000 today", Kind::Iban, "DE89370400440532013000"),
        ("IBAN: GB82 WEST 1234 5698 7654 32 ok", Kind::Iban, "GB82 WEST 1234 5698 7654 32"),
        ("card 4111 1111 1111 1111.", Kind::Card, "4111 1111 1111 1111"),
        ("378282246310005", Kind::Card, "378282246310005"),
        ("from 192.168.0.17:443", Kind::IpAddress, "192.168.0.17"),
        ("host 2001:db8::1, up", Kind::IpAddress, "2001:db8::1"),
        ("[fe80::1ff:fe23:4567:890a]", Kind::IpAddress, "fe80::1ff:fe23:4567:890a"),
        ("mac 00:1A:2b:3c:4d:5e!", Kind::MacAddress, "00:1A:2b:3c:4d:5e"),
        ("ssn 536-90-4399", Kind::NationalId, "536-90-4399"),
        ("pesel 44051401359", Kind::NationalId, "44051401359"),
        ("hetu 131052-308T", Kind::NationalId, "131052-308T"),
        ("cf RSSMRA85T10A562S", Kind::NationalId, "RSSMRA85T10A562S"),
        ("pnr 811228-9874", Kind::NationalId, "811228-9874"),
    ] {
        assert_eq!(found(&detector, text), [(kind, want)], "{text}");
    }
}

#[test]
fn what_only_looks_like_one_is_left_alone() {
    let detector = Detector::new();
    for text in [
        "prices 4111.25 and 42.5, 2018-06-25T12:45:27.123456Z",
        "4111 1111 1111 1112",
        "DE89370400440532013001",
        "ISIN DE0007164600, LEI 7LTWFZYICNSX8D621K86",
        "999.1.1.1 and 1.2.3 and 1.2.3.4.5",
        "version 0.4.45",
        "a@b, @home, x@-y.z, user@host",
        "12:45:27 and std::fmt and a::b",
        "000-12-3456 and 666-12-3456",
        "order 12345678901234567890123",
        "sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "44051401359",
        "1,000,000 + 5",
    ] {
        assert_eq!(found(&detector, text), [], "{text}");
    }
}

#[test]
fn several_are_found_in_order_and_redacted() {
    let text = "jane@x.org paid from DE89370400440532013000 at 10.1.2.3; call +1 415 555 0132";
    let detector = Detector::new();
    let kinds: Vec<Kind> = detector.find(text).into_iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::Email, Kind::Iban, Kind::IpAddress, Kind::Phone]);
    assert_eq!(detector.redact(text), "<email> paid from <iban> at <ip_address>; call <phone>");
}

proptest! {
    #[test]
    fn no_text_makes_the_detector_panic_or_overlap(text in "[ -~é@.:+0-9-]{0,120}") {
        let detector = Detector::new().countries(["FI", "SE", "LV", "CZ"]);
        let mut free = 0;
        for found in detector.find(&text) {
            prop_assert!(found.start >= free && found.end > found.start && text.is_char_boundary(found.start) && text.is_char_boundary(found.end));
            free = found.end;
        }
        let _ = detector.redact(&text);
    }

    #[test]
    fn what_was_planted_is_found(before in "[a-z ]{0,30}", after in "[a-z ]{0,30}", at in 0_usize..5) {
        let planted = ["jane@x.org", "DE89370400440532013000", "4111111111111111", "10.1.2.3", "+49 30 1234567"][at];
        let text = format!("{before} {planted} {after}");
        let detector = Detector::new();
        let all = found(&detector, &text);
        prop_assert!(all.iter().any(|(_, text)| *text == planted), "{:?}", all);
    }
}

fn table() -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("mail", Arc::new(StringArray::from(vec![Some("a@x.org"), None, Some("b@x.org"), Some("a@x.org")]))),
        ("note", Arc::new(StringArray::from(vec!["none", "call 415-555-0132", "", "ip 10.0.0.1, 10.0.0.2"]))),
        ("age", Arc::new(Int64Array::from(vec![Some(23), Some(-1), None, Some(47)]))),
        ("pnl", Arc::new(Float64Array::from(vec![1.5, -2.25, 1000.0, 0.0]))),
        ("desk", Arc::new(StringArray::from(vec!["rates", "fx", "rates", "equity"]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a table")
}

fn pseudonymizer() -> Pseudonymizer {
    Pseudonymizer::new(&Key::from_bytes([3; 32]), "desk 7", "training")
}

#[test]
fn columns_with_identifiers_are_named() {
    let findings = find_in_columns(&Detector::new(), &table());
    let told: Vec<(&str, Kind, usize, usize)> =
        findings.iter().map(|f| (f.column.as_str(), f.kind, f.rows, f.first_row)).collect();
    assert_eq!(told, [("mail", Kind::Email, 3, 0), ("note", Kind::Phone, 1, 1), ("note", Kind::IpAddress, 1, 3)]);
}

#[test]
fn a_plan_takes_its_measures_and_names_what_it_forgot() -> tapeloom_comply::Result<()> {
    let plan = Plan::default()
        .column("mail", Measure::Pseudonymize)
        .column("note", Measure::Redact(Detector::new()))
        .column("age", Measure::Generalize(10.0))
        .column("pnl", Measure::Drop);
    let error = plan.apply(&table(), &pseudonymizer()).expect_err("desk is not named").to_string();
    assert_eq!(error, "column = desk: the plan does not say what happens to it");
    let plan = plan.column("desk", Measure::Generalize(1.0));
    assert!(plan.keeps_pseudonyms());
    let out = plan.apply(&table(), &pseudonymizer())?;
    let names: Vec<String> = out.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["mail", "note", "age", "desk"]);
    let mail: Vec<Option<&str>> = out.column(0).as_string::<i32>().iter().collect();
    assert!(mail[0] == mail[3] && mail[0] != mail[2] && mail[1].is_none());
    assert_eq!(mail[0].map(str::len), Some(32));
    assert_eq!(out.column(1).as_string::<i32>().value(3), "ip <ip_address>, <ip_address>");
    let ages: Vec<Option<i64>> = out.column(2).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(ages, [Some(20), Some(-10), None, Some(40)]);
    assert_eq!(out.column(3).as_string::<i32>().value(1), "f");
    for (bad, words) in [
        (Measure::Generalize(0.0), "over zero"),
        (Measure::Noise(f64::NAN), "over zero"),
        (Measure::Noise(1.0), "does not take such a column"),
    ] {
        let error = plan.clone().column("desk", bad).apply(&table(), &pseudonymizer()).expect_err("bad").to_string();
        assert!(error.contains(words), "{error}");
    }
    let error =
        plan.column("none", Measure::Keep).apply(&table(), &pseudonymizer()).expect_err("no column").to_string();
    assert_eq!(error, "column = none: the table has no such column");
    Ok(())
}

#[test]
fn pseudonyms_depend_on_key_tenant_purpose_and_field() -> tapeloom_comply::Result<()> {
    let key = Key::from_bytes([3; 32]);
    let ours = pseudonymizer();
    let all = [
        ours.pseudonym("mail", "a@x.org"),
        ours.pseudonym("phone", "a@x.org"),
        ours.pseudonym("mail", "b@x.org"),
        Pseudonymizer::new(&key, "desk 8", "training").pseudonym("mail", "a@x.org"),
        Pseudonymizer::new(&key, "desk 7", "audit").pseudonym("mail", "a@x.org"),
        Pseudonymizer::new(&Key::from_bytes([4; 32]), "desk 7", "training").pseudonym("mail", "a@x.org"),
    ];
    let different: std::collections::HashSet<&String> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    let hidden = ours.reversible("mail", "a@x.org")?;
    assert_eq!(
        (ours.reversible("mail", "a@x.org")?, ours.reveal("mail", &hidden)?),
        (hidden.clone(), "a@x.org".into())
    );
    assert!(ours.reveal("phone", &hidden).is_err());
    assert!(Pseudonymizer::new(&key, "desk 8", "training").reveal("mail", &hidden).is_err());
    for bad in ["", "zz", &hidden[2..], &hidden.to_uppercase(), &hidden.replacen(|_: char| true, "", 1)] {
        assert!(ours.reveal("mail", bad).is_err(), "{bad}");
    }
    Ok(())
}

#[test]
fn noise_has_its_scale_and_no_bias() -> tapeloom_comply::Result<()> {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![10.0; 20_000]));
    let table = RecordBatch::try_from_iter([("x", numbers)]).expect("a table");
    let out = Plan::default().column("x", Measure::Noise(3.0)).apply(&table, &pseudonymizer())?;
    let noise: Vec<f64> = out.column(0).as_primitive::<Float64Type>().values().iter().map(|x| x - 10.0).collect();
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    // The mean distance of a Laplace distribution from its middle is its scale.
    let scale = noise.iter().map(|x| x.abs()).sum::<f64>() / noise.len() as f64;
    assert!(mean.abs() < 0.1 && (scale - 3.0).abs() < 0.1, "{mean} {scale}");
    Ok(())
}

/// Numbers of pycanon 1.3.6 for the same table.
#[test]
fn anonymity_agrees_with_another_implementation() -> Result<(), Box<dyn std::error::Error>> {
    let (table, want) = canon();
    let measured = measure(&table, &["age", "zip"], &["illness", "income"])?;
    assert_eq!(measured.k as u64, want["k"].as_u64().ok_or("k")?);
    for column in ["illness", "income"] {
        let (ours, theirs) = (measured.sensitive[column], &want[column]);
        assert_eq!(ours.distinct_l as u64, theirs["l"].as_u64().ok_or("l")?, "{column}");
        assert!((ours.t - theirs["t"].as_f64().ok_or("t")?).abs() < 1e-9, "{column} {} {}", ours.t, theirs["t"]);
        // The other library rounds the entropy's number down.
        assert_eq!(ours.entropy_l.floor() as u64, theirs["entropy_l"].as_u64().ok_or("entropy_l")?, "{column}");
    }
    let fewer = suppress(&table, &["age", "zip"], 20)?;
    let measured = measure(&fewer, &["age", "zip"], &[])?;
    assert!(measured.k >= 20 && measured.rows < table.num_rows() && measured.rows > 0);
    Ok(())
}

fn canon() -> (RecordBatch, serde_json::Value) {
    let text = include_str!("../data/anonymity.csv");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let texts = |at: usize| Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row[at]))) as ArrayRef;
    let income = Int64Array::from_iter_values(rows.iter().map(|row| row[3].parse::<i64>().expect("a number")));
    let columns =
        [("age", texts(0)), ("zip", texts(1)), ("illness", texts(2)), ("income", Arc::new(income) as ArrayRef)];
    let want = serde_json::from_str(include_str!("../data/anonymity.json")).expect("json");
    (RecordBatch::try_from_iter(columns).expect("a table"), want)
}

#[test]
fn a_table_that_cannot_be_measured_is_refused() {
    for (quasi, words) in [(&[][..], "name what"), (&["none"], "no such column")] {
        assert!(measure(&table(), quasi, &[]).is_err_and(|e| e.to_string().contains(words)));
    }
    assert!(measure(&table().slice(0, 0), &["desk"], &[]).is_err_and(|e| e.to_string().contains("nothing to measure")));
    assert_eq!(measure(&table(), &["desk"], &[]).map(|measured| measured.k).ok(), Some(1));
}

#[test]
fn a_record_of_processing_says_what_it_lacks() {
    let record: ProcessingRecord =
        serde_json::from_str(r#"{"controller":"A Bank","purposes":["training"],"has_transfers":true}"#).expect("json");
    let missing = record.missing();
    assert_eq!(missing.len(), 6);
    assert!(
        missing.iter().any(|what| what.contains("30(1)(e)")) && missing.iter().all(|what| what.contains("art. 30(1)"))
    );
}
