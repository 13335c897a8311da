use super::engine;
use super::findings::{Compliance, explain};
use super::references::References;
use super::report::{Row, TransactionReport};
use super::rule::Outcome;

/// The rule engine of RTS 22: what it holds reports against is given once.
#[derive(Clone, Debug, Default)]
pub struct Rts22 {
    references: References,
}

impl Rts22 {
    /// Rules that are held against these references.
    #[must_use]
    pub const fn new(references: References) -> Self {
        Self { references }
    }

    /// All rules over one report. Quick; ask [`Rts22::explain`] for words.
    #[must_use]
    pub fn check(&self, report: &TransactionReport) -> Outcome {
        self.check_row(&report.row())
    }

    pub(super) fn check_row(&self, row: &Row<'_>) -> Outcome {
        engine::check(row, &self.references)
    }

    /// What came of a check, in words and with sources. The result holds no value of the report.
    #[must_use]
    pub fn explain(&self, report: &TransactionReport, outcome: &Outcome) -> Compliance {
        explain(&report.row(), outcome)
    }

    /// Checks a report, and notes it as sent when it is sound.
    pub fn check_and_note(&mut self, report: &TransactionReport) -> Outcome {
        let outcome = self.check(report);
        if outcome.is_sound() {
            self.references.sent.get_or_insert_default().note(report);
        }
        outcome
    }
}

/// Holds one transaction report against the rules of RTS 22 that need nothing but the report and what `references` gives.
///
/// Every rule passes, fails, or was not checked and says why. The result holds no value of the report.
#[must_use]
pub fn check_report(report: &TransactionReport, references: &References) -> Compliance {
    let row = report.row();
    explain(&row, &engine::check(&row, references))
}
