use proptest::prelude::*;
use tapeloom_comply::{Flaw, Format};

/// Of well-known companies and funds; the third letter group of the Australian one is the usual test of letters in the middle.
const ISINS: [&str; 9] = [
    "US0378331005",
    "US5949181045",
    "GB0002634946",
    "DE0007164600",
    "DE000BAY0017",
    "FR0000131104",
    "JP3633400001",
    "IE00B4L5Y983",
    "AU0000XVGZA3",
];
/// Of well-known companies and banks.
const LEIS: [&str; 6] = [
    "HWUPKR0MPOU8FGXBT394",
    "5493001KJTIIGC8Y1R12",
    "7LTWFZYICNSX8D621K86",
    "529900T8BM49AURSDO55",
    "213800D1EI4B9WTWWD28",
    "7H6GLXDRUGQFU57RNE97",
];

#[test]
fn public_identifiers_are_sound() {
    ISINS.iter().for_each(|isin| assert_eq!(Format::Isin.check(isin), Ok(()), "{isin}"));
    LEIS.iter().for_each(|lei| assert_eq!(Format::Lei.check(lei), Ok(()), "{lei}"));
}

#[test]
fn every_slip_that_the_standards_promise_to_find_is_found() {
    for (format, text) in ISINS.map(|isin| (Format::Isin, isin)).into_iter().chain(LEIS.map(|lei| (Format::Lei, lei))) {
        for (at, old) in text.char_indices() {
            // A digit for another; in an LEI also a letter for another. A letter for a digit may go unseen: its two digits shift
            // all before them.
            let digits = ('0'..='9').filter(|_| old.is_ascii_digit());
            let letters = ('A'..='Z').filter(|_| format == Format::Lei && old.is_ascii_uppercase());
            for new in digits.chain(letters).chain(['x', ' ', 'é', '-']).filter(|new| *new != old) {
                let bad: String = text.char_indices().map(|(i, c)| if i == at { new } else { c }).collect();
                assert!(format.check(&bad).is_err(), "{bad}");
            }
        }
    }
}

#[test]
fn neighbours_swapped_in_an_lei_are_found() {
    for lei in LEIS {
        for at in 0..19 {
            let mut bytes = lei.as_bytes().to_vec();
            bytes.swap(at, at + 1);
            let swapped = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(Format::Lei.check(&swapped).is_ok(), swapped == lei, "{swapped}");
        }
    }
}

#[test]
fn flaws_are_told_apart() {
    let lei = |text| Format::Lei.check(text);
    assert_eq!(lei("HWUPKR0MPOU8FGXBT395"), Err(Flaw::CheckDigits));
    assert_eq!(lei("HWUPKR0MPOU8FGXBT39"), Err(Flaw::Length));
    assert_eq!(lei("hwupkr0mpou8fgxbt394"), Err(Flaw::Character));
    assert_eq!(Format::Date.check("2019-02-29"), Err(Flaw::NoSuchTime));
    assert_eq!(Format::Code(&["NEWT", "CANC"]).check("newt"), Err(Flaw::NoSuchCode));
    assert_eq!(Flaw::CheckDigits.to_string(), "its check digits do not match");
}

#[test]
fn moments_are_written_in_utc_with_six_digits() {
    for good in ["2018-01-03T00:00:00.000000Z", "2020-02-29T23:59:59.999999Z"] {
        assert_eq!(Format::DateTime.check(good), Ok(()), "{good}");
    }
    for bad in [
        "2018-01-03T00:00:00Z",
        "2018-01-03T00:00:00.000Z",
        "2018-01-03T00:00:00.0000000Z",
        "2018-01-03T00:00:00.000000",
        "2018-01-03T00:00:00.00+01:00",
        "2018-01-03 00:00:00.000000Z",
        "2018-01-03t00:00:00.000000z",
        "2019-02-29T00:00:00.000000Z",
        "2018-01-03T24:00:00.000000Z",
        "2018-01-03T00:60:00.000000Z",
        "2018-12-31T23:59:60.000000Z",
    ] {
        assert!(Format::DateTime.check(bad).is_err(), "{bad}");
    }
}

