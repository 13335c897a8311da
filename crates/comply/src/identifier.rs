//! Check digits and formats of identifiers in transaction records.

/// Whether `text` is an ISIN (ISO 6166): two letters, nine letters or digits, and a Luhn check digit.
#[must_use]
pub fn is_isin(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 12
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..11].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && bytes[11].is_ascii_digit()
        && luhn(&digits(text))
}

/// Whether `text` is an LEI (ISO 17442): 18 letters or digits and two check digits, 1 modulo 97 as a whole.
#[must_use]
pub fn is_lei(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 20
        && bytes[..18].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && bytes[18..].iter().all(u8::is_ascii_digit)
        && digits(text).bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97) == 1
}

/// Whether `text` has the shape of a market identifier code (ISO 10383): four letters or digits. Which codes exist is a table
/// that this crate does not hold.
#[must_use]
pub fn is_mic_shaped(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether `text` has the shape of a currency code (ISO 4217): three letters.
#[must_use]
pub fn is_currency_shaped(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Whether `text` is `ALPHANUM-n` of RTS 22: one to `most` letters or digits, upper case.
#[must_use]
pub fn is_alphanum(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether `text` is `DECIMAL-n/m` of RTS 22: at most `total` digits, of which at most `fraction` behind the point, with a
/// leading minus where negative and at least one digit on either side of a point.
#[must_use]
pub fn is_decimal(text: &str, total: usize, fraction: usize) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let behind = part.map_or(0, str::len);
    plain(whole) && part.is_none_or(plain) && behind <= fraction && whole.len() + behind <= total
}

/// Whether `text` is a date and time of RTS 22: `YYYY-MM-DDThh:mm:ss.ddddddZ`, the fraction of zero to six digits.
#[must_use]
pub fn is_date_time(text: &str) -> bool {
    let Some(body) = text.strip_suffix('Z') else { return false };
    let (whole, fraction) = body.split_once('.').map_or((body, None), |(whole, part)| (whole, Some(part)));
    let good = |part: &str| (1..=6).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    whole.len() == 19
        && fraction.is_none_or(good)
        && chrono::NaiveDateTime::parse_from_str(whole, "%Y-%m-%dT%H:%M:%S").is_ok()
}

/// Letters become two digits, A = 10 to Z = 35.
fn digits(text: &str) -> String {
    text.chars().filter_map(|c| c.to_digit(36)).map(|digit| digit.to_string()).collect()
}

fn luhn(digits: &str) -> bool {
    let double = |d: u32| if d > 4 { 2 * d - 9 } else { 2 * d };
    let values = digits.bytes().rev().map(|b| u32::from(b - b'0')).enumerate();
    values.map(|(i, d)| if i % 2 == 1 { double(d) } else { d }).sum::<u32>().is_multiple_of(10)
}
