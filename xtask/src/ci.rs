//! `cargo xtask ci`: what has to pass before a change lands, cheapest first.

mod features;
mod quickstart;
mod tally;
mod tools;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Failure, docs, shell, tidy};

/// One stage: what it is called, what it proves, how it runs.
struct Stage {
    name: &'static str,
    proves: &'static str,
    run: fn(&Path) -> Result<Outcome, Failure>,
}

const STAGES: &[Stage] = &[
    Stage { name: "fmt", proves: "the code is formatted", run: fmt },
    Stage { name: "tidy", proves: "the rules of the house hold", run: tidy },
    Stage { name: "typos", proves: "words are spelt right", run: tools::typos },
    Stage { name: "actionlint", proves: "the workflows are valid", run: tools::actionlint },
    Stage { name: "kernels", proves: "the CUDA kernels compile for the card", run: tools::kernels },
    Stage { name: "deny", proves: "licences, sources and advisories of dependencies are in order", run: tools::deny },
    Stage { name: "clippy", proves: "no warning in any target", run: clippy },
    Stage { name: "test", proves: "tests and documentation examples pass", run: tally::test },
    Stage {
        name: "storages",
        proves: "studies live through kills and crowds in SQLite and PostgreSQL",
        run: tools::storages,
    },
    Stage { name: "age", proves: "the program age reads a payload that we sealed", run: tools::age },
    Stage { name: "ring", proves: "the faster ciphers give the same bytes", run: tools::ring },
    Stage { name: "launch", proves: "a launcher starts, restarts and ends its ranks", run: tools::launch },
    Stage { name: "mpi", proves: "ranks of an MPI job keep the contract", run: tools::mpi },
    Stage { name: "doc", proves: "the API reference builds without a warning", run: doc },
    Stage {
        name: "quickstart",
        proves: "the first command of the README leaves what it promises",
        run: quickstart::run,
    },
    Stage { name: "features", proves: "each feature builds by itself", run: features::run },
];

/// How a stage ended, when it did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// Tests that ran.
    Tested(tally::Tally),
    /// Nothing, or not all, was checked; says why.
    Skipped(String),
}

/// One row of the table at the end.
struct Row {
    name: &'static str,
    result: Result<Outcome, Failure>,
    took: Duration,
}

/// Takes `--list`, `--keep-going` and names of stages.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if arguments == ["--list"] {
        STAGES.iter().for_each(|stage| println!("{:<11} {}", stage.name, stage.proves));
        return Ok(());
    }
    let (keep_going, stages) = chosen(arguments)?;
    let root = shell::root()?;
    let mut rows = Vec::new();
    for stage in &stages {
        println!("\n== {}: {}", stage.name, stage.proves);
        let start = Instant::now();
        let result = (stage.run)(&root);
        let row = Row { name: stage.name, result, took: start.elapsed() };
        println!("== {}: {} in {:.1} s", row.name, described(&row.result), row.took.as_secs_f64());
        let stop = row.result.is_err() && !keep_going;
        rows.push(row);
        if stop {
            break;
        }
    }
    let left: Vec<&str> = stages[rows.len()..].iter().map(|stage| stage.name).collect();
    println!("\n{}", table(&rows, &left));
    let failed: Vec<&str> = rows.iter().filter(|row| row.result.is_err()).map(|row| row.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("ci: failed in {}", failed.join(", "))) }
}

/// The stages that the arguments name, in the order of [`STAGES`]; all without a name.
fn chosen(arguments: &[String]) -> Result<(bool, Vec<&'static Stage>), Failure> {
    let (flags, names): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.starts_with("--"));
    if let Some(flag) = flags.iter().find(|flag| *flag != &"--keep-going") {
        return Err(format!("ci has no option {flag:?}; it has --list and --keep-going"));
    }
    if let Some(name) = names.iter().find(|name| !STAGES.iter().any(|stage| stage.name == name.as_str())) {
        let all: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        return Err(format!("no stage is named {name:?}; the stages are {}", all.join(", ")));
    }
    let named = |stage: &&Stage| names.is_empty() || names.iter().any(|name| name.as_str() == stage.name);
    Ok((!flags.is_empty(), STAGES.iter().filter(named).collect()))
}

fn described(result: &Result<Outcome, Failure>) -> String {
    match result {
        Ok(Outcome::Passed) => "passed".to_owned(),
        Ok(Outcome::Tested(tally)) => format!("passed ({tally})"),
        Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
        Err(failure) => format!("FAILED: {failure}"),
    }
}

/// One line per stage, and the tests in one plain line at the very end.
fn table(rows: &[Row], left: &[&str]) -> String {
    let mut text = format!("{:<11} {:>8}  result\n", "stage", "seconds");
    for row in rows {
        let first_line = described(&row.result).lines().next().unwrap_or_default().to_owned();
        text += &format!("{:<11} {:>8.1}  {first_line}\n", row.name, row.took.as_secs_f64());
    }
    left.iter().for_each(|name| text += &format!("{name:<11} {:>8}  not run\n", "-"));
    for row in rows {
        if let Ok(Outcome::Tested(tally)) = &row.result {
            text += &format!("\ntests: {tally}\n");
        }
    }
    text
}

fn fmt(root: &Path) -> Result<Outcome, Failure> {
    shell::run(shell::cargo(root).args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn tidy(root: &Path) -> Result<Outcome, Failure> {
    tidy::check(root)?;
    Ok(Outcome::Passed)
}

/// `--locked` here keeps Cargo.lock honest for the stages after it.
fn clippy(root: &Path) -> Result<Outcome, Failure> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    shell::run(shell::cargo(root).args(arguments))?;
    Ok(Outcome::Passed)
}

fn doc(root: &Path) -> Result<Outcome, Failure> {
    docs::build(root, &[])?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn named_stages_run_in_the_order_of_the_list() {
        let (keep_going, stages) = chosen(&words("tidy --keep-going fmt")).expect("both are stages");
        assert!(keep_going);
        assert_eq!(stages.iter().map(|stage| stage.name).collect::<Vec<_>>(), ["fmt", "tidy"]);
        assert_eq!(chosen(&[]).expect("no argument is all stages").1.len(), STAGES.len());
    }

    #[test]
    fn an_unknown_stage_or_option_is_refused() {
        assert!(chosen(&words("fmt tidi")).is_err_and(|failure| failure.contains("\"tidi\"")));
        assert!(chosen(&words("--fast")).is_err_and(|failure| failure.contains("\"--fast\"")));
    }

    #[test]
    fn the_table_ends_with_the_tests_and_hides_nothing() {
        let took = Duration::from_millis(1500);
        let tally = tally::Tally { passed: 7, failed: 0, skipped: 1 };
        let rows = [
            Row { name: "fmt", result: Ok(Outcome::Passed), took },
            Row { name: "deny", result: Ok(Outcome::Skipped("cargo-deny is not installed".into())), took },
            Row { name: "test", result: Ok(Outcome::Tested(tally)), took },
            Row { name: "doc", result: Err("cargo doc ended with 101\nmore".into()), took },
        ];
        let text = table(&rows, &["features"]);
        assert!(text.contains("deny             1.5  skipped: cargo-deny is not installed\n"));
        assert!(text.contains("doc              1.5  FAILED: cargo doc ended with 101\n"));
        assert!(text.contains("features           -  not run\n"));
        assert!(text.ends_with("\ntests: 7 passed, 0 failed, 1 skipped\n"));
    }
}
