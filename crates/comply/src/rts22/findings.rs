use serde::Serialize;

use super::fields::{FIELDS, Presence};
use super::report::Row;
use super::rule::{Outcome, Rule};
use crate::format::Flaw;

/// The text of law that a set of rules was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleSet {
    /// Its number.
    pub regulation: &'static str,
    /// When that text was published.
    pub published: &'static str,
    /// From when it applies.
    pub applies_from: &'static str,
}

/// The rules of this version. A revision of the regulation is another rule set, not a change of this one.
pub(super) const RTS22: RuleSet = RuleSet {
    regulation: "Commission Delegated Regulation (EU) 2017/590",
    published: "2017-03-31",
    applies_from: "2018-01-03",
};

/// A rule that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Issue {
    /// Stable id of the rule, such as `RTS22.04.lei_checksum`: regulation, field, name.
    pub rule: String,
    /// The field.
    pub field: u8,
    /// What is wrong, without the value.
    pub detail: String,
    /// Where the rule stands.
    pub article: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// The code of the authority's validation rule for the same thing, where it is known for sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esma_code: Option<&'static str>,
}

/// A rule that was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unchecked {
    /// Stable id of the rule.
    pub rule: String,
    /// The field.
    pub field: u8,
    /// What it would take.
    pub reason: String,
    /// The code of the authority's validation rule for the same thing, where it is known for sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esma_code: Option<&'static str>,
}

/// What the rules of MiFID II and MiFIR say of one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mifid {
    /// Whether no rule failed. It speaks of the rules that were evaluated, and of no other.
    pub compliant: bool,
    /// Rules that failed.
    pub issues: Vec<Issue>,
    /// Rules that were not evaluated, and why.
    pub not_checked: Vec<Unchecked>,
    /// Ids of the rules that passed.
    pub passed: Vec<String>,
    /// Where the rules come from.
    pub rule_set: RuleSet,
}

/// The result of a check, one member for each regime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Compliance {
    /// MiFID II and MiFIR.
    pub mifid_ii: Mifid,
}

/// Puts what came of a check into words.
pub(super) fn explain(row: &Row<'_>, outcome: &Outcome) -> Compliance {
    let [passed, failed, skipped] = outcome.sorted();
    let issues = failed.into_iter().map(|(field, rule)| Issue {
        rule: id(field, rule),
        field,
        detail: detail(row, field, rule),
        article: article(rule),
        remedy: rule.remedy(),
        esma_code: esma_code(rule),
    });
    let issues: Vec<Issue> = issues.collect();
    let not_checked = skipped.into_iter().map(|(field, rule)| Unchecked {
        rule: id(field, rule),
        field,
        reason: reason(row, field, rule),
        esma_code: esma_code(rule),
    });
    let passed = passed.into_iter().map(|(field, rule)| id(field, rule)).collect();
    let compliant = issues.is_empty();
    Compliance { mifid_ii: Mifid { compliant, issues, not_checked: not_checked.collect(), passed, rule_set: RTS22 } }
}

fn id(field: u8, rule: Rule) -> String {
    format!("RTS22.{field:02}.{}", rule.name())
}

