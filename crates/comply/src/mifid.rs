use std::collections::BTreeMap;

use serde::Serialize;

use crate::identifier::{is_alphanum, is_currency_shaped, is_date_time, is_decimal, is_isin, is_lei, is_mic_shaped};

/// The text that the rules follow.
pub const REGULATION: &str = "Commission Delegated Regulation (EU) 2017/590 (RTS 22), as of 2017-04-01";

/// A transaction record: RTS 22 field number to value. Fields that are not given count as empty.
pub type Transaction = BTreeMap<u8, String>;

/// How one rule came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "snake_case")]
pub enum Outcome {
    /// The rule holds.
    Pass,
    /// The rule is broken; says how.
    Fail(String),
    /// The rule could not be judged; says what was missing.
    NotChecked(String),
}

/// One rule with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable name: regulation, field number, rule.
    pub rule: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What the rule set says of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compliance {
    /// The part for MiFID II.
    pub mifid_ii: Mifid,
}

/// Outcome of the MiFID II rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mifid {
    /// No rule is broken. Rules that were not checked are listed, and do not count as kept.
    pub compliant: bool,
    /// Broken rules, `rule: how`.
    pub issues: Vec<String>,
    /// Rules that could not be judged, `rule: why`.
    pub not_checked: Vec<String>,
    /// Which text the rules follow.
    pub regulation: &'static str,
}

/// Checks a transaction record against the first rule set: formats, check digits and conditions that need no outside table.
/// It does not know which MICs and currencies exist, whether an LEI is in good standing, or whether an instrument is reportable.
#[must_use]
pub fn check_transaction(record: &Transaction) -> Compliance {
    let findings = findings(record);
    let named = |keep: fn(&Outcome) -> Option<&String>| {
        findings.iter().filter_map(|f| keep(&f.outcome).map(|text| format!("{}: {text}", f.rule))).collect::<Vec<_>>()
    };
    let issues = named(|o| if let Outcome::Fail(text) = o { Some(text) } else { None });
    let not_checked = named(|o| if let Outcome::NotChecked(text) = o { Some(text) } else { None });
    Compliance { mifid_ii: Mifid { compliant: issues.is_empty(), issues, not_checked, regulation: REGULATION } }
}

/// Every rule with its outcome.
#[must_use]
pub fn findings(record: &Transaction) -> Vec<Finding> {
    let field = |number: u8| record.get(&number).map(String::as_str).filter(|value| !value.is_empty());
    let mut findings = Vec::new();
    let mut judge = |rule, outcome| findings.push(Finding { rule, outcome });
    let format = |number: u8, needed: bool, good: &dyn Fn(&str) -> bool, want: &str| match field(number) {
        Some(value) if good(value) => Outcome::Pass,
        Some(value) => Outcome::Fail(format!("field {number} = {value:?} is not {want}")),
        None if needed => Outcome::Fail(format!("field {number} is empty")),
        None => Outcome::NotChecked(format!("field {number} is not given")),
    };
    judge("RTS22.01.status", format(1, true, &|v| matches!(v, "NEWT" | "CANC"), "NEWT or CANC"));
    judge("RTS22.02.reference", format(2, true, &|v| is_alphanum(v, 52), "1 to 52 letters and digits"));
    judge("RTS22.04.lei_checksum", format(4, true, &is_lei, "an LEI with its check digits"));
    judge("RTS22.06.lei_checksum", format(6, true, &is_lei, "an LEI with its check digits"));
    // A cancellation repeats nothing but what identifies the report.
    if field(1) == Some("CANC") {
        return findings;
    }
    for (rule, number) in [("RTS22.07.lei_checksum", 7), ("RTS22.16.lei_checksum", 16)] {
        judge(rule, party(field(number), number));
    }
    judge("RTS22.28.date_time", format(28, true, &is_date_time, "a UTC time written as 2018-12-31T23:59:59.000001Z"));
    judge("RTS22.29.capacity", format(29, true, &|v| matches!(v, "DEAL" | "MTCH" | "AOTC"), "DEAL, MTCH or AOTC"));
    judge("RTS22.30.quantity", format(30, true, &|v| is_decimal(v, 18, 17), "DECIMAL-18/17"));
    let price = |v: &str| matches!(v, "PNDG" | "NOAP") || is_decimal(v, 18, 13);
    judge("RTS22.33.price", format(33, true, &price, "DECIMAL-18/13, PNDG or NOAP"));
    let currency = match field(33) {
        Some("PNDG" | "NOAP") => Outcome::Pass,
        _ => format(34, false, &is_currency_shaped, "three letters"),
    };
    judge("RTS22.34.currency", currency);
    judge("RTS22.36.venue", format(36, true, &is_mic_shaped, "four letters or digits"));
    judge("RTS22.41.isin_checksum", format(41, false, &is_isin, "an ISIN with its check digit"));
    judge(
        "RTS22.59.execution",
        format(59, true, &|v| is_alphanum(v, 50), "a person or algorithm of 1 to 50 characters"),
    );
    let short = |v: &str| matches!(v, "SESH" | "SSEX" | "SELL" | "UNDI");
    judge("RTS22.62.short_sale", format(62, false, &short, "SESH, SSEX, SELL or UNDI"));
    judge("RTS22.36.venue_exists", Outcome::NotChecked("needs the table of ISO 10383".into()));
    judge("RTS22.41.reportable", Outcome::NotChecked("needs the reference data of instruments".into()));
    findings
}

/// Buyer or seller: an LEI, a MIC, INTC, or a national id of at most 35 characters. Only an LEI can be told and checked.
fn party(value: Option<&str>, number: u8) -> Outcome {
    match value {
        None => Outcome::Fail(format!("field {number} is empty")),
        Some("INTC") => Outcome::Pass,
        Some(value) if value.len() == 20 && !is_lei(value) => {
            Outcome::NotChecked(format!("field {number} has 20 characters and is no LEI; it may be a national id"))
        }
        Some(value) if is_lei(value) || is_mic_shaped(value) => Outcome::Pass,
        Some(value) if is_alphanum(value, 35) => {
            Outcome::NotChecked(format!("field {number} may be a national id, whose rules are not part of this set"))
        }
        Some(value) => Outcome::Fail(format!("field {number} = {value:?} is no LEI, MIC, INTC or national id")),
    }
}
