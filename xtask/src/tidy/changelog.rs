//! The change log starts with what is not released yet.

use super::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let text = tree.text("CHANGELOG.md").unwrap_or_default();
    match text.lines().find(|line| line.starts_with("## ")) {
        Some("## [Unreleased]") => Vec::new(),
        _ => {
            vec![Finding::new("CHANGELOG.md", "the first section is not Unreleased", "put \"## [Unreleased]\" on top")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn unreleased_comes_first() {
        assert_eq!(found(check, &[("CHANGELOG.md", "# Changes\n\n## [Unreleased]\n\n## [0.1.0]\n")]), [""; 0]);
        assert_eq!(found(check, &[("CHANGELOG.md", "# Changes\n\n## [0.1.0]\n\n## [Unreleased]\n")]).len(), 1);
        assert_eq!(found(check, &[]).len(), 1);
    }
}
