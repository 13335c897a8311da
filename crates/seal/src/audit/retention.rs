use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;

use tapeloom_core::{Receipt, Record, Timestamp};

use super::files::all_closed;
use super::hasher::{HELD, RELEASED, RETIRED};
use super::log::AuditLog;
use super::verify::walk_from;
use crate::disk::sync_folder_of;
use crate::{Error, Result};

/// A closed file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// Of its first record.
    pub first: u64,
    /// Of the first record behind it.
    pub end: u64,
    /// Of its first record.
    pub oldest: Timestamp,
    /// Of its last record.
    pub newest: Timestamp,
    /// All actions in it, from which a rule tells how long it has to be kept.
    pub actions: BTreeSet<String>,
}

impl AuditLog {
    /// The closed files, oldest first, every line of the log checked.
    ///
    /// # Errors
    /// As [`verify`](crate::verify).
    pub fn segments(&self) -> Result<Vec<Segment>> {
        let mut segments: Vec<Segment> = Vec::new();
        walk_from(self.path(), self.hasher(), |entry, _, file, _| {
            let action = entry.record.action;
            match segments.last_mut().filter(|segment| segment.path == file) {
                Some(segment) => {
                    (segment.end, segment.newest) = (entry.sequence + 1, entry.time);
                    segment.actions.insert(action);
                }
                None => segments.push(Segment {
                    path: file.to_owned(),
                    first: entry.sequence,
                    end: entry.sequence + 1,
                    oldest: entry.time,
                    newest: entry.time,
                    actions: [action].into(),
                }),
            }
        })?;
        segments.retain(|segment| segment.path != self.path());
        Ok(segments)
    }

    /// Deletes closed files from the old end, as long as `may_go` lets the next one go, and gives the record that says so. The
    /// log still verifies: the record that begins the next file holds what the tree needs of those before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] while a legal hold is in force; [`Error::Io`]. A crash half way leaves files that the next call deletes.
    pub fn retire(&self, actor: &str, reason: &str, may_go: impl Fn(&Segment) -> bool) -> Result<Option<Receipt>> {
        let holds = self.holds().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hold) = holds.first() {
            return Err(Error::invalid("legal hold", format!("{hold:?}"), "it keeps every file: release it first"));
        }
        let segments = self.segments()?;
        let going: Vec<&Segment> = segments.iter().take_while(|segment| may_go(segment)).collect();
        let Some(last) = going.last() else { return Ok(None) };
        let record = Record::new(actor, RETIRED, "audit log")
            .detail("through", last.end)
            .detail("files", going.len())
            .detail("newest", last.newest)
            .detail("reason", reason);
        // Said before it is done: a file that is missing without a record would look stolen.
        let receipt = self.write(&record)?;
        let end = last.path.clone();
        for path in all_closed(self.path())?.into_iter().take_while(|path| *path <= end) {
            fs::remove_file(&path).map_err(|e| Error::io("delete", &path, e))?;
            sync_folder_of(&path)?;
        }
        Ok(Some(receipt))
    }

    /// Keeps every file of the log until [`AuditLog::release`] of the same name, whatever its age.
    ///
    /// # Errors
    /// As `append`.
    pub fn hold(&self, actor: &str, name: &str, reason: &str) -> Result<Receipt> {
        let mut holds = self.holds().lock().unwrap_or_else(PoisonError::into_inner);
        let receipt = self.write(&Record::new(actor, HELD, name).detail("reason", reason))?;
        holds.insert(name.to_owned());
        Ok(receipt)
    }

    /// Ends a legal hold.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of that name; as `append`.
    pub fn release(&self, actor: &str, name: &str, reason: &str) -> Result<Receipt> {
        let mut holds = self.holds().lock().unwrap_or_else(PoisonError::into_inner);
        if !holds.contains(name) {
            let there = holds.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::invalid("legal hold", format!("{name:?}"), format!("in force are: {there}")));
        }
        let receipt = self.write(&Record::new(actor, RELEASED, name).detail("reason", reason))?;
        holds.remove(name);
        Ok(receipt)
    }
}
