//! Rules for regulated trading and personal data: transaction reports, records of orders and algorithms, how long they are kept;
//! personal data found, replaced, measured and erased; who may do what, and what looks unusual.
//!
//! It says which rules it evaluated and with what result. It makes nobody compliant: a rule that needs more than it was given
//! is listed as not checked, with the reason.
//!
//! ```
//! use tapeloom_comply::{References, Retention, RetentionConfig, TransactionReport, check_report};
//!
//! // Seven times 365 days are less than seven calendar years.
//! let config = RetentionConfig { data_retention_days: Some(2555), ..RetentionConfig::default() };
//! assert!(Retention::check(&config)[0].reason.contains("2557"));
//!
//! let report = TransactionReport::new([(1, "NEWT"), (2, "REF1"), (4, "549300DTUYXVMJXZNY76")])?;
//! let result = check_report(&report, &References::default()).mifid_ii;
//! assert!(!result.compliant);
//! assert_eq!(result.issues[0].rule, "RTS22.04.lei_checksum");
//! # Ok::<(), tapeloom_comply::Error>(())
//! ```
#![forbid(unsafe_code)]

mod access;
mod changes;
mod clock;
mod codes;
mod date;
mod enforce;
mod error;
mod format;
mod identifier;
mod personal;
mod retention;
mod rts22;
mod rts24;
mod rts6;

pub use access::{
    Access, AnomalyConfig, AnomalyDetector, AnomalyScore, Attempt, Grant, Lockout, LockoutConfig, Observation, Role,
    SecurityMeter,
};
pub use changes::{AlgorithmChange, ChangeRegister, algorithm_changes};
pub use clock::{Accuracy, ClockCheck, ClockRule, is_high_message_rate};
pub use codes::Codes;
pub use date::Date;
pub use enforce::retire_expired;
pub use error::{Error, Result};
pub use format::{Flaw, Format};
pub use identifier::{NationalId, is_card, is_cusip, is_iban, is_isin, is_lei, is_sedol, national_id};
pub use personal::{
    Anonymity, ColumnFinding, Detector, Erasure, Found, Kind, Lineage, Measure, Plan, ProcessingRecord, Pseudonymizer,
    Sensitive, SubjectExport, SubjectVault, find_in_columns, measure, suppress,
};
pub use retention::{Deletion, RecordClass, Retention, RetentionConfig, RetentionFinding};
pub use rts6::{Assessment, Blocked, Exhibit, Finding, KillSwitch, Order, PreTradeGate, PreTradeLimits, Side, assess};
pub use rts22::{
    Compliance, Holidays, Instruments, Issue, Mifid, Outcome, References, Rts22, RuleSet, SentReports, TableOutcome,
    TransactionReport, Unchecked, check_report,
};
pub use rts24::{OrderEvent, OrderIssue, OrderRecord, OrderType, Validity, check_orders};
