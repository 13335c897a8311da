use std::path::PathBuf;

/// What can go wrong between a file and a window, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the config or an argument breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The field or argument.
        field: String,
        /// Its value.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// The input holds something that is no bar; mend the row, or choose another action for the rule.
    #[error("{file} row {row}, column {column}: {value} {problem}")]
    BadRow {
        /// The file, or the name of the batch.
        file: String,
        /// Data row, from 1; the header is not counted.
        row: u64,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file is not what was expected.
    #[error("{}: {problem}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Samples of two blocks look at the same moment; widen the purge.
    #[error("label spans overlap: {earlier} looks up to {until}, {later} starts at {from}")]
    Overlap {
        /// The earlier block.
        earlier: &'static str,
        /// Last moment that its targets look at.
        until: String,
        /// The later block.
        later: &'static str,
        /// Its first forecast.
        from: String,
    },
    /// The query engine failed.
    #[error("the query engine failed while it was asked to {action}")]
    Engine {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why.
        source: Box<datafusion::error::DataFusionError>,
    },
    /// A file could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A contract of the core crate failed.
    #[error(transparent)]
    Core(#[from] tapeloom_core::Error),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, value: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }

    pub(crate) fn bad_file(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::BadFile { path: path.into(), problem: problem.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names what the query engine was asked for when it fails.
pub(crate) trait Asked<T> {
    fn asked(self, action: &'static str) -> Result<T>;
}

impl<T, E: Into<datafusion::error::DataFusionError>> Asked<T> for std::result::Result<T, E> {
    fn asked(self, action: &'static str) -> Result<T> {
        self.map_err(|e| Error::Engine { action, source: Box::new(e.into()) })
    }
}
