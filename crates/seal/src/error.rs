use std::path::PathBuf;

/// What can go wrong when bytes are made safe, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key is no key; make one with `Key::generate` or give the right file.
    #[error("{}: {problem}", path.display())]
    BadKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes were sealed with another key; give that one.
    #[error("{name} was sealed with {sealed_with}, this is {given}")]
    WrongKey {
        /// The blob.
        name: String,
        /// Who may open it: ids of keys, or passphrases.
        sealed_with: String,
        /// What was at hand.
        given: String,
    },
    /// The bytes belong to another tenant.
    #[error("{name} belongs to {}, not to {}", tenant(.sealed_for.as_deref()), tenant(.given.as_deref()))]
    WrongTenant {
        /// The blob.
        name: String,
        /// Whose it is.
        sealed_for: Option<String>,
        /// On whose behalf it was opened.
        given: Option<String>,
    },
    /// No source has this secret; put it into one.
    #[error("no secret named {name}: asked were {asked}")]
    NoSecret {
        /// Its name.
        name: String,
        /// Which sources were asked.
        asked: String,
    },
    /// A source of secrets could not tell; look at the source.
    #[error("{from}: {detail}")]
    SourceFailed {
        /// Which source.
        from: String,
        /// What happened.
        detail: String,
    },
    /// A secret is given out no more; put in the next version.
    #[error("secret {name} expired at {since}: put in its next version")]
    Expired {
        /// Its name.
        name: String,
        /// Since when.
        since: tapeloom_core::Timestamp,
    },
    /// An older copy of a file was put in its place.
    #[error("{} is of generation {found}, generation {seen} was seen before: an old copy was put in its place", path.display())]
    Replayed {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        found: u64,
        /// What was seen.
        seen: u64,
    },
    /// What was to be done could not be put on record, and was not done.
    #[error("the ledger refused a record")]
    Ledger(#[source] tapeloom_core::Error),
    /// A value given by the caller breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The field or argument, as the caller knows it.
        field: String,
        /// The offending value.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// The bytes are not what was sealed: damaged, cut, or moved from another name. Restore them.
    #[error("{name} is damaged: {detail}")]
    Damaged {
        /// The blob.
        name: String,
        /// Which check failed.
        detail: String,
    },
    /// The audit log was changed after it was written, or is torn.
    #[error("{} line {line}: {detail}", path.display())]
    Tampered {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Which check failed.
        detail: String,
    },
    /// The log can't take this record; change the record.
    #[error("the record was refused: {problem}")]
    BadRecord {
        /// What is wrong with it.
        problem: String,
    },
    /// The log takes no more records after a write that failed; open it anew, which checks what is there.
    #[error("{} takes no records after a write that failed: open it anew", path.display())]
    Stopped {
        /// The log.
        path: PathBuf,
    },
    /// Somebody else writes this log; each log has one writer.
    #[error("{} is in use by another writer", path.display())]
    Locked {
        /// The log.
        path: PathBuf,
    },
    /// The operating system refused; the path says where.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// A tenant's name comes from a file: nothing of it reaches a terminal raw.
fn tenant(name: Option<&str>) -> String {
    name.map_or_else(|| "no tenant".into(), |name| format!("tenant {:?}", name.chars().take(60).collect::<String>()))
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    pub(crate) fn damaged(name: &str, detail: impl Into<String>) -> Self {
        Self::Damaged { name: name.to_owned(), detail: detail.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// As the core contracts want it. Damage stays damage, from which a reader may turn to an older copy; a wrong key is no damage:
/// whoever took it for some would pass over every good copy.
impl From<Error> for tapeloom_core::Error {
    fn from(error: Error) -> Self {
        let what = match error {
            Error::Damaged { name, detail } => return Self::Corrupt { name, detail },
            Error::Io { action, path, source } => return Self::Io { action, path, source },
            Error::Invalid { field, value, remedy } => return Self::Invalid { field, value, remedy },
            Error::WrongKey { ref name, .. } | Error::WrongTenant { ref name, .. } => {
                format!("could not unseal {name}")
            }
            Error::Random(_) => "could not seal".into(),
            Error::BadRecord { .. } => "the audit log did not take the record".into(),
            _ => "the audit log or its key was refused".into(),
        };
        Self::provider(what, error)
    }
}
