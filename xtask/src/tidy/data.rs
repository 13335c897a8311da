//! The vendored example data is whole, listed and unchanged.

use std::path::Path;

use super::Finding;
use crate::tree::Tree;
use crate::{Failure, shell};

const FOLDER: &str = "examples/data";
const LIST: &str = "SHA256SUMS";

/// Every file is in the list, and the list names no other.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let prefix = format!("{FOLDER}/");
    let here: Vec<&str> = tree.paths().filter_map(|path| path.strip_prefix(&prefix)).collect();
    let list = format!("{FOLDER}/{LIST}");
    let listed: Vec<&str> = tree.text(&list).unwrap_or_default().lines().filter_map(name).collect();
    let extra = here.iter().filter(|file| !matches!(**file, LIST | "README.md") && !listed.contains(*file));
    let extra =
        extra.map(|file| Finding::new(format!("{FOLDER}/{file}"), "has no sum", "add it to SHA256SUMS and NOTICE"));
    let gone = listed.iter().filter(|file| !here.contains(*file));
    let gone = gone.map(|file| Finding::new(&list, format!("{file} is not there"), "restore it, or remove its line"));
    extra.chain(gone).collect()
}

/// The file of one line: 64 hex digits, two spaces, name.
fn name(line: &str) -> Option<&str> {
    let (sum, name) = line.split_once("  ")?;
    (sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit())).then_some(name)
}

/// What `sha256sum` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sums {
    Right,
    Wrong(String),
    Unchecked(&'static str),
}

/// Compares every listed file with its sum.
pub(super) fn sums(root: &Path) -> Result<Sums, Failure> {
    if !shell::has(root, "sha256sum", &["--version"])? {
        return Ok(Sums::Unchecked("sha256sum is not installed"));
    }
    let folder = root.join(FOLDER);
    let mut command = shell::command(&folder, "sha256sum");
    let output = command.args(["--check", "--strict", "--quiet", LIST]).output();
    let output = output.map_err(|e| format!("sha256sum did not start in {}: {e}", folder.display()))?;
    if output.status.success() {
        return Ok(Sums::Right);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().replace('\n', ", ");
    Ok(Sums::Wrong(format!("{FOLDER}: {said}; restore the files, or vendor new ones with new sums")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tidy::found;

    // Of the three bytes "abc": FIPS 180-4, the first example.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_list_and_the_folder_agree() {
        let list = format!("{ABC}  a.csv.gz\n");
        let whole = [("examples/data/SHA256SUMS", list.as_str()), ("examples/data/a.csv.gz", "abc")];
        assert_eq!(found(check, &whole), [""; 0]);
        let extra = [whole[0], whole[1], ("examples/data/b.csv.gz", ""), ("examples/data/README.md", "")];
        assert_eq!(found(check, &extra), ["examples/data/b.csv.gz: has no sum; add it to SHA256SUMS and NOTICE"]);
        assert!(found(check, &whole[..1])[0].contains("a.csv.gz is not there"));
    }

    #[test]
    fn a_changed_file_is_named() -> Result<(), Box<dyn std::error::Error>> {
        let root = std::env::temp_dir().join(format!("xtask-data-{}", std::process::id()));
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(LIST), format!("{ABC}  a.csv.gz\n"))?;
        fs::write(folder.join("a.csv.gz"), "abc")?;
        let whole = sums(&root)?;
        fs::write(folder.join("a.csv.gz"), "xyz")?;
        let changed = sums(&root)?;
        fs::remove_dir_all(&root)?;
        if cfg!(target_os = "linux") {
            assert_eq!(whole, Sums::Right);
            assert!(matches!(changed, Sums::Wrong(report) if report.contains("a.csv.gz")));
        } else {
            assert!(!matches!(whole, Sums::Wrong(_)));
        }
        Ok(())
    }
}
