//! Identifiers that begin with a digit: cards, telephone and social security numbers, addresses of version 4.

use super::detect::{Found, Kind};
use crate::identifier::{NationalId, is_card, national_id};

/// Digits in groups, as they stand in a text.
struct Groups {
    digits: [u8; 20],
    count: usize,
    /// Of each group, its length and the byte behind it.
    groups: [(usize, u8); 8],
    number: usize,
    end: usize,
}

/// Reads digits that are parted by single marks, up to the first thing else.
fn groups(bytes: &[u8], start: usize) -> Option<Groups> {
    let mut read = Groups { digits: [0; 20], count: 0, groups: [(0, 0); 8], number: 0, end: start };
    loop {
        let length = bytes[read.end..].iter().take(21).take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 || read.count + length > read.digits.len() || read.number == read.groups.len() {
            break;
        }
        read.digits[read.count..read.count + length].copy_from_slice(&bytes[read.end..read.end + length]);
        read.count += length;
        read.end += length;
        let mark = bytes.get(read.end).copied().unwrap_or(0);
        read.groups[read.number] = (length, mark);
        read.number += 1;
        let goes_on = matches!(mark, b' ' | b'-' | b'.') && bytes.get(read.end + 1).is_some_and(u8::is_ascii_digit);
        if !goes_on {
            break;
        }
        read.end += 1;
    }
    // A mark that was taken without digits behind it is not part of it.
    read.end = start + read.groups[..read.number].iter().map(|(length, _)| length + 1).sum::<usize>() - 1;
    let is_word = !bytes.get(read.end).is_some_and(u8::is_ascii_alphanumeric);
    (read.number > 0 && is_word).then_some(read)
}

/// What a number in a text is, by its digits and how they are grouped.
pub(super) fn number(bytes: &[u8], start: usize) -> Option<Found> {
    let is_decimal = start > 0 && matches!(bytes[start - 1], b'.' | b',' | b'-' | b'_' | b'/');
    let read = groups(bytes, start).filter(|_| !is_decimal)?;
    let lengths = || read.groups[..read.number].iter().map(|(length, _)| *length);
    let marks = || read.groups[..read.number - 1].iter().map(|(_, mark)| *mark);
    let digits = &read.digits[..read.count];
    let found = |kind| Some(Found { kind, start, end: read.end });
    if read.number >= 4 && marks().take(3).all(|mark| mark == b'.') {
        return ip_v4(bytes, start, &read);
    }
    let is_even = marks().all(|mark| mark == read.groups[0].1 && mark != b'.');
    if (12..=19).contains(&read.count)
        && is_even
        && lengths().all(|length| length >= 4 || read.number == 1)
        && is_card(digits)
    {
        return found(Kind::Card);
    }
    let (mut shape, count) = ([0; 8], read.number);
    lengths().zip(&mut shape).for_each(|(length, slot)| *slot = length);
    match shape[..count] {
        [3, 2, 4] if marks().all(|mark| mark == b'-') => {
            let plain = std::str::from_utf8(digits).ok()?;
            if national_id("US", plain) == NationalId::Sound { found(Kind::NationalId) } else { None }
        }
        [3, 3, 4] if digits[0] > b'1' && digits[3] > b'1' => found(Kind::Phone),
        [1, 3, 3, 4] if digits[0] == b'1' && digits[1] > b'1' => found(Kind::Phone),
        // With the prefix of an international call.
        [4 | 5, ..]
            if read.number > 1 && digits.starts_with(b"00") && digits[2] != b'0' && (10..=17).contains(&read.count) =>
        {
            found(Kind::Phone)
        }
        _ => None,
    }
}

fn ip_v4(bytes: &[u8], start: usize, read: &Groups) -> Option<Found> {
    let end = start + read.groups[..4].iter().map(|(length, _)| length + 1).sum::<usize>() - 1;
    let goes_on = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    let is_address = std::str::from_utf8(&bytes[start..end]).ok()?.parse::<std::net::Ipv4Addr>().is_ok();
    // A version has four parts too; of a version nobody says 0 at the front.
    (is_address && !goes_on && bytes[start] != b'0').then_some(Found { kind: Kind::IpAddress, start, end })
}

/// `+49 30 1234567`, or `(415) 555-0132`.
pub(super) fn phone(bytes: &[u8], start: usize) -> Option<Found> {
    if start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
        return None;
    }
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    match bytes[start] {
        b'+' if is_digit(start + 1) && bytes[start + 1] != b'0' => {
            // Groups in any marks, at most one of them in brackets: `+44 (0)20 7946 0958`.
            let (mut at, mut digits) = (start + 1, 0);
            let mut end = at;
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'0'..=b'9' => {
                        digits += 1;
                        end = at + 1;
                    }
                    b' ' | b'-' | b'.' | b'(' | b')' | b'/' if at - end < 2 => {}
                    _ => break,
                }
                at += 1;
            }
            let is_word = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
            (is_word && (8..=16).contains(&digits)).then_some(Found { kind: Kind::Phone, start, end })
        }
        b'(' if (1..=3).all(|i| is_digit(start + i)) && bytes.get(start + 4) == Some(&b')') => {
            let at = start + 5 + usize::from(bytes.get(start + 5) == Some(&b' '));
            let read = groups(bytes, at)?;
            let is_phone = read.number == 2 && read.groups[0].0 == 3 && read.groups[1].0 == 4;
            is_phone.then_some(Found { kind: Kind::Phone, start, end: read.end })
        }
        _ => None,
    }
}
