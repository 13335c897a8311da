use std::collections::BTreeSet;

use super::cross;
use super::fields::{FIELDS, Field, Presence};
use super::findings::{Compliance, Findings};
use super::report::{References, TransactionReport};
use crate::format::{Flaw, Format};

/// Fields that identify a report: a cancellation needs no more.
const IDENTIFICATION: [u8; 4] = [1, 2, 4, 6];

/// Holds one transaction report against the rules of RTS 22 that need nothing but the report and what `references` gives.
///
/// Every rule passes, fails, or was not checked and says why. The result holds no value of the report.
#[must_use]
pub fn check_report(report: &TransactionReport, references: &References) -> Compliance {
    let mut findings = Findings::default();
    let is_cancellation = report.first(1) == Some("CANC");
    for field in &FIELDS {
        presence(&mut findings, field, report.values(field.number), is_cancellation);
        for value in report.values(field.number) {
            format(&mut findings, field, value);
            known(&mut findings, field, value, references);
        }
    }
    cross::check(&mut findings, report, references);
    findings.into_compliance()
}

fn presence(findings: &mut Findings, field: &Field, values: &[String], is_cancellation: bool) {
    let number = field.number;
    match (values.len(), field.presence) {
        (0, Presence::Always) if is_cancellation && !IDENTIFICATION.contains(&number) => {
            findings.skip(number, "present", "a cancellation identifies the report and repeats no more", None);
        }
        (0, Presence::Always) => findings.fail(number, "present", "it is missing"),
        (0, Presence::If(condition)) => {
            findings.skip(number, "present", format!("needed {condition}, which the report does not say"), None);
        }
        (count, _) => {
            let is_single = count == 1 || field.is_repeatable;
            findings.hold(number, "single", is_single, "it comes several times, the field takes one value");
        }
    }
}

/// One of the field's formats must fit. What has the shape of a checked identifier is judged as one: a slip in an LEI must not
/// pass as somebody's national number.
fn format(findings: &mut Findings, field: &Field, value: &str) {
    let checked = field.formats.iter().find_map(|format| {
        let name = match format {
            Format::Lei => "lei_checksum",
            Format::Isin => "isin_check_digit",
            _ => return None,
        };
        format.check_shape(value).ok().map(|()| (name, format.check(value)))
    });
    if let Some((name, result)) = checked {
        findings.pass(field.number, "format");
        return findings.hold(field.number, name, result.is_ok(), &Flaw::CheckDigits.to_string());
    }
    let flaws: Vec<Flaw> = field.formats.iter().filter_map(|format| format.check_shape(value).err()).collect();
    let is_sound = flaws.len() < field.formats.len();
    let detail = match flaws[..] {
        [flaw] => flaw.to_string(),
        _ => "it is written in none of the ways that the field takes".into(),
    };
    findings.hold(field.number, "format", is_sound, &detail);
}

/// A code that is written right may still not exist.
fn known(findings: &mut Findings, field: &Field, value: &str, references: &References) {
    let (name, list, standard, own): (_, &Option<BTreeSet<String>>, _, &[&str]) = match field.formats {
        [Format::Country] => ("country_known", &references.countries, "ISO 3166-1", &[]),
        [Format::Currency] => ("currency_known", &references.currencies, "ISO 4217", &[]),
        [Format::Mic] => ("mic_known", &references.mics, "ISO 10383", &["XOFF", "XXXX"]),
        _ => return,
    };
    match list {
        _ if own.contains(&value) => findings.pass(field.number, name),
        Some(list) => findings.hold(field.number, name, list.contains(value), &format!("{standard} has no such code")),
        None => findings.skip(field.number, name, format!("needs the list of {standard}"), None),
    }
}