/// What is wrong, without the value.
fn detail(row: &Row<'_>, field: u8, rule: Rule) -> String {
    let described = FIELDS.get(usize::from(field) - 1);
    match rule {
        Rule::Present => "it is missing".into(),
        Rule::Absent => "it is there, and does not belong to such a report".into(),
        Rule::Single => "it comes several times, the field takes one value".into(),
        Rule::Format => {
            let formats = described.map_or(&[][..], |field| field.formats);
            let flaws: Vec<Flaw> = row
                .values(field)
                .iter()
                .filter(|value| formats.iter().all(|format| format.check_shape(value).is_err()))
                .flat_map(|value| formats.iter().filter_map(|format| format.check_shape(value).err()))
                .collect();
            match flaws[..] {
                [flaw] => flaw.to_string(),
                _ => "it is written in none of the ways that the field takes".into(),
            }
        }
        Rule::LeiChecksum | Rule::IsinCheckDigit => Flaw::CheckDigits.to_string(),
        Rule::CountryKnown => "ISO 3166-1 has no such code".into(),
        Rule::CurrencyKnown => "ISO 4217 has no such code".into(),
        Rule::MicKnown => "ISO 10383 has no such code in use on the trading date".into(),
        Rule::With30 | Rule::With33 | Rule::With48 | Rule::With51 | Rule::With57 | Rule::With59 => {
            format!("it belongs to field {}, which is missing", &rule.name()[5..])
        }
        Rule::With38 => "an up-front payment and its currency come together".into(),
        other => format!("it does not hold: {}", other.remedy()),
    }
}

/// Where the rule stands.
const fn article(rule: Rule) -> &'static str {
    match rule {
        Rule::PersonKnown => "Delegated Regulation (EU) 2017/590 art. 6 and Annex II",
        Rule::Concat | Rule::ConcatBirth | Rule::ConcatNames => "Delegated Regulation (EU) 2017/590 art. 6(4)",
        Rule::InTime => "Regulation (EU) 600/2014 art. 26(1)",
        Rule::Granularity => "Delegated Regulation (EU) 2017/574 art. 2 and 3, and Annex",
        Rule::LeiStatus => "Delegated Regulation (EU) 2017/590 art. 5",
        Rule::Party | Rule::NoParty => "Delegated Regulation (EU) 2017/590 Annex I, Table 2, fields 7, 16 and 29",
        Rule::CfiKnown => "Delegated Regulation (EU) 2017/590 Annex I, Table 1 (ISO 10962)",
        Rule::Format | Rule::LeiChecksum | Rule::IsinCheckDigit => {
            "Delegated Regulation (EU) 2017/590 Annex I, Table 1, and Table 2 for the field"
        }
        _ => "Delegated Regulation (EU) 2017/590 Annex I, Table 2",
    }
}

/// Codes of the authority's validation rules that are known for sure.
const fn esma_code(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::Unique => Some("CON-023"),
        Rule::CancelsKnown => Some("CON-024"),
        Rule::InReferenceData => Some("CON-411"),
        Rule::ValidOnDay => Some("CON-412"),
        _ => None,
    }
}

/// What it would take to check it.
fn reason(row: &Row<'_>, field: u8, rule: Rule) -> String {
    let presence = FIELDS.get(usize::from(field) - 1).map(|field| field.presence);
    match rule {
        Rule::Present if row.first(1) == Some("CANC") => {
            "a cancellation identifies the report and repeats no more".into()
        }
        Rule::Present => match presence {
            Some(Presence::If(condition)) => format!("needed {condition}, which the report does not say"),
            _ => "the report does not say whether it is needed".into(),
        },
        Rule::CountryKnown => "needs the list of ISO 3166-1".into(),
        Rule::CurrencyKnown => "needs the list of ISO 4217".into(),
        Rule::MicKnown => "needs the list of ISO 10383".into(),
        Rule::NotFuture => "needs the moment of the check".into(),
        Rule::Unique | Rule::CancelsKnown => "needs the reports sent before".into(),
        Rule::LeiStatus => "needs the register of legal entities".into(),
        Rule::Granularity => "needs the venue's clock rule (Delegated Regulation (EU) 2017/574)".into(),
        Rule::InTime => "needs the moment of sending and a calendar of working days".into(),
        Rule::InReferenceData | Rule::ValidOnDay => "needs the authority's instrument data".into(),
        Rule::PersonKnown => "may be a passport, whose numbers have no public rule".into(),
        Rule::ConcatNames => "a name with accents, prefixes or several words needs a person's judgement".into(),
        other => format!("not evaluated: {}", other.name()),
    }
}
