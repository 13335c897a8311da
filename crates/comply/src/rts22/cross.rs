//! Rules over several fields, and rules that need more than a report.

use tapeloom_core::Timestamp;

use super::findings::Findings;
use super::report::{References, TransactionReport};
use crate::{Date, Format};

pub(super) fn check(findings: &mut Findings, report: &TransactionReport, references: &References) {
    not_in_future(findings, report, references.now);
    dates_in_order(findings, report);
    pairs(findings, report);
    beyond_the_report(findings, report);
}

fn not_in_future(findings: &mut Findings, report: &TransactionReport, now: Option<Timestamp>) {
    let Some(text) = report.first(28).filter(|text| Format::DateTime.check(text).is_ok()) else { return };
    let (Some(now), Ok(traded)) = (now, Timestamp::parse(text)) else {
        return findings.skip(28, "not_in_future", "needs the moment of the check", None);
    };
    findings.hold(28, "not_in_future", traded <= now, "the trade lies in the future");
}

fn dates_in_order(findings: &mut Findings, report: &TransactionReport) {
    let Some(traded) = report.trading_date() else { return };
    let dates = |field| report.values(field).iter().filter_map(|text| text.parse::<Date>().ok());
    for field in [11, 15, 20, 24] {
        for born in dates(field) {
            findings.hold(field, "before_trade", born < traded, "the person was born after the trade");
        }
    }
    for expiry in dates(55) {
        findings.hold(55, "not_before_trade", expiry >= traded, "the instrument had expired before the trade");
    }
}

/// The second field of a pair says something of the first one.
fn pairs(findings: &mut Findings, report: &TransactionReport) {
    let is_there = |field| !report.values(field).is_empty();
    if is_there(38) || is_there(39) {
        findings.hold(
            39,
            "with_38",
            is_there(38) == is_there(39),
            "an up-front payment and its currency come together",
        );
    }
    for (field, of) in [(31, 30), (34, 33), (52, 51), (58, 57), (60, 59)] {
        if is_there(field) {
            findings.hold(
                field,
                &format!("with_{of:02}"),
                is_there(of),
                &format!("it belongs to field {of}, which is missing"),
            );
        }
    }
}

fn beyond_the_report(findings: &mut Findings, report: &TransactionReport) {
    let is_there = |field| !report.values(field).is_empty();
    if report.first(1) == Some("CANC") {
        findings.skip(2, "cancels_known_report", "needs the reports sent before", Some("CON-024"));
    } else if is_there(2) {
        findings.skip(2, "unique", "needs the reports sent before", Some("CON-023"));
    }
    if is_there(4) {
        findings.skip(4, "lei_status", "needs the register of legal entities", None);
    }
    if is_there(28) {
        findings.skip(28, "granularity", "needs the venue's clock rule (Delegated Regulation (EU) 2017/574)", None);
        findings.skip(28, "reported_in_time", "needs the moment of sending and a calendar of working days", None);
    }
    if is_there(41) {
        findings.skip(41, "in_reference_data", "needs the authority's instrument data", Some("CON-411"));
        findings.skip(41, "valid_on_trading_date", "needs the authority's instrument data", Some("CON-412"));
    }
}
