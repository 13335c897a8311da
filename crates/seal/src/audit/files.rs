//! The files of a log: the one that is written, and beside it those that were closed, named by the number of their first record.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Digits of a closed file's number: files sort as their records do.
const DIGITS: usize = 12;

/// The name under which the file of `log` that begins with record `first` is closed.
pub(crate) fn closed(log: &Path, first: u64) -> PathBuf {
    beside(log, &format!("{first:0DIGITS$}"))
}

/// A file beside the log: its name, a dot, and `end`.
pub(crate) fn beside(log: &Path, end: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

/// The closed files of a log, oldest first.
pub(crate) fn all_closed(log: &Path) -> Result<Vec<PathBuf>> {
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(base) = log.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::io("list", folder, e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| Error::io("list", folder, e))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(base)?.strip_prefix('.'));
        if number.is_some_and(|number| number.len() == DIGITS && number.bytes().all(|b| b.is_ascii_digit())) {
            found.push(folder.join(name));
        }
    }
    found.sort();
    Ok(found)
}
