//! Decisions are numbered without gaps and say what was given up.

use super::Finding;
use crate::tree::Tree;

const FOLDER: &str = "docs/adr/";
const TEMPLATE: &str = "template.md";
const SECTIONS: &[&str] = &["## Context", "## Choice", "## What we gave up"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut last = 0;
    for (path, text) in tree.texts(".md") {
        let Some(file) = path.strip_prefix(FOLDER) else { continue };
        for section in SECTIONS.iter().filter(|section| !text.lines().any(|line| line == **section)) {
            findings.push(Finding::new(path, format!("no section {section:?}"), "follow docs/adr/template.md"));
        }
        if file == TEMPLATE {
            continue;
        }
        match number(file) {
            Some(number) if number == last + 1 => last = number,
            Some(number) => {
                let what = format!("number {number} follows {last}");
                findings.push(Finding::new(path, what, "number decisions from 0001 without gaps or doubles"));
                last = number;
            }
            None => findings.push(Finding::new(path, "the name has no number", "name it NNNN-title-in-kebab-case.md")),
        }
    }
    findings
}

/// The number of `0007-some-title.md`.
fn number(file: &str) -> Option<u32> {
    let (digits, title) = file.strip_suffix(".md")?.split_once('-')?;
    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if digits.len() == 4 && !title.is_empty() && title.chars().all(kebab) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const FULL: &str = "# A\n\n## Context\n\n## Choice\n\n## What we gave up\n";

    #[test]
    fn full_decisions_in_a_row_pass() {
        let files = [("docs/adr/0001-one.md", FULL), ("docs/adr/0002-two-b.md", FULL), ("docs/adr/template.md", FULL)];
        assert_eq!(found(check, &files), [""; 0]);
    }

    #[test]
    fn a_missing_section_is_named() {
        let findings = found(check, &[("docs/adr/0001-one.md", "# A\n\n## Context\n\n## Choice\n")]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("What we gave up"));
    }

    #[test]
    fn gaps_doubles_and_names_without_a_number_are_found() {
        let gap = [("docs/adr/0001-one.md", FULL), ("docs/adr/0003-three.md", FULL)];
        assert!(found(check, &gap)[0].contains("number 3 follows 1"));
        let double = [("docs/adr/0001-a.md", FULL), ("docs/adr/0001-b.md", FULL)];
        assert!(found(check, &double)[0].contains("number 1 follows 1"));
        assert!(found(check, &[("docs/adr/notes.md", FULL)])[0].contains("has no number"));
        assert_eq!(found(check, &[("docs/adr/0001-Loud_Title.md", FULL)]).len(), 1);
    }
}
