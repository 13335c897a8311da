//! All rules over one report, without allocation but for the row.

use super::fields::{FIELDS, Field, Presence};
use super::person::{Parties, judge_person};
use super::references::References;
use super::report::Row;
use super::rule::{Outcome, Rule};
use crate::date::{days, micros};
use crate::format::Format;
use crate::identifier::{isin_digits_match, mod_97};

/// Fields that identify a report: a cancellation needs no more.
const IDENTIFICATION: u128 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6;

/// Whether a field has to be there, by what the rest of the report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Required,
    Forbidden,
    /// The report does not say.
    Open,
}

pub(super) fn check(row: &Row<'_>, references: &References) -> Outcome {
    let mut outcome = Outcome::new();
    let moment = row.first(28).and_then(|text| micros(text.as_bytes()));
    let day = moment.map(|moment| moment.div_euclid(86_400_000_000) as i32);
    let parties = Parties::of(row);
    presence(&mut outcome, row, &parties);
    for field in &FIELDS {
        for value in row.values(field.number) {
            format(&mut outcome, field, value, references);
            known(&mut outcome, field, value, references, day);
        }
    }
    persons(&mut outcome, row, &parties);
    dates(&mut outcome, row, references, moment, day);
    pairs(&mut outcome, row);
    capacity(&mut outcome, row);
    beyond_the_report(&mut outcome, row, references, moment, day);
    outcome
}

fn presence(outcome: &mut Outcome, row: &Row<'_>, parties: &Parties) {
    let is_cancellation = row.first(1) == Some("CANC");
    let needs = needs(row, parties);
    for (field, need) in FIELDS.iter().zip(&needs[1..]) {
        let number = field.number;
        match (row.values(number).len(), need) {
            (0, Need::Required | Need::Open) if is_cancellation && IDENTIFICATION >> number & 1 == 0 => {
                outcome.skip(Rule::Present, number);
            }
            (0, Need::Required) => outcome.fail(Rule::Present, number),
            (0, Need::Open) => outcome.skip(Rule::Present, number),
            (0, Need::Forbidden) => outcome.pass(Rule::Absent, number),
            (count, need) => {
                if *need == Need::Forbidden {
                    outcome.fail(Rule::Absent, number);
                } else if *need == Need::Required {
                    outcome.pass(Rule::Present, number);
                }
                outcome.hold(Rule::Single, number, count == 1 || field.is_repeatable);
            }
        }
    }
}

fn needs(row: &Row<'_>, parties: &Parties) -> [Need; FIELDS.len() + 1] {
    use Need::{Forbidden, Open, Required};
    let mut needs = [Open; FIELDS.len() + 1];
    for field in &FIELDS {
        if matches!(field.presence, Presence::Always) {
            needs[usize::from(field.number)] = Required;
        }
    }
    let mut set = |fields: &[usize], need| fields.iter().for_each(|field| needs[*field] = need);
    for (code, details) in [(7, [9, 10, 11]), (12, [13, 14, 15]), (16, [18, 19, 20]), (21, [22, 23, 24])] {
        let kinds = parties.of_field(code);
        if kinds.iter().any(|kind| kind.is_person()) {
            set(&details, Required);
        } else {
            // Also where nobody decides for the party.
            set(&details, Forbidden);
        }
    }
    match row.first(36) {
        Some("XXXX") => set(&[3, 37, 61], Forbidden),
        Some("XOFF") => {
            set(&[3, 37, 61], Forbidden);
            set(&[41], Required);
        }
        _ => {}
    }
    if row.first(33) == Some("NOAP") {
        set(&[34], Forbidden);
    }
    if let Some([category, group, ..]) = row.first(43).map(str::as_bytes) {
        let is_option = matches!(category, b'O' | b'H') || (*category == b'R' && *group == b'W');
        match category {
            _ if is_option => set(&[50, 51, 53, 55, 56], Required),
            b'F' | b'J' | b'S' => {
                set(&[50, 53], Forbidden);
                set(&[56], Required);
            }
            b'E' | b'D' | b'C' => set(&[50, 51, 53, 55, 56], Forbidden),
            _ => {}
        }
        if matches!(category, b'E' | b'F' | b'O') {
            set(&[54], Forbidden);
        }
    }
    for (decision, country) in [(57, 58), (59, 60)] {
        if parties.of_field(decision).first().is_some_and(|kind| kind.is_certain_person()) {
            set(&[country], Required);
        }
    }
    needs
}

