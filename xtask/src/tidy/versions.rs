//! All crates share one version, and ask for exactly that version of each other.

use super::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let packages = tree.packages();
    let Some(root) = packages.iter().find(|package| package.folder.is_empty()) else { return Vec::new() };
    let at = |keys: &[&str]| keys.iter().try_fold(&root.manifest, |table, key| table.get(*key)?.as_table());
    let version = at(&["workspace", "package"]).and_then(|table| table.get("version")?.as_str()).unwrap_or_default();
    let dependencies = at(&["workspace", "dependencies"]);
    let mut findings = Vec::new();
    for package in &packages {
        let own = package.manifest.get("package").and_then(|table| table.get("version")?.get("workspace")?.as_bool());
        if own != Some(true) {
            let path = format!("{}Cargo.toml", package.folder);
            findings.push(Finding::new(path, "has a version of its own", "write version.workspace = true"));
        }
        if package.folder.is_empty() {
            continue;
        }
        let name = format!("tapeloom-{}", package.name);
        let asked = dependencies.and_then(|table| table.get(&name)?.get("version")?.as_str());
        if asked != Some(&format!("={version}")) {
            let what =
                format!("{name} is asked for as {:?}, the workspace is at {version:?}", asked.unwrap_or_default());
            findings.push(Finding::new("Cargo.toml", what, "write path and version = \"=X.Y.Z\" of the workspace"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const OWN: &str = "[package]\nversion.workspace = true\n";

    fn root(asked: &str) -> String {
        format!(
            "[workspace.package]\nversion = \"0.2.0\"\n[workspace.dependencies]\n\
             tapeloom-core = {{ path = \"crates/core\", version = \"{asked}\" }}\n{OWN}"
        )
    }

    #[test]
    fn one_version_asked_for_exactly_passes() {
        assert_eq!(found(check, &[("Cargo.toml", &root("=0.2.0")), ("crates/core/Cargo.toml", OWN)]), [""; 0]);
    }

    #[test]
    fn a_version_that_fell_behind_is_found() {
        for asked in ["=0.1.0", "0.2.0", ""] {
            let findings = found(check, &[("Cargo.toml", &root(asked)), ("crates/core/Cargo.toml", OWN)]);
            assert_eq!(findings.len(), 1, "{asked}");
            assert!(findings[0].contains("tapeloom-core"));
        }
    }

    #[test]
    fn a_crate_with_its_own_version_is_found() {
        let own = "[package]\nversion = \"0.2.0\"\n";
        let findings = found(check, &[("Cargo.toml", &root("=0.2.0")), ("crates/core/Cargo.toml", own)]);
        assert!(findings[0].starts_with("crates/core/Cargo.toml: has a version of its own"));
    }

    #[test]
    fn a_crate_that_the_workspace_does_not_list_is_found() {
        let files = [
            ("Cargo.toml", root("=0.2.0")),
            ("crates/core/Cargo.toml", OWN.into()),
            ("crates/new/Cargo.toml", OWN.into()),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert!(found(check, &files)[0].contains("tapeloom-new is asked for as \"\""));
    }
}
