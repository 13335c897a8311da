//! The README's test command, with its results added up.

use std::fmt;
use std::ops::AddAssign;
use std::path::Path;

use super::Outcome;
use crate::{Failure, shell};

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

/// A run without a single test is a failure too: it proves nothing.
pub(super) fn test(root: &Path) -> Result<Outcome, Failure> {
    let mut tally = Tally::default();
    let ran = shell::run_lines(shell::cargo(root).args(["test", "--workspace"]), |line| {
        tally += Tally::of_line(line).unwrap_or_default();
    });
    ran.map_err(|failure| format!("{failure}; {tally}"))?;
    if tally.passed == 0 {
        return Err("cargo test ran no test".to_owned());
    }
    Ok(Outcome::Tested(tally))
}

impl Tally {
    /// Reads the closing line of one test binary.
    fn of_line(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |word: &str| {
            let part = counts.split("; ").find_map(|part| part.strip_suffix(word))?;
            part.trim().parse::<u64>().ok()
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_add_up() {
        let mut tally = Tally::default();
        let output = "running 2 tests\n\
            test a ... ok\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        output.lines().filter_map(Tally::of_line).for_each(|part| tally += part);
        assert_eq!(tally, Tally { passed: 15, failed: 2, skipped: 1 });
        assert_eq!(tally.to_string(), "15 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in ["", "test result: ok", "test a::test_result ... ok", "   Doc-tests tapeloom"] {
            assert_eq!(Tally::of_line(line), None, "{line}");
        }
    }
}
