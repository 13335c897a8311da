//! Rules hold at their boundaries, and say what they did not look at.

mod changes;
mod formats;
mod reports;
mod retention;
