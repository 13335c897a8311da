use tapeloom_core::Receipt;
use tapeloom_seal::{AuditLog, Segment};

use crate::{Date, Deletion, RecordClass, Result, Retention};

/// Deletes closed files of an audit log whose time is over: that of the newest record in a file counts, and the class of
/// changes of algorithms, which the audit log explains. A legal hold on the log keeps everything. Gives the record of what went.
///
/// # Errors
/// [`Error::Evidence`](crate::Error::Evidence) when the log does not verify, is held, or can't be changed.
pub fn retire_expired(log: &AuditLog, retention: &Retention, today: Date, actor: &str) -> Result<Option<Receipt>> {
    let class = RecordClass::AlgorithmChanges;
    let may_go = |segment: &Segment| {
        let newest = segment.newest.date().parse::<Date>();
        newest.is_ok_and(|newest| retention.may_delete(class, newest, today, false) == Deletion::Allowed)
    };
    Ok(log.retire(actor, class.source(), may_go)?)
}
