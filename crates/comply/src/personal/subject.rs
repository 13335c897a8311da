use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tapeloom_core::{BlobStore, Ledger, Receipt, Record};
use tapeloom_seal::{Key, SealedStore, open, seal};

use super::lineage::Lineage;
use super::pseudonym::Pseudonymizer;
use crate::retention::Deletion;
use crate::{Error, Result};

/// Personal data by person, each under a key of their own. Erasing a person is destroying that key: every copy of the data, in
/// every backup, is unreadable then, and the audit log, which holds pseudonyms alone, still verifies.
///
/// The store of keys must be the only place with them, and its own backups must not live longer than an erasure may take.
#[derive(Debug)]
pub struct SubjectVault<K, D> {
    keys: SealedStore<K>,
    data: D,
    pseudonyms: Pseudonymizer,
    ledger: Arc<dyn Ledger>,
}

/// Everything that is held of a person: for access (art. 15) and portability (art. 20).
#[derive(Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubjectExport {
    /// The person's pseudonym, which is what the log calls them.
    pub subject: String,
    /// By name. Text as it is; what is no text, in hex.
    pub data: BTreeMap<String, String>,
    /// Data sets with data of the person.
    pub data_sets: Vec<String>,
    /// Checkpoints that were trained on them.
    pub checkpoints: Vec<String>,
}

/// What an erasure did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Erasure {
    /// The person's pseudonym.
    pub subject: String,
    /// Blobs that nobody can read any more.
    pub blobs: usize,
    /// Checkpoints that were trained on data of the person, and may remember some: a person has to decide about them.
    pub checkpoints: Vec<String>,
    /// Of the record in the log. With [`prove`](tapeloom_seal::prove) it becomes a receipt that the person can check alone.
    pub receipt: Receipt,
}

impl<K: BlobStore, D: BlobStore> SubjectVault<K, D> {
    /// Keys go to `keys`, data to `data`, which may be the same kind of store but must not be the same.
    #[must_use]
    pub fn new(keys: K, data: D, key: &Key, tenant: &str, ledger: Arc<dyn Ledger>) -> Self {
        let pseudonyms = Pseudonymizer::new(key, tenant, "subjects");
        Self { keys: SealedStore::tenant(keys, key, tenant), data, pseudonyms, ledger }
    }

    /// What the log calls a person.
    #[must_use]
    pub fn pseudonym(&self, subject: &str) -> String {
        self.pseudonyms.pseudonym("subject", subject)
    }

    /// Keeps or replaces data of a person (art. 16, rectification, is this).
    ///
    /// # Errors
    /// [`Error::Invalid`] while processing is restricted; the stores' and the ledger's.
    pub fn put(&self, actor: &str, subject: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let who = self.pseudonym(subject);
        self.check_unrestricted(&who)?;
        let key = match self.key(&who)? {
            Some(key) => key,
            None => {
                let key = Key::generate()?;
                self.keys.put(&key_name(&who), key.expose())?;
                key
            }
        };
        let name = blob_name(&who, name);
        self.record(actor, "subject.data_changed", &who, |record| record.detail("blob", &name))?;
        Ok(self.data.put(&name, &seal(&name, bytes, &key)?)?)
    }

    /// Data of a person, on record.
    ///
    /// # Errors
    /// [`Error::Invalid`] for data that are not there, or of a person who was erased; the stores' and the ledger's.
    pub fn get(&self, actor: &str, subject: &str, name: &str) -> Result<Vec<u8>> {
        let who = self.pseudonym(subject);
        self.check_unrestricted(&who)?;
        let name = blob_name(&who, name);
        self.record(actor, "subject.data_read", &who, |record| record.detail("blob", &name))?;
        self.read(&who, &name)
    }

    /// Everything that is held of a person (art. 15 and 20).
    ///
    /// # Errors
    /// As [`SubjectVault::get`].
    pub fn export(&self, actor: &str, subject: &str, lineage: &Lineage) -> Result<SubjectExport> {
        let who = self.pseudonym(subject);
        self.record(actor, "subject.exported", &who, |record| record)?;
        let prefix = blob_name(&who, "");
        let mut data = BTreeMap::new();
        for name in self.data.list(&prefix)? {
            let bytes = self.read(&who, &name)?;
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = String::from_utf8(bytes).unwrap_or_else(|bytes| hex(bytes.as_bytes()));
            data.insert(name[prefix.len()..].to_owned(), text);
        }
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let (data_sets, checkpoints) = (owned(lineage.data_sets(&who)), owned(lineage.checkpoints(&who)));
        Ok(SubjectExport { subject: who, data, data_sets, checkpoints })
    }

