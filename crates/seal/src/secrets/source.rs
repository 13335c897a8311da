use std::fmt;
use std::sync::Arc;

use tapeloom_core::{Ledger, Record};

use super::secret::Secret;
use crate::Result;

/// Somewhere secrets come from: the environment, a file, a host's own vault.
pub trait SecretSource: Send + Sync + fmt::Debug {
    /// What the source is called in records.
    fn name(&self) -> &str;

    /// A secret by name; none where the source does not have it. An expired one is an error and not none: another source must
    /// not silently stand in for it.
    ///
    /// # Errors
    /// When the source can't tell.
    fn secret(&self, name: &str) -> Result<Option<Secret>>;
}

/// What every [`SecretSource`] promises; call it from a test of each. The source has `present` and does not have `absent`.
///
/// # Errors
/// The first broken promise.
pub fn check_secret_source(source: &dyn SecretSource, present: &str, absent: &str) -> Result<()> {
    let promise = |is_kept: bool, text: &str| {
        let broken = || crate::Error::SourceFailed {
            from: source.name().to_owned(),
            detail: format!("broken contract: {text}"),
        };
        if is_kept { Ok(()) } else { Err(broken()) }
    };
    let secret = source.secret(present)?;
    promise(secret.is_some(), "a secret that is there is given out")?;
    let again = source.secret(present)?;
    let same = secret.zip(again).is_some_and(|(a, b)| crate::sealed::cobblestone::same(a.expose(), b.expose()));
    promise(same, "asked twice, it answers the same")?;
    promise(source.secret(absent)?.is_none(), "a secret that is not there is none, and no error")?;
    promise(!source.name().is_empty(), "it has a name for records")
}

/// Asks sources in order, and puts each answer on record.
#[derive(Debug)]
pub struct Secrets {
    sources: Vec<Arc<dyn SecretSource>>,
    ledger: Arc<dyn Ledger>,
    actor: String,
}

impl Secrets {
    /// No source yet. `actor` is who asks.
    #[must_use]
    pub fn new(actor: impl Into<String>, ledger: Arc<dyn Ledger>) -> Self {
        Self { sources: Vec::new(), ledger, actor: actor.into() }
    }

    /// Adds a source, to be asked after those before.
    #[must_use]
    pub fn source(mut self, source: Arc<dyn SecretSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// The secret from the first source that has it. Nothing is given out that could not be put on record.
    ///
    /// # Errors
    /// [`Error::NoSecret`](crate::Error::NoSecret) names the sources that were asked; a source's own; the ledger's.
    pub fn get(&self, name: &str) -> Result<Secret> {
        let record = |outcome: &str, source: &str| {
            let record = Record::new(&self.actor, "secret.read", name).outcome(outcome).detail("source", source);
            self.ledger.append(&record).map_err(crate::Error::Ledger)
        };
        for source in &self.sources {
            match source.secret(name) {
                Ok(None) => {}
                Ok(Some(secret)) => return record("success", source.name()).map(|_| secret),
                Err(error) => {
                    record("failure", source.name())?;
                    return Err(error);
                }
            }
        }
        let asked = self.sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ");
        record("failure", &asked)?;
        Err(crate::Error::NoSecret { name: name.to_owned(), asked })
    }
}