/// One of the field's formats must fit. What has the shape of a checked identifier is judged as one: a slip in an LEI must not
/// pass as somebody's national number.
fn format(outcome: &mut Outcome, field: &Field, value: &str, references: &References) {
    let number = field.number;
    for format in field.formats {
        let (rule, matches): (_, fn(&[u8]) -> bool) = match format {
            Format::Lei => (Rule::LeiChecksum, |bytes| mod_97(bytes) == 1),
            Format::Isin => (Rule::IsinCheckDigit, isin_digits_match),
            _ => continue,
        };
        if format.check_shape(value).is_ok() {
            outcome.pass(Rule::Format, number);
            outcome.hold(rule, number, matches(value.as_bytes()));
            if *format == Format::Lei {
                match &references.leis {
                    Some(leis) => outcome.hold(Rule::LeiStatus, number, leis.contains(value)),
                    None => outcome.skip(Rule::LeiStatus, number),
                }
            }
            return;
        }
    }
    outcome.hold(Rule::Format, number, field.formats.iter().any(|format| format.check_shape(value).is_ok()));
}

/// A code that is written right may still not exist.
fn known(outcome: &mut Outcome, field: &Field, value: &str, references: &References, day: Option<i32>) {
    let number = field.number;
    let (rule, codes) = match field.formats {
        [Format::Country] => (Rule::CountryKnown, &references.countries),
        [Format::Currency] => (Rule::CurrencyKnown, &references.currencies),
        [Format::Mic] if matches!(value, "XOFF" | "XXXX") => return outcome.pass(Rule::MicKnown, number),
        [Format::Mic] => (Rule::MicKnown, &references.mics),
        [Format::Cfi] => return outcome.hold(Rule::CfiKnown, number, is_cfi(value)),
        _ => return,
    };
    match codes {
        Some(codes) => outcome.hold(rule, number, codes.contains_at(value, day.unwrap_or(i32::MIN))),
        None => outcome.skip(rule, number),
    }
}

/// Categories of ISO 10962:2015 and the groups of each; the other letters are attributes.
fn is_cfi(text: &str) -> bool {
    const GROUPS: [(u8, &[u8]); 14] = [
        (b'E', b"SPCFLDYM"),
        (b'C', b"IHBESFPM"),
        (b'D', b"BCWTSEGANDYM"),
        (b'R', b"ASPWFDM"),
        (b'O', b"CPM"),
        (b'F', b"FC"),
        (b'S', b"RTECFM"),
        (b'H', b"RTECFM"),
        (b'I', b"FT"),
        (b'J', b"EFCRT"),
        (b'K', b"RTECFYM"),
        (b'L', b"LRS"),
        (b'T', b"CTRIBDM"),
        (b'M', b"CM"),
    ];
    let [category, group, ..] = text.as_bytes() else { return false };
    GROUPS.iter().any(|(known, groups)| known == category && groups.contains(group))
}

fn persons(outcome: &mut Outcome, row: &Row<'_>, parties: &Parties) {
    for (code, first, last, birth) in [(7, 9, 10, 11), (12, 13, 14, 15), (16, 18, 19, 20), (21, 22, 23, 24)] {
        for (at, (value, kind)) in row.values(code).iter().zip(parties.of_field(code)).enumerate() {
            if kind.is_person() {
                // The details of several holders stand in the holders' order.
                let of = |field| row.values(field).get(at).copied();
                judge_person(outcome, code, value, (of(first), of(last), of(birth)));
            }
        }
    }
    for (decision, country, rule) in [(57, 58, Rule::With57), (59, 60, Rule::With59)] {
        let Some(value) = row.first(decision) else {
            if row.has(country) {
                outcome.fail(rule, country);
            }
            continue;
        };
        if parties.of_field(decision).first().is_some_and(|kind| kind.is_certain_person()) {
            judge_person(outcome, decision, value, (None, None, None));
        }
        if row.has(country) {
            outcome.pass(rule, country);
            outcome.hold(Rule::PersonHasCountry, country, Format::NationalId.check_shape(value).is_ok());
        }
    }
}

