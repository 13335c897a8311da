use serde::Serialize;

/// The text of law that a set of rules was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleSet {
    /// Its number.
    pub regulation: &'static str,
    /// When that text was published.
    pub published: &'static str,
    /// From when it applies.
    pub applies_from: &'static str,
}

/// The rules of this version. A revision of the regulation is another rule set, not a change of this one.
pub(super) const RTS22: RuleSet = RuleSet {
    regulation: "Commission Delegated Regulation (EU) 2017/590",
    published: "2017-03-31",
    applies_from: "2018-01-03",
};

/// A rule that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Issue {
    /// Stable id of the rule, such as `RTS22.04.lei_checksum`: regulation, field, name.
    pub rule: String,
    /// The field.
    pub field: u8,
    /// What is wrong, without the value.
    pub detail: String,
}

/// A rule that was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unchecked {
    /// Stable id of the rule.
    pub rule: String,
    /// The field.
    pub field: u8,
    /// What it would take.
    pub reason: String,
    /// The code of the authority's validation rule for the same thing, where it is known for sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esma_code: Option<&'static str>,
}

/// What the rules of MiFID II and MiFIR say of one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mifid {
    /// Whether no rule failed. It speaks of the rules that were evaluated, and of no other.
    pub compliant: bool,
    /// Rules that failed.
    pub issues: Vec<Issue>,
    /// Rules that were not evaluated, and why.
    pub not_checked: Vec<Unchecked>,
    /// Ids of the rules that passed.
    pub passed: Vec<String>,
    /// Where the rules come from.
    pub rule_set: RuleSet,
}

/// The result of a check, one member for each regime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Compliance {
    /// MiFID II and MiFIR.
    pub mifid_ii: Mifid,
}

/// Takes findings while rules are evaluated.
#[derive(Debug, Default)]
pub(super) struct Findings {
    issues: Vec<Issue>,
    not_checked: Vec<Unchecked>,
    passed: Vec<String>,
}

impl Findings {
    pub(super) fn pass(&mut self, field: u8, name: &str) {
        self.passed.push(id(field, name));
    }

    pub(super) fn fail(&mut self, field: u8, name: &str, detail: impl Into<String>) {
        self.issues.push(Issue { rule: id(field, name), field, detail: detail.into() });
    }

    pub(super) fn hold(&mut self, field: u8, name: &str, is_kept: bool, detail: &str) {
        if is_kept { self.pass(field, name) } else { self.fail(field, name, detail) }
    }

    pub(super) fn skip(&mut self, field: u8, name: &str, reason: impl Into<String>, esma_code: Option<&'static str>) {
        self.not_checked.push(Unchecked { rule: id(field, name), field, reason: reason.into(), esma_code });
    }

    pub(super) fn into_compliance(self) -> Compliance {
        let Self { mut issues, mut not_checked, mut passed } = self;
        issues.sort_by(|a, b| a.rule.cmp(&b.rule));
        not_checked.sort_by(|a, b| a.rule.cmp(&b.rule));
        passed.sort();
        passed.dedup();
        // A repeated field can pass with one value and fail with another.
        passed.retain(|rule| issues.iter().all(|issue| issue.rule != *rule));
        Compliance { mifid_ii: Mifid { compliant: issues.is_empty(), issues, not_checked, passed, rule_set: RTS22 } }
    }
}

fn id(field: u8, name: &str) -> String {
    format!("RTS22.{field:02}.{name}")
}
