//! Identifiers with check digits: of instruments, firms, accounts and persons.

mod national;

pub use national::{NationalId, national_id};

/// ISO 6166: two letters, nine letters or digits, and a Luhn digit over them with A = 10 to Z = 35.
#[must_use]
pub fn is_isin(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 12
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..11].iter().all(|byte| is_upper_alphanumeric(*byte))
        && bytes[11].is_ascii_digit()
        && isin_digits_match(bytes)
}

/// ISO 17442: 18 letters or digits and two check digits, ISO 7064 mod 97-10.
#[must_use]
pub fn is_lei(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 20
        && bytes[..18].iter().all(|byte| is_upper_alphanumeric(*byte))
        && bytes[18..].iter().all(u8::is_ascii_digit)
        && mod_97(bytes) == 1
}

/// ISO 13616: country, two check digits, up to 30 letters or digits, in the length of its country. Without spaces.
#[must_use]
pub fn is_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = (15..=34).contains(&bytes.len())
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes[4..].iter().all(|byte| is_upper_alphanumeric(*byte));
    shape && iban_length(&bytes[..2]) == Some(bytes.len()) && {
        let mut turned = [0; 34];
        let turned = &mut turned[..bytes.len()];
        turned[..bytes.len() - 4].copy_from_slice(&bytes[4..]);
        turned[bytes.len() - 4..].copy_from_slice(&bytes[..4]);
        mod_97(turned) == 1
    }
}

/// ISO/IEC 7812: a payment card's number, 12 to 19 digits with a Luhn digit, of an issuer in use.
#[must_use]
pub fn is_card(digits: &[u8]) -> bool {
    let starts = |from: &[u8], to: &[u8]| digits.len() >= from.len() && (from..=to).contains(&&digits[..from.len()]);
    let issuer = match digits.len() {
        13 | 19 => starts(b"4", b"4"),
        16 => {
            starts(b"4", b"4")
                || starts(b"51", b"55")
                || starts(b"2221", b"2720")
                || starts(b"6011", b"6011")
                || starts(b"644", b"659")
                || starts(b"3528", b"3589")
                || starts(b"62", b"62")
        }
        15 => starts(b"34", b"34") || starts(b"37", b"37"),
        14 => starts(b"300", b"305") || starts(b"36", b"36") || starts(b"38", b"39"),
        _ => false,
    };
    issuer && digits.iter().all(u8::is_ascii_digit) && luhn(digits)
}

/// CUSIP (ANSI X9.6): eight letters, digits or `*@#`, and a check digit.
#[must_use]
pub fn is_cusip(text: &str) -> bool {
    let bytes = text.as_bytes();
    let value = |byte: u8| match byte {
        b'*' => Some(36),
        b'@' => Some(37),
        b'#' => Some(38),
        _ => value(byte),
    };
    let sum = |body: &[u8]| {
        body.iter().enumerate().try_fold(0, |sum, (i, byte)| {
            let doubled = value(*byte)? * (1 + i as u32 % 2);
            Some(sum + doubled / 10 + doubled % 10)
        })
    };
    matches!(bytes, [body @ .., digit] if body.len() == 8 && sum(body).is_some_and(|sum| check_10(sum) == *digit))
}

/// SEDOL: six consonants or digits and a check digit.
#[must_use]
pub fn is_sedol(text: &str) -> bool {
    const WEIGHTS: [u32; 6] = [1, 3, 1, 7, 3, 9];
    let sum = |body: &[u8]| {
        body.iter().zip(WEIGHTS).try_fold(0, |sum, (byte, weight)| match byte {
            b'A' | b'E' | b'I' | b'O' | b'U' => None,
            byte => Some(sum + weight * value(*byte)?),
        })
    };
    matches!(text.as_bytes(), [body @ .., digit] if body.len() == 6 && sum(body).is_some_and(|sum| check_10(sum) == *digit))
}

/// The digit that makes a sum a multiple of ten.
const fn check_10(sum: u32) -> u8 {
    b'0' + ((10 - sum % 10) % 10) as u8
}

pub(crate) fn isin_digits_match(bytes: &[u8]) -> bool {
    // From the right, every second digit is doubled; a letter is two digits.
    let (mut sum, mut is_doubled) = (0, false);
    let mut add = |digit: u32| {
        sum += if is_doubled { 2 * digit / 10 + 2 * digit % 10 } else { digit };
        is_doubled = !is_doubled;
    };
    for byte in bytes.iter().rev() {
        let value = value(*byte).unwrap_or(0);
        add(value % 10);
        if value > 9 {
            add(value / 10);
        }
    }
    sum.is_multiple_of(10)
}

/// Luhn over digits.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let value = |(i, digit): (usize, &u8)| {
        let digit = u32::from(digit - b'0') * (1 + i as u32 % 2);
        digit / 10 + digit % 10
    };
    digits.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

/// The rest by 97 of the number that the letters and digits spell, A = 10 to Z = 35.
pub(crate) fn mod_97(bytes: &[u8]) -> u64 {
    // Sixteen more digits fit behind a rest of two.
    bytes.chunks(8).fold(0, |rest, chunk| {
        let spelled = chunk.iter().fold(rest, |number, byte| {
            let (value, factor) = SPELLED[usize::from(*byte)];
            number * u64::from(factor) + u64::from(value)
        });
        spelled % 97
    })
}

/// Value of a character, and what makes room for its digits.
const SPELLED: [(u8, u8); 256] = {
    let (mut table, mut byte) = ([(0, 1); 256], 0);
    while byte < table.len() {
        if let Some(value) = value(byte as u8) {
            table[byte] = (value as u8, if value > 9 { 100 } else { 10 });
        }
        byte += 1;
    }
    table
};

const fn is_upper_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// A digit is itself, A is 10 to Z is 35.
const fn value(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as u32),
        b'A'..=b'Z' => Some((byte - b'A') as u32 + 10),
        _ => None,
    }
}

/// Length of an IBAN by country, of the IBAN Registry.
fn iban_length(country: &[u8]) -> Option<usize> {
    const LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27\
        GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27\
        MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";
    let entry = LENGTHS.as_bytes().chunks_exact(4).find(|entry| entry[..2] == *country)?;
    Some(usize::from(entry[2] - b'0') * 10 + usize::from(entry[3] - b'0'))
}
