//! The first command of the README, and whether it leaves what the README promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Outcome;
use crate::{Failure, shell};

/// Whether a file or folder of this name is one.
type Is = fn(&str) -> bool;

/// What a run leaves: what it is called in the README, and in the folder.
const ARTEFACTS: &[(&str, Is)] = &[
    ("the config", |name| name.contains("config")),
    ("a checkpoint set", |name| name.contains("checkpoint")),
    ("the metrics", |name| name.ends_with(".jsonl") && !name.contains("audit")),
    ("the audit log", |name| name.contains("audit")),
    ("the report", |name| name == "report.html"),
];

pub(super) fn run(root: &Path) -> Result<Outcome, Failure> {
    let runs = root.join("runs");
    let before = folders(&runs)?;
    shell::run(shell::cargo(root).args(["run", "--example", "quickstart"]))?;
    let after = folders(&runs)?;
    let new: Vec<&PathBuf> = after.difference(&before).collect();
    let [run] = new[..] else {
        return Err(format!("the quickstart made {} folders below {}, not one", new.len(), runs.display()));
    };
    let missing = missing(&contents(run)?);
    if missing.is_empty() {
        println!("{} holds all that the README promises", run.display());
        return Ok(Outcome::Passed);
    }
    Err(format!("{} lacks {}", run.display(), missing.join(", ")))
}

/// The promised things that no file with bytes in it stands for.
fn missing(files: &[(String, u64)]) -> Vec<&'static str> {
    let stands = |is: Is| files.iter().any(|(path, bytes)| *bytes > 0 && path.split('/').any(is));
    ARTEFACTS.iter().filter(|(_, is)| !stands(*is)).map(|(what, _)| *what).collect()
}

fn folders(runs: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    if !runs.exists() {
        return Ok(BTreeSet::new());
    }
    Ok(entries(runs)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// Every file of a run, by path below it, with its length.
fn contents(run: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let mut files = Vec::new();
    let mut open = vec![run.to_owned()];
    while let Some(folder) = open.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = fs::metadata(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?.len();
            let below = path.strip_prefix(run).unwrap_or(&path);
            files.push((below.to_string_lossy().replace('\\', "/"), bytes));
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e: std::io::Error| format!("{} cannot be read: {e}", folder.display());
    fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(names: &[(&str, u64)]) -> Vec<(String, u64)> {
        names.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
    }

    const WHOLE: [(&str, u64); 5] = [
        ("config.toml", 10),
        ("checkpoints/best/weights.sealed", 10),
        ("metrics.jsonl", 10),
        ("audit.log", 10),
        ("report.html", 10),
    ];

    #[test]
    fn a_whole_run_lacks_nothing() {
        assert_eq!(missing(&run_with(&WHOLE)), [""; 0]);
    }

    #[test]
    fn whatever_is_missing_or_empty_is_named() {
        for (at, (what, _)) in ARTEFACTS.iter().enumerate() {
            let mut files = WHOLE.to_vec();
            files[at].1 = 0;
            assert_eq!(missing(&run_with(&files)), [*what]);
            files.remove(at);
            assert_eq!(missing(&run_with(&files)), [*what]);
        }
    }
}
