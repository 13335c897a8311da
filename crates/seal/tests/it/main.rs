//! Sealed bytes and the audit log hold against damage, tampering and crashes.

mod age;
mod audit;
mod crash;
mod evidence;
mod formats;
mod fuzz;
mod payload;
mod recipients;
mod rotation;
mod sealed;
mod secrets;
mod vault;
