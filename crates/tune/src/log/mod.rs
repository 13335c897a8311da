//! A study is a log of entries; everything else is what one knows after reading it.

mod apply;
mod entry;
mod history;
mod record;

pub use entry::{Entry, Header};
pub use history::History;
pub use record::{Checkpoint, Direction, Judgement, TrialRecord, TrialStatus};
