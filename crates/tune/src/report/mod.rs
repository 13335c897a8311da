//! A study as one file to look at or to go on with.

mod charts;
mod csv;
mod page;
mod svg;

pub use csv::trials_csv;
pub use page::study_html;
