//! `cargo xtask sbom`: a bill of materials in CycloneDX 1.6, from `Cargo.lock` alone. The same lock file gives the same bytes: there
//! is no time and no random number in it.

use std::fmt::Write as _;

use crate::{Failure, shell};

/// Takes the name of the file to write.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let root = shell::root()?;
    let target = match arguments {
        [] => root.join("target/sbom.cdx.json"),
        [name] => root.join(name),
        _ => return Err("sbom takes one file name at most".to_owned()),
    };
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).map_err(|e| format!("Cargo.lock: {e}"))?;
    let text = bill(&lock)?;
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    std::fs::write(&target, text).map_err(|e| format!("{}: {e}", target.display()))?;
    println!("{}", target.display());
    Ok(())
}

/// One package of the lock file.
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
    is_ours: bool,
    dependencies: Vec<String>,
}

impl Package {
    fn read(table: &toml::Table) -> Result<Self, Failure> {
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        let needed = |name: &str| text(name).ok_or_else(|| format!("Cargo.lock: a package has no {name}"));
        let list = table.get("dependencies").and_then(toml::Value::as_array);
        let dependencies = list.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect();
        let is_ours = !table.contains_key("source");
        Ok(Self {
            name: needed("name")?,
            version: needed("version")?,
            checksum: text("checksum"),
            is_ours,
            dependencies,
        })
    }

    /// A package URL (purl), which is also how the bill refers to it.
    fn url(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    /// Whether a line of `dependencies` names it: `name`, or `name version` where there are several.
    fn is_named(&self, dependency: &str) -> bool {
        let mut words = dependency.split(' ');
        words.next() == Some(&self.name) && words.next().is_none_or(|version| version == self.version)
    }
}

fn bill(lock: &str) -> Result<String, Failure> {
    let lock: toml::Table = lock.parse().map_err(|e| format!("Cargo.lock: {e}"))?;
    let tables = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let packages = tables.filter_map(toml::Value::as_table).map(Package::read).collect::<Result<Vec<_>, _>>()?;
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for package in &packages {
        let kind = if package.is_ours { "application" } else { "library" };
        let mut component = format!(
            "    {{\"type\": \"{kind}\", \"bom-ref\": {0}, \"name\": {1}, \"version\": {2}, \"purl\": {0}",
            quoted(&package.url()),
            quoted(&package.name),
            quoted(&package.version)
        );
        if let Some(checksum) = &package.checksum {
            let hash = format!(", \"hashes\": [{{\"alg\": \"SHA-256\", \"content\": {}}}]", quoted(checksum));
            component += &hash;
        }
        components.push(component + "}");
        let named = |dependency: &String| packages.iter().find(|other| other.is_named(dependency)).map(Package::url);
        let on: Vec<String> = package.dependencies.iter().filter_map(named).map(|url| quoted(&url)).collect();
        dependencies.push(format!("    {{\"ref\": {}, \"dependsOn\": [{}]}}", quoted(&package.url()), on.join(", ")));
    }
    let mut text = String::from("{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.6\",\n  \"version\": 1,\n");
    let parts = (components.join(",\n"), dependencies.join(",\n"));
    write!(text, "  \"components\": [\n{}\n  ],\n  \"dependencies\": [\n{}\n  ]\n}}\n", parts.0, parts.1)
        .map_err(|e| e.to_string())?;
    Ok(text)
}

/// A JSON string. Names and versions of packages hold nothing that needs more.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "ours"
        version = "0.1.0"
        dependencies = ["a", "b 2.0.0"]
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "registry"
        checksum = "00ff"
        [[package]]
        name = "b"
        version = "1.0.0"
        source = "registry"
        [[package]]
        name = "b"
        version = "2.0.0"
        source = "registry"
    "#;

    #[test]
    fn a_bill_names_every_package_and_what_it_needs() {
        let text = bill(LOCK).expect("a bill");
        assert!(text.contains(r#""bomFormat": "CycloneDX""#) && text.matches("\"purl\"").count() == 4);
        assert!(
            text.contains(
                r#"{"ref": "pkg:cargo/ours@0.1.0", "dependsOn": ["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0"]}"#
            )
        );
        assert!(text.contains(r#""hashes": [{"alg": "SHA-256", "content": "00ff"}]"#));
        assert!(text.contains(r#"{"type": "application", "bom-ref": "pkg:cargo/ours@0.1.0""#));
        assert_eq!(bill(LOCK), Ok(text), "the same lock file gives the same bytes");
    }

    #[test]
    fn a_lock_file_that_is_none_is_refused() {
        assert!(bill("[[package]]\nversion = \"1\"").is_err_and(|failure| failure.contains("no name")));
        assert!(bill("=").is_err());
    }
}
