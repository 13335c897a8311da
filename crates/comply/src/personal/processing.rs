use serde::{Deserialize, Serialize};

/// One record of processing activities: Regulation (EU) 2016/679 art. 30(1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessingRecord {
    /// Name and contact of the controller, and of its data protection officer (a).
    pub controller: String,
    /// What it is done for (b).
    pub purposes: Vec<String>,
    /// Kinds of persons (c).
    pub subjects: Vec<String>,
    /// Kinds of their data (c).
    pub data: Vec<String>,
    /// Who gets to see them (d).
    pub recipients: Vec<String>,
    /// Third countries, each with its safeguards (e); may be empty when there are none and `has_transfers` is false.
    pub transfers: Vec<String>,
    /// Whether data leave for third countries.
    pub has_transfers: bool,
    /// When each kind is erased (f).
    pub erasure: Vec<String>,
    /// Technical and organisational measures (g).
    pub measures: Vec<String>,
}

impl ProcessingRecord {
    /// What art. 30(1) asks for and the record does not say, with the letter.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        [
            (self.controller.trim().is_empty(), "controller, art. 30(1)(a)"),
            (self.purposes.is_empty(), "purposes, art. 30(1)(b)"),
            (self.subjects.is_empty(), "subjects, art. 30(1)(c)"),
            (self.data.is_empty(), "data, art. 30(1)(c)"),
            (self.recipients.is_empty(), "recipients, art. 30(1)(d)"),
            (self.has_transfers && self.transfers.is_empty(), "transfers with their safeguards, art. 30(1)(e)"),
            (self.erasure.is_empty(), "erasure, art. 30(1)(f)"),
            (self.measures.is_empty(), "measures, art. 30(1)(g)"),
        ]
        .into_iter()
        .filter_map(|(is_missing, what)| is_missing.then_some(what))
        .collect()
    }
}
