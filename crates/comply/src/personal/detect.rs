use std::net::Ipv6Addr;

use serde::Serialize;

use super::numbers;
use crate::identifier::{NationalId, is_iban, national_id};

/// What kind of direct identifier was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number: international, or grouped as in North America.
    Phone,
    /// A bank account, its check digits right.
    Iban,
    /// A payment card, its check digit and issuer right.
    Card,
    /// An IPv4 or IPv6 address.
    IpAddress,
    /// A network card's address.
    MacAddress,
    /// A national identifier of a person, its check digits right where its country has some.
    NationalId,
}

/// Where something was found. It never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// Finds direct identifiers of persons in text, in one pass. It knows no names and no places: those have no shape.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    countries: Vec<String>,
}

/// What a byte can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Nothing,
    Digit,
    Letter,
    At,
    /// `+`, `(` or `:`.
    Mark,
}

const CLASSES: [Class; 256] = {
    let (mut table, mut byte) = ([Class::Nothing; 256], 0);
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => Class::Digit,
            b'A'..=b'Z' | b'a'..=b'z' | 128.. => Class::Letter,
            b'@' => Class::At,
            b'+' | b'(' | b':' => Class::Mark,
            _ => Class::Nothing,
        };
        byte += 1;
    }
    table
};

impl Detector {
    /// Finds what has the same shape in all countries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also finds national identifiers of these ISO 3166-1 countries. Name those that your data is from: among ten digits of
    /// anything, one in eleven has the check digit of some country.
    #[must_use]
    pub fn countries<T: Into<String>>(mut self, countries: impl IntoIterator<Item = T>) -> Self {
        self.countries.extend(countries.into_iter().map(Into::into));
        self
    }

    /// Everything in a text, in its order, without overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        self.each(text, |one| found.push(one));
        found
    }

    /// The text with everything that was found replaced by its kind, as in `<email>`.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        self.each(text, |Found { kind, start, end }| {
            let name = serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned));
            out += &text[at..start];
            out += &format!("<{}>", name.unwrap_or_default());
            at = end;
        });
        out + &text[at..]
    }

    fn each(&self, text: &str, mut found: impl FnMut(Found)) {
        let bytes = text.as_bytes();
        // Nothing may begin before `free`: what is before was given out.
        let (mut at, mut free) = (0, 0);
        while at < bytes.len() {
            let hit = match CLASSES[usize::from(bytes[at])] {
                Class::Nothing => {
                    at += 1;
                    continue;
                }
                Class::At => email(bytes, free, at),
                Class::Mark => numbers::phone(bytes, at).or_else(|| address(bytes, at)),
                Class::Digit | Class::Letter => {
                    let (end, has_digit) = word(bytes, at);
                    let next = bytes.get(end).copied();
                    let hit = if next == Some(b'@') || !has_digit && next != Some(b':') {
                        None
                    } else {
                        self.in_word(bytes, at, end)
                    };
                    if hit.is_none() {
                        at = end;
                        continue;
                    }
                    hit
                }
            };
            match hit {
                Some(hit) => {
                    found(hit);
                    (at, free) = (hit.end, hit.end);
                }
                None => at += 1,
            }
        }
    }

    /// What begins with the word from `start` to `end`, in which there is a digit or behind which there is a colon.
    fn in_word(&self, bytes: &[u8], start: usize, end: usize) -> Option<Found> {
        let word = &bytes[start..end];
        if word[0].is_ascii_digit() {
            let is_hex = word.iter().all(u8::is_ascii_hexdigit);
            return numbers::number(bytes, start)
                .or_else(|| self.national(bytes, start, end))
                .or_else(|| if is_hex { address(bytes, start) } else { None });
        }
        let is_iban_start = word.len() >= 4
            && word[..2].iter().all(u8::is_ascii_uppercase)
            && word[2..4].iter().all(u8::is_ascii_digit);
        if is_iban_start && let Some(found) = iban(bytes, start) {
            return Some(found);
        }
        self.national(bytes, start, end).or_else(|| address(bytes, start))
    }

    fn national(&self, bytes: &[u8], start: usize, end: usize) -> Option<Found> {
        // The shortest front of a number in two parts has six characters, the longest number sixteen.
        if self.countries.is_empty() || !(6..=16).contains(&(end - start)) {
            return None;
        }
        // Some are written with a mark in the middle: `131052-308T`, `850101-1234`, `860101/1236`.
        let joined = bytes.get(end).filter(|mark| matches!(mark, b'-' | b'/' | b'+')).map(|_| word(bytes, end + 1).0);
        for end in joined.into_iter().filter(|joined| *joined > end + 1 && joined - start <= 17).chain([end]) {
            let text = &bytes[start..end];
            if text.len() < 9 || text.iter().filter(|byte| byte.is_ascii_digit()).count() < 5 {
                continue;
            }
            let (mut plain, mut length) = ([0; 17], 0);
            for byte in text.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
                plain[length] = *byte;
                length += 1;
            }
            let (text, plain) = (std::str::from_utf8(text).ok()?, std::str::from_utf8(&plain[..length]).ok()?);
            let is_sound = |country: &String| {
                let text = if matches!(country.as_str(), "FI" | "LV") { text } else { plain };
                national_id(country, text) == NationalId::Sound
            };
            if self.countries.iter().any(is_sound) {
                return Some(Found { kind: Kind::NationalId, start, end });
            }
        }
        None
    }
}

