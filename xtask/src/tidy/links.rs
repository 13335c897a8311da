//! A link from one page of the repository to another leads somewhere.

use super::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in targets(text) {
            let found = resolve(folder, target).is_some_and(|file| tree.has(&file));
            if !found {
                findings.push(Finding::new(path, format!("link to {target:?} leads nowhere"), "mend or remove it"));
            }
        }
    }
    findings
}

/// The relative targets of inline links, outside fenced blocks, without fragments.
fn targets(markdown: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut targets = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let ends = line.match_indices("](").map(|(at, _)| &line[at + 2..]);
        let whole = ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let paths = whole.map(|target| target.split('#').next().unwrap_or_default());
        targets.extend(paths.filter(|path| !path.is_empty() && !path.contains(':')));
    }
    targets
}

/// `target` as seen from `folder`; none when it leaves the repository.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn links_to_files_folders_and_elsewhere_pass() {
        let page = "[a](../b.md#part) [b](adr) [c](#here) [d](https://example.org/x) [e](./ARCHITECTURE.md)";
        let files = [("docs/ARCHITECTURE.md", page), ("b.md", ""), ("docs/adr/0001-a.md", "")];
        assert_eq!(found(check, &files), [""; 0]);
    }

    #[test]
    fn a_link_to_nothing_is_named() {
        let findings = found(check, &[("docs/a.md", "see [b](b.md)")]);
        assert_eq!(findings, ["docs/a.md: link to \"b.md\" leads nowhere; mend or remove it"]);
        assert_eq!(found(check, &[("a.md", "see [b](../outside/b.md)")]).len(), 1);
    }

    #[test]
    fn code_is_not_a_link() {
        assert_eq!(found(check, &[("a.md", "```rust\nlet x = y[0](z);\n```\n")]), [""; 0]);
    }
}
