//! Every crate says what it is for, and shows it in an example that the tests run.

use super::Finding;
use crate::tree::Tree;

/// What the root README promises a newcomer, word for word.
const COMMANDS: &[&str] = &["cargo run --example quickstart", "cargo test --workspace"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages() {
        let readme = format!("{}README.md", package.folder);
        let text = tree.text(&readme).unwrap_or_default();
        if text.lines().filter(|line| !line.trim().is_empty()).count() < 3 {
            findings.push(Finding::new(
                &readme,
                "missing or empty",
                "say what the crate is for and what it is not for",
            ));
        }
        let lib = format!("{}src/lib.rs", package.folder);
        let code = tree.text(&lib).unwrap_or_default();
        let documented =
            if code.contains("include_str!(\"../README.md\")") { text.to_owned() } else { crate_doc(code) };
        if !has_runnable_example(&documented) {
            findings.push(Finding::new(lib, "no example in the crate documentation runs", "show the crate's one job"));
        }
    }
    let promised = tree.text("README.md").unwrap_or_default();
    for command in COMMANDS.iter().filter(|command| !promised.contains(**command)) {
        findings.push(Finding::new(
            "README.md",
            format!("`{command}` is not there"),
            "show the command that users run",
        ));
    }
    findings
}

fn crate_doc(code: &str) -> String {
    let lines = code.lines().filter_map(|line| line.trim_start().strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).fold(String::new(), |doc, line| doc + line + "\n")
}

/// Whether one fenced block is compiled and run by `cargo test`.
fn has_runnable_example(markdown: &str) -> bool {
    let mut open = false;
    for line in markdown.lines() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        open = !open;
        if open && info.split(',').map(str::trim).all(|word| matches!(word, "" | "rust") || word.starts_with("edition"))
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const README: (&str, &str) = ("crates/core/README.md", "# core\n\nIs for this.\n\nIs not for that.\n");
    const ROOT: (&str, &str) = ("README.md", "`cargo run --example quickstart`, then `cargo test --workspace`");

    fn with_lib(lib: &str) -> Vec<String> {
        found(check, &[ROOT, README, ("crates/core/Cargo.toml", ""), ("crates/core/src/lib.rs", lib)])
    }

    #[test]
    fn a_crate_needs_a_readme() {
        let lib = ("crates/core/src/lib.rs", "//! ```\n//! assert!(true);\n//! ```\n");
        let findings = found(check, &[ROOT, ("crates/core/Cargo.toml", ""), lib]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("crates/core/README.md: missing"));
    }

    #[test]
    fn an_example_counts_only_when_the_tests_run_it() {
        assert_eq!(with_lib("//! ```\n//! let a = 1;\n//! ```\n"), [""; 0]);
        for fence in ["ignore", "no_run", "text", "rust,ignore", "compile_fail", "toml"] {
            assert_eq!(with_lib(&format!("//! ```{fence}\n//! x\n//! ```\n")).len(), 1, "{fence}");
        }
        assert_eq!(with_lib("//! Words.\n").len(), 1);
    }

    #[test]
    fn the_end_of_one_block_is_not_the_start_of_the_next() {
        assert_eq!(with_lib("//! ```text\n//! x\n//! ```\n").len(), 1);
        assert_eq!(with_lib("//! ```text\n//! x\n//! ```\n//!\n//! ```\n//! let a = 1;\n//! ```\n"), [""; 0]);
    }

    #[test]
    fn the_two_commands_of_the_readme_stay_as_they_are() {
        let findings = found(check, &[("README.md", "cargo test --workspace")]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("cargo run --example quickstart"));
    }
}
