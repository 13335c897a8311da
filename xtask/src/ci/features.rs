//! Each feature by itself: a host that wants one room does not have to take the house.

use std::path::Path;

use super::Outcome;
use crate::tree::Tree;
use crate::{Failure, shell};

/// Backends of devices that a desk or a CI machine may lack; the `gpu` job of the workflow builds them.
const DEVICE: &[&str] = &["cuda", "wgpu"];

/// Clippy, as dead code behind a feature is a warning and no error.
pub(super) fn run(root: &Path) -> Result<Outcome, Failure> {
    let mut left_out = Vec::new();
    if let Some((package, features)) = of_facade(&Tree::read(root)?) {
        let (device, portable): (Vec<&String>, Vec<&String>) =
            features.iter().partition(|feature| DEVICE.contains(&feature.as_str()));
        left_out.extend(device.into_iter().map(|feature| format!("{package}/{feature}")));
        check(root, &package, &["--no-default-features"])?;
        for feature in portable {
            check(root, &package, &["--no-default-features", "--features", feature])?;
        }
    }
    if left_out.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Skipped(format!("{}, which the gpu job builds; the rest passed", left_out.join(", "))))
}

fn check(root: &Path, package: &str, selection: &[&str]) -> Result<(), Failure> {
    let mut cargo = shell::cargo(root);
    cargo.args(["clippy", "--locked", "--package", package]).args(selection).args(["--", "-D", "warnings"]);
    shell::run(&mut cargo)
}

/// The facade's features; those of the crates below it are reached through them, and each further set of features is a
/// further build of its dependencies.
fn of_facade(tree: &Tree) -> Option<(String, Vec<String>)> {
    tree.packages().iter().find(|package| package.folder.is_empty()).and_then(|package| features(&package.manifest))
}

/// The package's name and its features; `default` too, unless it turns nothing on.
fn features(manifest: &toml::Table) -> Option<(String, Vec<String>)> {
    let name = manifest.get("package")?.get("name")?.as_str()?;
    let turns_on = |value: &toml::Value| value.as_array().is_some_and(|list| !list.is_empty());
    let features = manifest.get("features")?.as_table()?.iter();
    let features = features.filter(|(feature, value)| *feature != "default" || turns_on(value));
    Some((name.to_owned(), features.map(|(feature, _)| feature.clone()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_those_of_the_facade() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[package]\nname = \"tapeloom\"\n[features]\ndefault = [\"flex\"]\nflex = []\ncuda = []\n"),
            (
                "crates/track/Cargo.toml",
                "[package]\nname = \"tapeloom-track\"\n[features]\ndefault = []\nreport = []\n",
            ),
        ]);
        let root = ("tapeloom".to_owned(), ["cuda", "default", "flex"].map(str::to_owned).to_vec());
        assert_eq!(of_facade(&tree), Some(root));
    }
}