fn dates(outcome: &mut Outcome, row: &Row<'_>, references: &References, moment: Option<i64>, day: Option<i32>) {
    if row.has(28) {
        match (references.now, moment) {
            (Some(now), Some(moment)) => outcome.hold(Rule::NotFuture, 28, moment <= now.micros()),
            _ => outcome.skip(Rule::NotFuture, 28),
        }
    }
    let Some(day) = day else { return };
    let dates = |field| row.values(field).iter().filter_map(|text| days(text.as_bytes()));
    for field in [11, 15, 20, 24] {
        dates(field).for_each(|born| outcome.hold(Rule::BeforeTrade, field, born < day));
    }
    for field in [54, 55] {
        dates(field).for_each(|end| outcome.hold(Rule::NotBeforeTrade, field, end >= day));
    }
}

/// The second field of a pair says something of the first one.
fn pairs(outcome: &mut Outcome, row: &Row<'_>) {
    if row.has(38) || row.has(39) {
        outcome.hold(Rule::With38, 39, row.has(38) == row.has(39));
    }
    for (field, of, rule) in
        [(31, 30, Rule::With30), (34, 33, Rule::With33), (49, 48, Rule::With48), (52, 51, Rule::With51)]
    {
        if row.has(field) {
            outcome.hold(rule, field, row.has(of));
        }
    }
    for field in [30, 46] {
        for value in row.values(field) {
            let is_positive = !value.starts_with('-') && value.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
            outcome.hold(Rule::Positive, field, is_positive);
        }
    }
    if row.first(36) == Some("XXXX") {
        outcome.hold(Rule::Identified, 41, row.has(41) || (row.has(42) && row.has(43)));
    }
}

fn capacity(outcome: &mut Outcome, row: &Row<'_>) {
    let (Some(firm), Some(capacity)) = (row.first(4), row.first(29)) else { return };
    let is_party = row.values(7).iter().chain(row.values(16)).any(|party| *party == firm);
    match capacity {
        "DEAL" => outcome.hold(Rule::Party, 29, is_party),
        "MTCH" | "AOTC" => outcome.hold(Rule::NoParty, 29, !is_party),
        _ => {}
    }
}

fn beyond_the_report(
    outcome: &mut Outcome,
    row: &Row<'_>,
    references: &References,
    moment: Option<i64>,
    day: Option<i32>,
) {
    let is_cancellation = row.first(1) == Some("CANC");
    let rule = if is_cancellation { Rule::CancelsKnown } else { Rule::Unique };
    match (row.first(4), row.first(2), &references.sent) {
        (Some(firm), Some(reference), Some(sent)) => {
            outcome.hold(rule, 2, sent.contains(firm, reference) == is_cancellation);
        }
        (_, None, _) if !is_cancellation => {}
        _ => outcome.skip(rule, 2),
    }
    if row.has(28) {
        match (&references.clock, moment) {
            (Some(clock), Some(_)) => {
                outcome.hold(Rule::Granularity, 28, clock.is_fine_enough(row.first(28).unwrap_or("")))
            }
            _ => outcome.skip(Rule::Granularity, 28),
        }
        match (references.now, day, &references.holidays) {
            (Some(now), Some(day), Some(holidays)) => outcome.hold(Rule::InTime, 28, holidays.is_in_time(day, now)),
            _ => outcome.skip(Rule::InTime, 28),
        }
    }
    if let Some(isin) = row.first(41) {
        match &references.instruments {
            Some(instruments) => {
                let found = instruments.get(isin);
                outcome.hold(Rule::InReferenceData, 41, found.is_some());
                if let (Some(span), Some(day)) = (found, day) {
                    outcome.hold(Rule::ValidOnDay, 41, span.contains(&day));
                }
            }
            None => {
                outcome.skip(Rule::InReferenceData, 41);
                outcome.skip(Rule::ValidOnDay, 41);
            }
        }
    }
}