/// Where the word at `start` ends, and whether it holds a digit.
fn word(bytes: &[u8], start: usize) -> (usize, bool) {
    let (mut end, mut has_digit) = (start, false);
    while let Some(class) = bytes.get(end).map(|byte| CLASSES[usize::from(*byte)]) {
        match class {
            Class::Digit => has_digit = true,
            Class::Letter => {}
            _ => break,
        }
        end += 1;
    }
    (end, has_digit)
}

/// The shape that mail systems accept (RFC 5321 without quoted names), around the `@`.
fn email(bytes: &[u8], free: usize, at: usize) -> Option<Found> {
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte) || *byte >= 128;
    let start = at - bytes[free..at].iter().rev().take(64).take_while(|byte| is_local(byte)).count();
    let domain = bytes[at + 1..]
        .iter()
        .take(253)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte))
        .count();
    let name = &bytes[at + 1..at + 1 + domain];
    let trimmed = name.len() - name.iter().rev().take_while(|byte| b".-".contains(byte)).count();
    let name = &name[..trimmed];
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let top = &name[dot + 1..];
    let is_domain = dot > 0 && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic) && !name.starts_with(b"-");
    // A dot that ends a sentence is none of a name.
    let start = start + bytes[start..at].iter().take_while(|byte| **byte == b'.' || **byte == b'\'').count();
    let is_split = !std::str::from_utf8(&bytes[start..at]).is_ok_and(|local| !local.is_empty());
    (is_domain && !is_split).then_some(Found { kind: Kind::Email, start, end: at + 1 + trimmed })
}

/// An account number, in one word or in groups of four.
fn iban(bytes: &[u8], start: usize) -> Option<Found> {
    let (mut compact, mut ends) = ([0; 34], [0; 34]);
    let mut length = 0;
    let mut at = start;
    while length < compact.len() {
        match bytes.get(at) {
            Some(byte) if byte.is_ascii_uppercase() || byte.is_ascii_digit() => {
                compact[length] = *byte;
                length += 1;
                ends[length - 1] = at + 1;
            }
            Some(b' ' | b'-')
                if length % 4 == 0 && length > 0 && bytes.get(at - 1).is_some_and(u8::is_ascii_alphanumeric) => {}
            _ => break,
        }
        at += 1;
    }
    (15..=length).rev().find_map(|length| {
        let end = ends[length - 1];
        let is_word = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        let text = std::str::from_utf8(&compact[..length]).ok()?;
        (is_word && is_iban(text)).then_some(Found { kind: Kind::Iban, start, end })
    })
}

/// An address of a network card, or of the internet in version 6.
fn address(bytes: &[u8], start: usize) -> Option<Found> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'-');
    let length = bytes[start..].iter().take(46).take_while(|byte| is_part(byte)).count();
    let run = &bytes[start..start + length];
    if bytes.get(start + length).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    if let Some(mac) = run.get(..17)
        && mac.iter().enumerate().all(|(i, byte)| if i % 3 == 2 { *byte == mac[2] } else { byte.is_ascii_hexdigit() })
        && matches!(mac[2], b':' | b'-')
        && run.len() < 20
    {
        return Some(Found { kind: Kind::MacAddress, start, end: start + 17 });
    }
    let text = std::str::from_utf8(run).ok()?.trim_end_matches(['.', '-']);
    let text = text.strip_suffix(':').filter(|text| !text.ends_with(':')).unwrap_or(text);
    // `::` alone, a time of day and a path of names such as `a::b` are no addresses.
    let has_parts = text.matches(':').count() >= 2 && text.len() > 3 && text.bytes().any(|byte| byte.is_ascii_digit());
    let is_address = has_parts && text.parse::<Ipv6Addr>().is_ok();
    is_address.then_some(Found { kind: Kind::IpAddress, start, end: start + text.len() })
}
