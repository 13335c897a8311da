//! Rules for regulated trading: how long records are kept, whether a transaction record is well formed, and who changed which
//! algorithm when.
//!
//! ```
//! use tapeloom_comply::{Retention, Transaction, check_transaction};
//!
//! // Seven years need more than 7 x 365 days.
//! assert!(Retention::from_days(2555, 7).is_err());
//!
//! let record = Transaction::from([(1, "NEWT".into()), (4, "5493001KJTIIGC8Y1R12".into())]);
//! let result = check_transaction(&record).mifid_ii;
//! assert!(!result.compliant);
//! assert!(result.issues.iter().any(|issue| issue.starts_with("RTS22.02.reference: field 2 is empty")));
//! ```
//!
//! It reads evidence and never writes tensors. It is no legal advice, and a record that breaks none of these rules may still
//! be wrong: what could not be checked is listed by name.
#![forbid(unsafe_code)]

mod algorithms;
mod error;
pub mod identifier;
mod mifid;
mod retention;

pub use algorithms::{AlgorithmChange, algorithm_changes};
pub use error::{Error, Result};
pub use mifid::{Compliance, Finding, Mifid, Outcome, REGULATION, Transaction, check_transaction, findings};
pub use retention::{RecordClass, Retention};
