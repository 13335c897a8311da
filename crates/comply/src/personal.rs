//! Personal data under Regulation (EU) 2016/679 (GDPR): found, replaced, measured, given out and erased.

mod anonymity;
mod columns;
mod detect;
mod lineage;
mod numbers;
mod processing;
mod pseudonym;
mod subject;

pub use anonymity::{Anonymity, Sensitive, measure, suppress};
pub use columns::{ColumnFinding, Measure, Plan, find_in_columns};
pub use detect::{Detector, Found, Kind};
pub use lineage::Lineage;
pub use processing::ProcessingRecord;
pub use pseudonym::Pseudonymizer;
pub use subject::{Erasure, SubjectExport, SubjectVault};