#[test]
fn decimals_count_their_digits() {
    let format = Format::Decimal { digits: 18, fraction: 5 };
    for good in ["0", "-0.00001", "1234567890123.12345", "123456789012345678", "-123456789012345678"] {
        assert_eq!(format.check(good), Ok(()), "{good}");
    }
    for (bad, flaw) in [
        ("0.000001", Flaw::Digits),
        ("12345678901234.12345", Flaw::Digits),
        ("1234567890123456789", Flaw::Digits),
        ("", Flaw::Length),
        ("-", Flaw::Length),
        (".5", Flaw::Length),
        ("5.", Flaw::Length),
        ("1,5", Flaw::Character),
        ("+1", Flaw::Character),
        ("--1", Flaw::Character),
        ("1e5", Flaw::Character),
        ("NaN", Flaw::Character),
        ("1.2.3", Flaw::Character),
        (" 1", Flaw::Character),
        ("１", Flaw::Character),
    ] {
        assert_eq!(format.check(bad), Err(flaw), "{bad:?}");
    }
}

#[test]
fn texts_and_codes_keep_to_their_shape() {
    let checks: [(Format, &[&str], &[&str]); 7] = [
        (Format::Alphanum(3), &["a", "äöü", "A-1"], &["", "abcd", "a\n", "   ", "\u{7f}"]),
        (Format::Mic, &["XETR", "XOFF", "A2XX"], &["XET", "XETRA", "xetr", "XE R"]),
        (Format::Currency, &["EUR"], &["EU", "EURO", "eur", "E1R"]),
        (Format::Country, &["DE"], &["D", "DEU", "de", "D1"]),
        (Format::Cfi, &["ESVUFR"], &["ESVUF", "ESVUFRX", "esvufr", "ESVUF1"]),
        (
            Format::NationalId,
            &["DE1", "FI131052-308T", "SE19851205JOHN#ENGHO"],
            &["DE", "1DE", "DE abc", "DEabc", "D\u{e9}1", "DE34567890123456789012345678901234567"],
        ),
        (Format::Term, &["3MNTH", "999DAYS", "1YEAR"], &["MNTH", "1000DAYS", "3", "3MONTH", "3 MNTH"]),
    ];
    for (format, good, bad) in checks {
        good.iter().for_each(|text| assert_eq!(format.check(text), Ok(()), "{format:?} {text:?}"));
        bad.iter().for_each(|text| assert!(format.check(text).is_err(), "{format:?} {text:?}"));
    }
}

/// The check digits by the book: the remainder of the whole as one long number, digit by digit.
fn lei_of(body: &str) -> String {
    let digits =
        format!("{body}00").chars().filter_map(|c| c.to_digit(36)).map(|value| value.to_string()).collect::<String>();
    let rest = digits.chars().filter_map(|c| c.to_digit(10)).fold(0, |rest, digit| (rest * 10 + digit) % 97);
    format!("{body}{:02}", 98 - rest)
}

proptest! {
    #[test]
    fn an_lei_made_by_the_standard_is_sound_and_no_other_digits_are(body in "[0-9A-Z]{18}") {
        let sound = lei_of(&body);
        for digits in 0..100 {
            let text = format!("{body}{digits:02}");
            // 00, 01 and 99 are the remainders of 97, 98 and 2: the standard never makes them.
            let is_twin = text[18..].parse::<u32>().is_ok_and(|d| sound[18..].parse::<u32>().is_ok_and(|s| s.abs_diff(d) == 97));
            if !is_twin {
                prop_assert_eq!(Format::Lei.check(&text).is_ok(), text == sound);
            }
        }
    }

    #[test]
    fn exactly_one_check_digit_completes_an_isin(body in "[A-Z]{2}[0-9A-Z]{9}") {
        let sound = (0..10).filter(|digit| Format::Isin.check(&format!("{body}{digit}")).is_ok()).count();
        prop_assert_eq!(sound, 1);
    }

    #[test]
    fn any_number_written_plainly_is_a_decimal_of_its_size(value in any::<i64>(), fraction in 0_usize..=5) {
        let digits = value.unsigned_abs().to_string();
        let text = format!("{}{digits}{}", if value < 0 { "-" } else { "" }, if fraction > 0 { format!(".{}", "7".repeat(fraction)) } else { String::new() });
        let fits = digits.len() + fraction <= 18;
        prop_assert_eq!(Format::Decimal { digits: 18, fraction: 5 }.check(&text).is_ok(), fits);
    }

    #[test]
    fn no_text_makes_a_format_panic(text in any::<String>()) {
        for format in [Format::Alphanum(9), Format::Cfi, Format::Country, Format::Currency, Format::Date, Format::DateTime,
            Format::Decimal { digits: 18, fraction: 5 }, Format::Isin, Format::Lei, Format::Mic, Format::NationalId, Format::Term] {
            let _ = format.check(&text);
        }
    }
}
