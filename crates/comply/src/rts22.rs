//! The first rule set: transaction reports under Commission Delegated Regulation (EU) 2017/590 (RTS 22).

mod check;
mod cross;
mod fields;
mod findings;
mod report;

pub use check::check_report;
pub use findings::{Compliance, Issue, Mifid, RuleSet, Unchecked};
pub use report::{References, TransactionReport};
