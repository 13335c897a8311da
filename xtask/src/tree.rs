//! The source tree, held in memory so that a rule is a function and its test needs no disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Failure;

/// Files by path from the root, with `/`.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, Vec<u8>>);

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    /// The folder below `crates`, or `tapeloom` for the root package.
    pub(crate) name: &'a str,
    /// Its folder with a `/` at the end; empty for the root package.
    pub(crate) folder: String,
    pub(crate) manifest: toml::Table,
}

impl Tree {
    /// Reads `root`, less what builds, runs and version control leave there.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
    }

    /// Every path, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The file at `path`; none as well when it is not UTF-8.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.0.get(path)?).ok()
    }

    /// Every text file whose name ends in `ending`.
    pub(crate) fn texts<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.paths().filter(move |path| path.ends_with(ending)).filter_map(|path| Some((path, self.text(path)?)))
    }

    /// Whether `path` is a file or a folder here.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.0.contains_key(path) || self.paths().any(|file| file.starts_with(&folder))
    }

    /// The root package and every library crate, with parsed manifests. A manifest that does not parse is left out:
    /// cargo reports it better.
    pub(crate) fn packages(&self) -> Vec<Package<'_>> {
        let mut packages = Vec::new();
        for (path, text) in self.texts("Cargo.toml") {
            let name = match path.split('/').collect::<Vec<_>>()[..] {
                ["Cargo.toml"] => "tapeloom",
                ["crates", name, "Cargo.toml"] => name,
                _ => continue,
            };
            if let Ok(manifest) = text.parse::<toml::Table>() {
                packages.push(Package { name, folder: path.trim_end_matches("Cargo.toml").to_owned(), manifest });
            }
        }
        packages
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), Failure> {
        let failed = |e: std::io::Error| format!("{} cannot be read: {e}", folder.display());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && !is_output(&path, &entry.path()) {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).map_err(|e| format!("{path} cannot be read: {e}"))?;
                self.0.insert(path, bytes);
            }
        }
        Ok(())
    }
}

/// Cargo marks its target folders, wherever they are, with a cache tag.
fn is_output(path: &str, folder: &Path) -> bool {
    matches!(path, ".git" | "target" | "runs") || folder.join("CACHEDIR.TAG").exists()
}
