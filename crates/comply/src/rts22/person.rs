//! Persons: national identifiers by the priorities of Annex II, and CONCAT of art. 6(4).

use super::report::Row;
use super::rule::{Outcome, Rule};
use crate::date::days;
use crate::format::Format;
use crate::identifier::{NationalId, national_id};

/// What a code of a party can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Lei,
    /// Country, birth date and parts of the name.
    Concat,
    /// A number that its country's rules prove.
    National,
    /// Written as a person's identifier is; what it is can't be told.
    MaybePerson,
    /// A market, `INTC`, or nothing of these.
    Other,
}

impl Identity {
    pub(super) const fn is_person(self) -> bool {
        matches!(self, Self::Concat | Self::National | Self::MaybePerson)
    }

    /// Also where an algorithm's name could stand.
    pub(super) const fn is_certain_person(self) -> bool {
        matches!(self, Self::Concat | Self::National)
    }
}

/// What the codes of parties and deciders of a report are, each looked at once.
pub(super) struct Parties {
    kinds: Vec<Identity>,
    /// Where those of each field of [`Parties::FIELDS`] begin, and where the last ones end.
    starts: [usize; Self::FIELDS.len() + 1],
}

impl Parties {
    const FIELDS: [u8; 6] = [7, 12, 16, 21, 57, 59];

    pub(super) fn of(row: &Row<'_>) -> Self {
        let (mut kinds, mut starts) = (Vec::with_capacity(8), [0; Self::FIELDS.len() + 1]);
        for (i, field) in Self::FIELDS.iter().enumerate() {
            kinds.extend(row.values(*field).iter().map(|value| identity(value)));
            starts[i + 1] = kinds.len();
        }
        Self { kinds, starts }
    }

    pub(super) fn of_field(&self, field: u8) -> &[Identity] {
        let at = Self::FIELDS.iter().position(|known| *known == field);
        at.map_or(&[], |at| &self.kinds[self.starts[at]..self.starts[at + 1]])
    }
}

fn identity(value: &str) -> Identity {
    let bytes = value.as_bytes();
    if Format::Lei.check_shape(value).is_ok() {
        return Identity::Lei;
    }
    if bytes.len() == 4 || Format::NationalId.check_shape(value).is_err() {
        return Identity::Other;
    }
    let (country, id) = value.split_at(2);
    if concat(id).is_some() {
        Identity::Concat
    } else if national_id(country, id) == NationalId::Sound {
        Identity::National
    } else {
        Identity::MaybePerson
    }
}

/// Birth date and the two parts of the name, where it is written so.
fn concat(id: &str) -> Option<(&str, &str, &str)> {
    let bytes = id.as_bytes();
    let letters = |part: &[u8]| {
        let end = part.iter().position(|byte| *byte == b'#').unwrap_or(part.len());
        part[..end].iter().all(u8::is_ascii_uppercase) && part[end..].iter().all(|byte| *byte == b'#')
    };
    let is_concat = bytes.len() == 18
        && bytes[..8].iter().all(u8::is_ascii_digit)
        && letters(&bytes[8..13])
        && letters(&bytes[13..]);
    is_concat.then(|| (&id[..8], &id[8..13], &id[13..]))
}

/// Kinds of identifiers that Annex II gives a nationality, besides those of persons without one.
const fn may_be(country: &[u8; 2]) -> Option<(bool, bool, bool)> {
    // National number, passport, CONCAT.
    Some(match country {
        b"AT" | b"DE" | b"FR" | b"HU" | b"IE" | b"LU" => (false, false, true),
        b"BE" | b"BG" | b"DK" | b"FI" | b"GB" | b"GR" | b"HR" | b"LV" | b"NO" | b"SE" | b"SI" => (true, false, true),
        b"CY" => (false, true, true),
        b"CZ" | b"LI" | b"LT" | b"NL" | b"PT" | b"RO" | b"SK" => (true, true, true),
        b"EE" | b"ES" | b"IS" | b"IT" | b"PL" => (true, false, false),
        b"MT" => (true, true, false),
        _ => return None,
    })
}

/// Judges a person's identifier; `details` are first names, surnames and birth date, where they are there.
pub(super) fn judge_person(
    outcome: &mut Outcome,
    field: u8,
    value: &str,
    details: (Option<&str>, Option<&str>, Option<&str>),
) {
    let (country, id) = value.split_at(2);
    let letters = [country.as_bytes()[0], country.as_bytes()[1]];
    // All others: passport, then CONCAT.
    let (number, passport, by_name) = may_be(&letters).unwrap_or((false, true, true));
    let Some((birth, first, last)) = concat(id) else {
        return match national_id(country, id) {
            NationalId::Sound if number => outcome.pass(Rule::PersonKnown, field),
            // Of Austria, Germany, France, Hungary, Ireland and Luxembourg there is nothing but CONCAT.
            _ if !number && !passport => outcome.fail(Rule::PersonKnown, field),
            NationalId::CheckDigits | NationalId::Shape if !passport => outcome.fail(Rule::PersonKnown, field),
            _ => outcome.skip(Rule::PersonKnown, field),
        };
    };
    outcome.hold(Rule::PersonKnown, field, by_name);
    let mut date = [b'-'; 10];
    date[..4].copy_from_slice(&birth.as_bytes()[..4]);
    date[5..7].copy_from_slice(&birth.as_bytes()[4..6]);
    date[8..].copy_from_slice(&birth.as_bytes()[6..]);
    outcome.hold(Rule::Concat, field, days(&date).is_some() && !first.starts_with('#') && !last.starts_with('#'));
    let (first_names, surnames, born) = details;
    if let Some(born) = born {
        outcome.hold(Rule::ConcatBirth, field, born.as_bytes() == date);
    }
    for (part, names) in [(first, first_names), (last, surnames)] {
        let Some(name) = names.map(|names| names.split(',').next().unwrap_or(names)) else { continue };
        // Accents and prefixes (art. 6(4)) leave room for judgement: those are not judged.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            outcome.skip(Rule::ConcatNames, field);
            continue;
        }
        let wanted = name.bytes().map(|byte| byte.to_ascii_uppercase()).chain(std::iter::repeat(b'#')).take(5);
        outcome.hold(Rule::ConcatNames, field, wanted.eq(part.bytes()));
    }
}
