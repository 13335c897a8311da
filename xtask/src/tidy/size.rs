//! Files stay small enough to hold in the head.

use super::Finding;
use crate::tree::Tree;

const STOP: usize = 700;
const RETHINK: usize = 400;
const LIB_CODE: usize = 120;
const EXAMPLE: usize = 80;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts(".rs").filter_map(|(path, text)| of_file(path, text)).collect()
}

fn of_file(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    let code = code_lines(text);
    if lines > STOP {
        return Some(Finding::new(
            path,
            format!("{lines} lines, the limit is {STOP}"),
            "give each idea a file of its own",
        ));
    }
    if path.ends_with("src/lib.rs") && code > LIB_CODE {
        let what = format!("{code} lines of code, the limit is {LIB_CODE} in a lib.rs");
        return Some(Finding::new(path, what, "move code to modules; lib.rs lists and re-exports them"));
    }
    if is_short_example(path) && lines > EXAMPLE {
        let what = format!("{lines} lines, the limit is {EXAMPLE} in an example");
        return Some(Finding::new(path, what, "show one thing, or move what it needs into a crate"));
    }
    if lines > RETHINK {
        return Some(Finding::advice(path, format!("{lines} lines, over {RETHINK}"), "see whether it holds two ideas"));
    }
    None
}

/// Each example shows one depth of the API; the quickstart alone walks the whole way.
fn is_short_example(path: &str) -> bool {
    let file = path.strip_prefix("examples/");
    file.is_some_and(|file| !file.contains('/') && !file.starts_with("quickstart"))
}

fn code_lines(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::found;

    #[test]
    fn the_hard_stop_is_an_error_and_the_soft_one_is_advice() {
        assert_eq!(found(check, &[("src/a.rs", &"x\n".repeat(400))]), [""; 0]);
        let soft = check(&Tree::of(&[("src/a.rs", &"x\n".repeat(401))]));
        assert!(soft[0].advice);
        assert!(!check(&Tree::of(&[("src/a.rs", &"x\n".repeat(700))])).iter().any(|finding| !finding.advice));
        let hard = check(&Tree::of(&[("src/a.rs", &"x\n".repeat(701))]));
        assert!(!hard[0].advice);
        assert_eq!(hard[0].what, "701 lines, the limit is 700");
    }

    #[test]
    fn lib_rs_counts_code_and_not_documentation() {
        let documented = "//! words\n".repeat(130) + &"mod a;\n".repeat(120);
        assert_eq!(found(check, &[("crates/a/src/lib.rs", &documented)]), [""; 0]);
        let heavy = "mod a;\n".repeat(121);
        assert_eq!(found(check, &[("crates/a/src/lib.rs", &heavy)]).len(), 1);
        assert_eq!(found(check, &[("crates/a/src/list.rs", &heavy)]), [""; 0]);
    }

    #[test]
    fn examples_are_short_but_for_the_quickstart() {
        let long = "x\n".repeat(81);
        assert_eq!(found(check, &[("examples/own_loop.rs", &long)]).len(), 1);
        assert_eq!(found(check, &[("examples/quickstart.rs", &long)]), [""; 0]);
        assert_eq!(found(check, &[("examples/quickstart/report.rs", &long)]), [""; 0]);
        assert_eq!(found(check, &[("benches/whole_path.rs", &long)]), [""; 0]);
    }
}
