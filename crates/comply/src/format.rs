use serde::Serialize;

use crate::date::{days, micros};
use crate::identifier::{isin_digits_match, mod_97};

/// How a value of a transaction report is written: the symbols of Annex I, Table 1 of Delegated Regulation (EU) 2017/590.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Free text of 1 to that many characters, none of them a control character.
    Alphanum(usize),
    /// One of a list of codes.
    Code(&'static [&'static str]),
    /// ISO 10962 classification: 6 capital letters. Whether the letters stand for something is not checked.
    Cfi,
    /// ISO 3166-1 alpha-2: 2 capital letters. Whether there is such a country is not checked.
    Country,
    /// ISO 4217: 3 capital letters. Whether there is such a currency is not checked.
    Currency,
    /// `YYYY-MM-DD`, a day that exists.
    Date,
    /// `YYYY-MM-DDThh:mm:ss.ddddddZ`, a moment that exists.
    DateTime,
    /// At most so many digits, of which at most so many are behind the `.`; `-` in front of a negative number.
    Decimal {
        /// All digits.
        digits: usize,
        /// Of these, digits behind the point.
        fraction: usize,
    },
    /// ISO 6166 with its check digit (Luhn over digits, with A = 10 to Z = 35).
    Isin,
    /// ISO 17442 with its check digits (ISO 7064 mod 97-10).
    Lei,
    /// ISO 10383: 4 capital letters or digits. Whether there is such a market is not checked.
    Mic,
    /// Country code and national identifier of a person, 35 characters at most.
    NationalId,
    /// 1 to 3 digits and `DAYS`, `WEEK`, `MNTH` or `YEAR`.
    Term,
}

/// Why a value is not written as it should be. It never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flaw {
    /// Too short or too long.
    #[error("it has too few or too many characters")]
    Length,
    /// A character that does not belong there.
    #[error("it holds a character that does not belong there")]
    Character,
    /// The check digits do not belong to the rest: a slip of the pen.
    #[error("its check digits do not match")]
    CheckDigits,
    /// A day or moment that does not exist.
    #[error("there is no such date or time")]
    NoSuchTime,
    /// Too many digits before or behind the point.
    #[error("it has too many digits")]
    Digits,
    /// None of the codes of the list.
    #[error("it is none of the codes")]
    NoSuchCode,
}

impl Format {
    /// Checks one value.
    ///
    /// # Errors
    /// The first flaw.
    pub fn check(self, text: &str) -> Result<(), Flaw> {
        match self {
            Self::Isin | Self::Lei => {
                self.check_shape(text)?;
                let bytes = text.as_bytes();
                let is_sound = if self == Self::Isin { isin_digits_match(bytes) } else { mod_97(bytes) == 1 };
                if is_sound { Ok(()) } else { Err(Flaw::CheckDigits) }
            }
            _ => self.check_shape(text),
        }
    }

    /// As [`Format::check`], but for check digits.
    pub(crate) fn check_shape(self, text: &str) -> Result<(), Flaw> {
        let bytes = text.as_bytes();
        match self {
            Self::Alphanum(most) if text.is_ascii() => {
                length((1..=most).contains(&bytes.len()))?;
                characters(!bytes.iter().any(u8::is_ascii_control) && bytes.iter().any(|byte| *byte != b' '))
            }
            Self::Alphanum(most) => {
                length((1..=most).contains(&text.chars().count()))?;
                characters(!text.chars().any(char::is_control) && !text.trim().is_empty())
            }
            Self::Code(codes) => codes.contains(&text).then_some(()).ok_or(Flaw::NoSuchCode),
            Self::Cfi => shape(bytes, b"AAAAAA"),
            Self::Country => shape(bytes, b"AA"),
            Self::Currency => shape(bytes, b"AAA"),
            Self::Mic => shape(bytes, b"XXXX"),
            Self::Isin => shape(bytes, b"AAXXXXXXXXX9"),
            Self::Lei => shape(bytes, b"XXXXXXXXXXXXXXXXXX99"),
            Self::Date => {
                shape(bytes, b"9999-99-99")?;
                days(bytes).map(|_| ()).ok_or(Flaw::NoSuchTime)
            }
            Self::DateTime => {
                shape(bytes, b"9999-99-99T99:99:99.999999Z")?;
                micros(bytes).map(|_| ()).ok_or(Flaw::NoSuchTime)
            }
            Self::Decimal { digits, fraction } => decimal(text, digits, fraction),
            Self::NationalId => {
                length((3..=35).contains(&bytes.len()))?;
                shape(&bytes[..2], b"AA")?;
                characters(bytes[2..].iter().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_lowercase()))
            }
            Self::Term => {
                let at = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
                length((1..=3).contains(&at))?;
                Self::Code(&["DAYS", "WEEK", "MNTH", "YEAR"]).check_shape(&text[at..])
            }
        }
    }
}

fn length(is_right: bool) -> Result<(), Flaw> {
    if is_right { Ok(()) } else { Err(Flaw::Length) }
}

fn characters(are_right: bool) -> Result<(), Flaw> {
    if are_right { Ok(()) } else { Err(Flaw::Character) }
}

/// `A` is a capital letter, `9` a digit, `X` one of both, anything else itself. Without a way out in the middle, which lets the
/// compiler look at many characters at once.
fn shape<const N: usize>(bytes: &[u8], pattern: &[u8; N]) -> Result<(), Flaw> {
    let bytes: &[u8; N] = bytes.try_into().map_err(|_| Flaw::Length)?;
    let fits = |byte: u8, wanted: u8| {
        let (is_letter, is_digit) = (byte.wrapping_sub(b'A') < 26, byte.wrapping_sub(b'0') < 10);
        let may_letter = (wanted == b'A') | (wanted == b'X');
        let may_digit = (wanted == b'9') | (wanted == b'X');
        (is_letter & may_letter) | (is_digit & may_digit) | ((byte == wanted) & !may_letter & !may_digit)
    };
    characters(bytes.iter().zip(pattern).fold(true, |so_far, (byte, wanted)| so_far & fits(*byte, *wanted)))
}

/// Read as text: a binary floating-point number can't hold 18 decimal digits.
fn decimal(text: &str, digits: usize, fraction: usize) -> Result<(), Flaw> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let point = unsigned.iter().position(|byte| *byte == b'.');
    let (whole, behind) = point.map_or((unsigned, &b"0"[..]), |at| (&unsigned[..at], &unsigned[at + 1..]));
    length(!whole.is_empty() && !behind.is_empty())?;
    characters(whole.iter().chain(behind).all(u8::is_ascii_digit))?;
    let behind = if point.is_some() { behind.len() } else { 0 };
    if behind > fraction || whole.len() + behind > digits { Err(Flaw::Digits) } else { Ok(()) }
}
