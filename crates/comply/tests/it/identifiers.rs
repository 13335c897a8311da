use proptest::prelude::*;
use tapeloom_comply::{NationalId, is_card, is_cusip, is_iban, is_isin, is_lei, is_sedol, national_id};

type Check = fn(&str) -> bool;

fn check(kind: &str) -> Check {
    match kind {
        "isin" => is_isin,
        "lei" => is_lei,
        "iban" => is_iban,
        "cusip" => is_cusip,
        "sedol" => is_sedol,
        other => panic!("{other}"),
    }
}

/// Made by chance, and found sound by an independent library.
fn sound() -> Vec<(Check, &'static str)> {
    let lines = include_str!("../data/identifiers.txt").lines();
    lines.filter_map(|line| line.split_once(' ')).map(|(kind, text)| (check(kind), text)).collect()
}

fn persons() -> Vec<(&'static str, &'static str)> {
    include_str!("../data/national-ids.txt").lines().filter_map(|line| line.split_once(' ')).collect()
}

#[test]
fn identifiers_agree_with_another_library() {
    let all = sound();
    assert_eq!(all.len(), 130);
    all.iter().for_each(|(check, text)| assert!(check(text), "{text}"));
}

#[test]
fn national_numbers_agree_with_another_library() {
    let all = persons();
    assert_eq!(all.len(), 525);
    for (country, id) in all {
        assert_eq!(national_id(country, id), NationalId::Sound, "{country} {id}");
    }
}

#[test]
fn one_wrong_digit_is_found() {
    for (check, text) in sound() {
        // All of these schemes find every change of one digit to another.
        for at in (0..text.len()).filter(|at| text.as_bytes()[*at].is_ascii_digit()) {
            let mut bad = text.as_bytes().to_vec();
            bad[at] = b'0' + (bad[at] - b'0' + 1) % 10;
            let bad = String::from_utf8(bad).expect("ascii");
            assert!(!check(&bad), "{text} {bad}");
        }
    }
}

#[test]
fn one_wrong_digit_of_a_national_number_is_mostly_found() {
    let (mut found, mut all) = (0, 0);
    for (country, id) in persons().into_iter().filter(|(country, _)| !["DK", "IS", "US", "LV"].contains(country)) {
        let last = id.rfind(|c: char| c.is_ascii_digit()).expect("digits");
        let mut bad = id.as_bytes().to_vec();
        bad[last] = b'0' + (bad[last] - b'0' + 1) % 10;
        let bad = String::from_utf8(bad).expect("ascii");
        found += usize::from(national_id(country, &bad) != NationalId::Sound);
        all += 1;
    }
    // In Iceland the last digit is the century. Of schemes with a rest of eleven, two rests share a digit.
    assert!(found * 100 >= all * 97, "{found} of {all}");
}

#[test]
fn shapes_are_told_from_check_digits() {
    assert_eq!(national_id("PL", "44051401359"), NationalId::Sound);
    assert_eq!(national_id("PL", "44051401358"), NationalId::CheckDigits);
    assert_eq!(national_id("PL", "4405140135"), NationalId::Shape);
    assert_eq!(national_id("GB", "AB123456C"), NationalId::Sound);
    assert_eq!(national_id("GB", "BG123456C"), NationalId::CheckDigits);
    assert_eq!(national_id("LV", "161175-19997"), NationalId::Sound);
    assert_eq!(national_id("ZZ", "1"), NationalId::Unknown);
}

#[test]
fn cards_have_an_issuer_a_length_and_a_luhn_digit() {
    for good in [
        "4111111111111111",
        "5555555555554444",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
    ] {
        assert!(is_card(good.as_bytes()), "{good}");
    }
    for bad in ["4111111111111112", "411111111111111", "1234567812345670", "0000000000000000", ""] {
        assert!(!is_card(bad.as_bytes()), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_check_panic(text in any::<String>(), country in "[A-Z]{2}") {
        for check in [is_isin, is_lei, is_iban, is_cusip, is_sedol] {
            let _ = check(&text);
        }
        let _ = is_card(text.as_bytes());
        for country in ["BE", "CZ", "ES", "FI", "GB", "IT", "LV", "SE", "DK", &country] {
            let _ = national_id(country, &text);
        }
    }
}