    /// Stops reading and changing data of a person until [`SubjectVault::unrestrict`] (art. 18). They stay, and can be exported.
    ///
    /// # Errors
    /// The stores' and the ledger's.
    pub fn restrict(&self, actor: &str, subject: &str, reason: &str) -> Result<Receipt> {
        let who = self.pseudonym(subject);
        let receipt = self.record(actor, "subject.restricted", &who, |record| record.detail("reason", reason))?;
        self.keys.put(&restriction_name(&who), b"restricted")?;
        Ok(receipt)
    }

    /// Ends a restriction.
    ///
    /// # Errors
    /// The stores' and the ledger's.
    pub fn unrestrict(&self, actor: &str, subject: &str, reason: &str) -> Result<Receipt> {
        let who = self.pseudonym(subject);
        let receipt = self.record(actor, "subject.unrestricted", &who, |record| record.detail("reason", reason))?;
        self.keys.delete(&restriction_name(&who))?;
        Ok(receipt)
    }

    /// Erases a person (art. 17): destroys their key, then deletes what it sealed. `duty` is what
    /// [`Retention::may_delete`](crate::Retention::may_delete) says of the data: a legal duty to keep them comes first
    /// (art. 17(3)(b)), and the refusal is on record too.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what must be kept, or for a person of whom nothing is held; the stores' and the ledger's.
    pub fn erase(&self, actor: &str, subject: &str, duty: Deletion, lineage: &Lineage) -> Result<Erasure> {
        let who = self.pseudonym(subject);
        let kept = match duty {
            Deletion::Allowed => None,
            Deletion::Kept { until, source } => Some(format!("{source} keeps the data until {until}: art. 17(3)(b)")),
            Deletion::Held => Some("a legal hold keeps the data: art. 17(3)(e)".to_owned()),
        };
        if let Some(why) = kept {
            self.record(actor, "subject.erased", &who, |record| record.outcome("refused").detail("reason", &why))?;
            return Err(Error::invalid("erasure", &who, why));
        }
        let blobs = self.data.list(&blob_name(&who, ""))?;
        if self.key(&who)?.is_none() {
            return Err(Error::invalid("subject", &who, "nothing is held of this person"));
        }
        let checkpoints: Vec<String> = lineage.checkpoints(&who).into_iter().map(str::to_owned).collect();
        let told = |record: Record, outcome: &str| {
            let record = record.outcome(outcome).detail("blobs", blobs.len());
            record.detail("checkpoints", checkpoints.join(" "))
        };
        self.record(actor, "subject.erased", &who, |record| told(record, "started"))?;
        self.keys.delete(&key_name(&who))?;
        // From here on they are erased; what follows is tidying, which a crash may put off.
        for name in &blobs {
            self.data.delete(name)?;
        }
        let receipt = self.record(actor, "subject.erased", &who, |record| told(record, "success"))?;
        Ok(Erasure { subject: who, blobs: blobs.len(), checkpoints, receipt })
    }

    fn read(&self, who: &str, name: &str) -> Result<Vec<u8>> {
        let gone = || Error::invalid("subject", who, "nothing is held of this person, or they were erased");
        let key = self.key(who)?.ok_or_else(gone)?;
        Ok(open(name, &self.data.get(name)?, &key)?)
    }

    fn key(&self, who: &str) -> Result<Option<Key>> {
        match self.keys.get(&key_name(who)) {
            Err(tapeloom_core::Error::NotFound { .. }) => Ok(None),
            bytes => {
                let bytes = bytes?;
                let damaged = |_| Error::invalid("subject key", who, "it is no key: restore the store of keys");
                Ok(Some(Key::from_bytes(bytes.try_into().map_err(damaged)?)))
            }
        }
    }

    fn check_unrestricted(&self, who: &str) -> Result<()> {
        match self.keys.get(&restriction_name(who)) {
            Err(tapeloom_core::Error::NotFound { .. }) => Ok(()),
            found => found.map_err(Error::from).and_then(|_| {
                Err(Error::invalid("subject", who, "processing is restricted (art. 18): lift the restriction first"))
            }),
        }
    }

    fn record(&self, actor: &str, action: &str, who: &str, tell: impl FnOnce(Record) -> Record) -> Result<Receipt> {
        Ok(self.ledger.append(&tell(Record::new(actor, action, who)))?)
    }
}

fn key_name(who: &str) -> String {
    format!("keys/{who}")
}

fn restriction_name(who: &str) -> String {
    format!("restricted/{who}")
}

fn blob_name(who: &str, name: &str) -> String {
    format!("subjects/{who}/{name}")
}
