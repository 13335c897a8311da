//! National identifiers of persons, with the check digits that each country gives them.

use super::{luhn, value};
use crate::date::day_exists;

/// What the digits of a national identifier say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NationalId {
    /// It has the shape and the check digits of its country.
    Sound,
    /// It has the shape, and its check digits do not match.
    CheckDigits,
    /// It is written otherwise than identifiers of its country are.
    Shape,
    /// No rule for this country is known here.
    Unknown,
}

/// Judges an identifier of a person under the rules of an ISO 3166-1 country. The identifier is without the country's code.
#[must_use]
pub fn national_id(country: &str, id: &str) -> NationalId {
    let bytes = id.as_bytes();
    match country {
        "BE" => digits(bytes, 11, |d| {
            let (number, check) = (number(&d[..9]), number(&d[9..]));
            // Those born from 2000 on have a 2 in front that is not written.
            check == 97 - number % 97 || check == 97 - (2_000_000_000 + number) % 97
        }),
        "BG" => digits(bytes, 10, |d| weighted(&d[..9], &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == at(d, 9)),
        "CZ" | "SK" => birth_number(bytes),
        "DK" => digits(bytes, 10, |d| {
            day_exists(1900, at(d, 2) * 10 + at(d, 3), at(d, 0) * 10 + at(d, 1)) || d[..4] == *b"2902"
        }),
        "EE" | "LT" => digits(bytes, 11, |d| {
            let first = weighted(&d[..10], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
            let rest = if first < 10 { first } else { weighted(&d[..10], &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 };
            (1..=8).contains(&at(d, 0)) && rest % 10 == at(d, 10)
        }),
        "ES" => spanish(bytes),
        "FI" => finnish(bytes),
        "GB" => british(bytes),
        "HR" => digits(bytes, 11, |d| {
            let rest = d[..10].iter().fold(10, |rest, digit| {
                let sum = (rest + u32::from(digit - b'0')) % 10;
                (if sum == 0 { 10 } else { sum }) * 2 % 11
            });
            (11 - rest) % 10 == at(d, 10)
        }),
        "IS" => digits(bytes, 10, |d| (weighted(&d[..9], &[3, 2, 7, 6, 5, 4, 3, 2, 1])).is_multiple_of(11)),
        "IT" => italian(bytes),
        "LV" => match bytes {
            [_, _, _, _, _, _, b'-', rest @ ..] => latvian(&[&bytes[..6], rest].concat()),
            _ => latvian(bytes),
        },
        "NO" => digits(bytes, 11, |d| {
            weighted(&d[..10], &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
                && weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
        }),
        "PL" => digits(bytes, 11, |d| weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)),
        "PT" => digits(bytes, 9, |d| (11 - weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 % 10 == at(d, 8)),
        "RO" => digits(bytes, 13, |d| {
            let rest = weighted(&d[..12], &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
            at(d, 0) > 0 && (if rest == 10 { 1 } else { rest }) == at(d, 12)
        }),
        "SE" => match bytes.len() {
            // With the century in front, which the check digit does not cover.
            12 => digits(bytes, 12, |d| luhn(&d[2..])),
            _ => digits(bytes, 10, luhn),
        },
        "SI" => digits(bytes, 13, |d| {
            let rest = weighted(&d[..12], &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
            (11 - rest) % 11 % 10 == at(d, 12)
        }),
        "US" => digits(bytes, 9, |d| {
            let (area, group, serial) = (number(&d[..3]), number(&d[3..5]), number(&d[5..]));
            area > 0 && area != 666 && area < 900 && group > 0 && serial > 0
        }),
        _ => NationalId::Unknown,
    }
}

fn judged(is_sound: bool) -> NationalId {
    if is_sound { NationalId::Sound } else { NationalId::CheckDigits }
}

/// Exactly so many digits, for which `check` holds.
fn digits(bytes: &[u8], count: usize, check: impl FnOnce(&[u8]) -> bool) -> NationalId {
    let has_shape = bytes.len() == count && bytes.iter().all(u8::is_ascii_digit);
    if has_shape { judged(check(bytes)) } else { NationalId::Shape }
}

fn at(digits: &[u8], place: usize) -> u32 {
    u32::from(digits[place] - b'0')
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum()
}

/// The Czech and Slovak birth number: ten digits that eleven divides; nine for those born before 1954, without a check digit.
fn birth_number(bytes: &[u8]) -> NationalId {
    match bytes.len() {
        9 => digits(bytes, 9, |_| true),
        _ => digits(bytes, 10, |d| {
            let whole = number(d);
            whole.is_multiple_of(11) || number(&d[..9]) % 11 == 10 && d[9] == b'0'
        }),
    }
}

fn spanish(bytes: &[u8]) -> NationalId {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let [first, middle @ .., letter] = bytes else { return NationalId::Shape };
    let has_shape = bytes.len() == 9 && middle.iter().all(u8::is_ascii_digit) && letter.is_ascii_uppercase();
    // Foreigners have X, Y or Z in the place of 0, 1 or 2; K, L and M stand outside the numbers.
    let front = match first {
        b'0'..=b'9' => first - b'0',
        b'X' | b'Y' | b'Z' => first - b'X',
        b'K' | b'L' | b'M' => 0,
        _ => return NationalId::Shape,
    };
    if !has_shape {
        return NationalId::Shape;
    }
    let whole = u64::from(front) * 10_000_000 + number(middle);
    judged(LETTERS[(whole % 23) as usize] == *letter)
}

fn finnish(bytes: &[u8]) -> NationalId {
    const MARKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let [date @ .., century, a, b, c, mark] = bytes else { return NationalId::Shape };
    let has_shape =
        date.len() == 6 && date.iter().chain([a, b, c]).all(u8::is_ascii_digit) && b"+-ABCDEFUVWXY".contains(century);
    if !has_shape {
        return NationalId::Shape;
    }
    judged(MARKS[(number(&[date, &[*a, *b, *c]].concat()) % 31) as usize] == *mark)
}

/// The national insurance number: no check digit, but letters that are never given out.
fn british(bytes: &[u8]) -> NationalId {
    let [first, second, middle @ .., last] = bytes else { return NationalId::Shape };
    let has_shape = bytes.len() == 9
        && first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && middle.iter().all(u8::is_ascii_digit)
        && (b'A'..=b'D').contains(last);
    let is_given = !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && !matches!(&bytes[..2.min(bytes.len())], b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ");
    if has_shape { judged(is_given) } else { NationalId::Shape }
}

fn italian(bytes: &[u8]) -> NationalId {
    /// What a character in an odd place counts.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let [body @ .., mark] = bytes else { return NationalId::Shape };
    let letters_at = [0, 1, 2, 3, 4, 5, 8, 11];
    let has_shape = bytes.len() == 16
        && mark.is_ascii_uppercase()
        && body.iter().enumerate().all(|(i, byte)| match byte {
            b'A'..=b'Z' => letters_at.contains(&i) || b"LMNPQRSTUV".contains(byte),
            b'0'..=b'9' => !letters_at.contains(&i),
            _ => false,
        });
    if !has_shape {
        return NationalId::Shape;
    }
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(i, byte)| {
            let value = value(*byte).unwrap_or(0);
            let place = if value > 9 { value - 10 } else { value };
            if i % 2 == 0 { ODD[place as usize] } else { place }
        })
        .sum();
    judged(u32::from(mark - b'A') == sum % 26)
}

fn latvian(bytes: &[u8]) -> NationalId {
    digits(bytes, 11, |d| {
        // Those given out since 2017 begin with 32 to 39 and say nothing of the birth.
        let is_new = d[0] == b'3' && d[1] >= b'2';
        is_new || (1 + weighted(&d[..10], &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10 == at(d, 10)
    })
}
