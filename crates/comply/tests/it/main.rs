//! Rules hold at their boundaries, and say what they did not look at.

mod changes;
mod clocks;
mod formats;
mod identifiers;
mod reports;
mod retention;
