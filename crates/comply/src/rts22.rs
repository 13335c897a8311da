//! The first rule set: transaction reports under Commission Delegated Regulation (EU) 2017/590 (RTS 22).

mod check;
mod engine;
mod fields;
mod findings;
mod person;
mod references;
mod report;
mod rule;
mod table;

pub use check::{Rts22, check_report};
pub use findings::{Compliance, Issue, Mifid, RuleSet, Unchecked};
pub use references::{Holidays, Instruments, References, SentReports};
pub use report::TransactionReport;
pub use rule::Outcome;
pub use table::TableOutcome;
