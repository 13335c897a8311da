//! One integration test binary per crate: every further one links the whole house again.

use super::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths().filter(|path| path.ends_with(".rs")) {
        let parts: Vec<&str> = path.split('/').collect();
        let inside = match parts[..] {
            ["tests", ref inside @ ..] | ["crates", _, "tests", ref inside @ ..] => inside,
            _ => continue,
        };
        if inside.first() != Some(&"it") {
            let what = "a second integration test binary";
            findings.push(Finding::new(path, what, "make it a module of tests/it/main.rs"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn tests_live_in_one_binary() {
        assert_eq!(found(check, &[("crates/a/tests/it/main.rs", ""), ("crates/a/tests/it/b.rs", "")]), [""; 0]);
        assert_eq!(found(check, &[("tests/it/main.rs", ""), ("crates/a/src/tests/b.rs", "")]), [""; 0]);
        assert_eq!(found(check, &[("crates/a/tests/b.rs", "")]).len(), 1);
        assert_eq!(found(check, &[("tests/b.rs", "")]).len(), 1);
        assert_eq!(found(check, &[("crates/a/tests/other/main.rs", "")]).len(), 1);
    }
}
