use std::collections::{BTreeMap, BTreeSet};

use tapeloom_core::{Ledger, Receipt, Record};
use tapeloom_seal::Entry;

const DATA_SET: &str = "lineage.data_set";
const CHECKPOINT: &str = "lineage.checkpoint";

/// Which checkpoints were trained on whose data: from a person's pseudonym over data sets to checkpoints, as the audit log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Data sets by pseudonym.
    data_sets: BTreeMap<String, BTreeSet<String>>,
    /// Checkpoints by data set.
    checkpoints: BTreeMap<String, BTreeSet<String>>,
}

impl Lineage {
    /// Puts on record whose data are in a data set. Give pseudonyms: the log is for ever.
    ///
    /// # Errors
    /// The ledger's.
    pub fn record_data_set<'a>(
        ledger: &dyn Ledger,
        actor: &str,
        data_set: &str,
        subjects: impl IntoIterator<Item = &'a str>,
    ) -> tapeloom_core::Result<Vec<Receipt>> {
        let record = |subject| Record::new(actor, DATA_SET, data_set).detail("subject", subject);
        subjects.into_iter().map(|subject| ledger.append(&record(subject))).collect()
    }

    /// Puts on record that a checkpoint was trained on a data set.
    ///
    /// # Errors
    /// The ledger's.
    pub fn record_checkpoint(
        ledger: &dyn Ledger,
        actor: &str,
        checkpoint: &str,
        data_set: &str,
    ) -> tapeloom_core::Result<Receipt> {
        ledger.append(&Record::new(actor, CHECKPOINT, checkpoint).detail("data_set", data_set))
    }

    /// What the entries of a verified log tell.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut lineage = Self::default();
        for record in entries.iter().map(|entry| &entry.record) {
            let detail = |name: &str| record.details.get(name).cloned().unwrap_or_default();
            match record.action.as_str() {
                DATA_SET => lineage.data_sets.entry(detail("subject")).or_default().insert(record.object.clone()),
                CHECKPOINT => lineage.checkpoints.entry(detail("data_set")).or_default().insert(record.object.clone()),
                _ => false,
            };
        }
        lineage
    }

    /// Data sets with data of this person.
    #[must_use]
    pub fn data_sets(&self, subject: &str) -> Vec<&str> {
        self.data_sets.get(subject).into_iter().flatten().map(String::as_str).collect()
    }

    /// Checkpoints that were trained on data of this person: what an erasure has to look at.
    #[must_use]
    pub fn checkpoints(&self, subject: &str) -> Vec<&str> {
        let sets = self.data_sets.get(subject).into_iter().flatten();
        let checkpoints: BTreeSet<&str> =
            sets.filter_map(|set| self.checkpoints.get(set)).flatten().map(String::as_str).collect();
        checkpoints.into_iter().collect()
    }
}
