//! Which crate may know which: the crate map of docs/ARCHITECTURE.md, checked against the manifests.

use super::Finding;
use crate::tree::{Package, Tree};

/// One crate of the map.
struct Room {
    name: &'static str,
    /// Tapeloom crates that it may depend on.
    may: &'static [&'static str],
    /// Families of third-party crates that it must not know.
    never: &'static [&'static str],
}

const MAP: &[Room] = &[
    Room { name: "comply", may: &["core", "seal"], never: &["burn"] },
    Room { name: "core", may: &[], never: &["arrow", "axum", "burn", "datafusion", "reqwest", "tokio"] },
    Room { name: "data", may: &["core"], never: &["burn"] },
    Room { name: "dist", may: &["core"], never: &["datafusion"] },
    Room { name: "model", may: &["core"], never: &["arrow", "axum", "datafusion", "tokio"] },
    Room { name: "nccl", may: &["core", "dist"], never: &["datafusion"] },
    Room { name: "seal", may: &["core"], never: &["arrow", "burn", "datafusion"] },
    Room { name: "serve", may: &["core", "model"], never: &["datafusion"] },
    Room { name: "track", may: &["core"], never: &["burn", "datafusion"] },
    Room { name: "train", may: &["core", "dist", "model"], never: &["arrow", "axum", "cudarc", "datafusion", "tokio"] },
    Room { name: "tune", may: &["core"], never: &["burn"] },
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let map = tree.text("docs/ARCHITECTURE.md").unwrap_or_default();
    let libraries = tree.packages().into_iter().filter(|package| !package.folder.is_empty());
    libraries.flat_map(|package| of_package(&package, map)).collect()
}

fn of_package(package: &Package<'_>, map: &str) -> Vec<Finding> {
    let path = format!("{}Cargo.toml", package.folder);
    let Some(room) = MAP.iter().find(|room| room.name == package.name) else {
        let what = format!("crate {:?} has no place in the crate map", package.name);
        return vec![Finding::new(path, what, "write an ADR, then add it to docs/ARCHITECTURE.md and to this rule")];
    };
    let mut findings = Vec::new();
    if !map.contains(&format!("| `{}` |", room.name)) {
        let what = format!("the crate map has no row for `{}`", room.name);
        findings.push(Finding::new("docs/ARCHITECTURE.md", what, "say what it owns and what it must not know"));
    }
    for dependency in dependencies(&package.manifest) {
        if let Some(ours) = dependency.strip_prefix("tapeloom-")
            && !room.may.contains(&ours)
        {
            let what = format!("{} must not depend on {dependency}", package.name);
            findings.push(Finding::new(&path, what, "move what both need to core, or pass it in as a value"));
        }
        if room.never.iter().any(|family| is_of(&dependency, family)) {
            let what = format!("{} must not know {dependency}", package.name);
            findings.push(Finding::new(
                &path,
                what,
                "hide it behind a trait of core, or do it in the crate whose job it is",
            ));
        }
    }
    findings
}

fn is_of(dependency: &str, family: &str) -> bool {
    dependency == family || dependency.strip_prefix(family).is_some_and(|rest| rest.starts_with('-'))
}

/// What a library builds with. Dev-dependencies are free: tests may see the whole house.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(|t| t.values().filter_map(toml::Value::as_table)).chain([manifest]);
    let lists = tables.flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)));
    let lists = lists.flatten().filter_map(toml::Value::as_table);
    lists.flatten().map(|(name, value)| real_name(name, value)).collect()
}

/// A dependency may be renamed; the name that counts is the package's.
fn real_name(name: &str, value: &toml::Value) -> String {
    value.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    const MAP_PAGE: (&str, &str) = ("docs/ARCHITECTURE.md", "| `train` | x |\n| `core` | x |\n");

    #[test]
    fn an_arrow_of_the_map_is_allowed_and_another_is_not() {
        let good = "[dependencies]\ntapeloom-core.workspace = true\nserde.workspace = true\n";
        assert_eq!(found(check, &[MAP_PAGE, ("crates/train/Cargo.toml", good)]), [""; 0]);
        let bad = "[dependencies]\ntapeloom-seal.workspace = true\n";
        let findings = found(check, &[MAP_PAGE, ("crates/train/Cargo.toml", bad)]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("crates/train/Cargo.toml: train must not depend on tapeloom-seal"));
    }

    #[test]
    fn an_arrow_cannot_hide_behind_a_target_a_build_script_or_a_new_name() {
        let manifests = [
            "[target.'cfg(unix)'.dependencies]\ntapeloom-train.workspace = true\n",
            "[build-dependencies]\ntapeloom-train.workspace = true\n",
            "[dependencies]\nother = { package = \"tapeloom-train\", path = \"../train\" }\n",
        ];
        for manifest in manifests {
            assert_eq!(found(check, &[MAP_PAGE, ("crates/core/Cargo.toml", manifest)]).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn tests_may_see_the_whole_house() {
        let manifest = "[dev-dependencies]\ntapeloom-train.workspace = true\nburn.workspace = true\n";
        assert_eq!(found(check, &[MAP_PAGE, ("crates/core/Cargo.toml", manifest)]), [""; 0]);
    }

    #[test]
    fn a_third_party_family_that_a_crate_must_not_know_is_named() {
        let manifest = "[dependencies]\nburn-tensor = \"1\"\nburner = \"1\"\n";
        let findings = found(check, &[MAP_PAGE, ("crates/core/Cargo.toml", manifest)]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("core must not know burn-tensor"));
    }

    #[test]
    fn a_crate_outside_the_map_is_refused() {
        assert!(found(check, &[MAP_PAGE, ("crates/utils/Cargo.toml", "")])[0].contains("no place in the crate map"));
        let missing = found(check, &[("docs/ARCHITECTURE.md", ""), ("crates/core/Cargo.toml", "")]);
        assert!(missing[0].contains("no row for `core`"));
    }
}
