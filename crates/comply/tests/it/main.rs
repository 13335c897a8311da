//! Rules hold at their boundaries, and say what they did not look at.

mod access;
mod algorithms;
mod changes;
mod clocks;
mod formats;
mod identifiers;
mod personal;
mod reports;
mod retention;
mod subjects;
