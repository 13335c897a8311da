//! Sealed bytes and the audit log hold against damage, tampering and crashes.

mod audit;
mod formats;
mod payload;
mod recipients;
mod sealed;
