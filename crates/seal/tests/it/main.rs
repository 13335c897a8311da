//! Sealed bytes and the audit log hold against damage, tampering and crashes.

mod audit;
mod crash;
mod evidence;
mod formats;
mod payload;
mod recipients;
mod rotation;
mod sealed;
mod secrets;
