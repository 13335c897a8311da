//! Nothing is public before it works: no note to self stays in the tree.

use super::Finding;
use crate::tree::Tree;

// Put together from parts, so that this file passes its own rule.
// Three capital X are no marker here: they are the ISO 4217 code for "no currency".
const WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];
const MACROS: &[&str] = &[concat!("todo", "!("), concat!("unimple", "mented!(")];
const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".yml", ".yaml", ".sh", ".ci/run"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in ENDINGS.iter().flat_map(|ending| tree.texts(ending)) {
        for (line, text) in (1..).zip(text.lines()) {
            let word = WORDS.iter().find(|word| has_word(text, word));
            let call = MACROS.iter().find(|call| path.ends_with(".rs") && text.contains(**call));
            if let Some(marker) = word.or(call) {
                let what = format!("{marker} in line {line}");
                findings.push(Finding::new(path, what, "finish it, or leave it out until it works"));
            }
        }
    }
    findings
}

/// Whether `word` stands alone in `text`.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn each_marker_is_found_with_its_line() {
        for marker in WORDS.iter().chain(MACROS) {
            let findings = found(check, &[("src/a.rs", &format!("fn a() {{}}\n// {marker}: later\n"))]);
            assert_eq!(findings.len(), 1, "{marker}");
            assert!(findings[0].contains(&format!("{marker} in line 2")));
        }
    }

    #[test]
    fn scripts_and_pages_are_read_too() {
        for path in [".ci/run", "docs/a.md", ".github/workflows/a.yml"] {
            assert_eq!(found(check, &[(path, WORDS[0])]).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_word_that_holds_a_marker_is_no_marker() {
        let inside = format!("let {0}_LIST = METHOD{0};", WORDS[0]);
        assert_eq!(found(check, &[("src/a.rs", &inside)]), [""; 0]);
        assert_eq!(found(check, &[("Cargo.toml", "todo = \"warn\"")]), [""; 0]);
    }
}
