//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! A rule is a function from the source tree to findings, in a file of its own, with tests on small trees.

mod adr;
mod arrows;
mod changelog;
mod data;
mod links;
mod markers;
mod readme;
mod size;
mod tests_layout;
mod unsafe_code;
mod versions;

use std::fmt;
use std::path::Path;

use crate::tree::Tree;
use crate::{Failure, shell};

type Rule = fn(&Tree) -> Vec<Finding>;

/// The rules, by the name that a finding shows.
const RULES: &[(&str, Rule)] = &[
    ("adr", adr::check),
    ("arrows", arrows::check),
    ("changelog", changelog::check),
    ("data", data::check),
    ("links", links::check),
    ("markers", markers::check),
    ("readme", readme::check),
    ("size", size::check),
    ("tests_layout", tests_layout::check),
    ("unsafe_code", unsafe_code::check),
    ("versions", versions::check),
];

/// Something to mend.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    what: String,
    remedy: &'static str,
    /// Shown, and no failure.
    advice: bool,
}

impl Finding {
    fn new(path: impl Into<String>, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: path.into(), what: what.into(), remedy, advice: false }
    }

    fn advice(path: impl Into<String>, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { advice: true, ..Self::new(path, what, remedy) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.remedy)
    }
}

/// Takes no arguments.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(format!("tidy takes no arguments, not {argument:?}"));
    }
    check(&shell::root()?)
}

/// Prints every finding; one that is more than advice is a failure.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let tree = Tree::read(root)?;
    let mut errors = 0;
    for (rule, check) in RULES {
        for finding in check(&tree) {
            let level = if finding.advice { "advice" } else { "error" };
            println!("{level}[{rule}] {finding}");
            errors += usize::from(!finding.advice);
        }
    }
    match data::sums(root)? {
        data::Sums::Right => {}
        data::Sums::Wrong(report) => {
            println!("error[data] {report}");
            errors += 1;
        }
        data::Sums::Unchecked(why) => println!("skipped: the sums of examples/data: {why}"),
    }
    if errors == 0 {
        println!("tidy: {} rules, nothing to mend", RULES.len());
        return Ok(());
    }
    Err(format!("tidy: {errors} to mend"))
}

/// What a rule found, as text, for tests.
#[cfg(test)]
fn found(check: Rule, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files)).iter().map(ToString::to_string).collect()
}
