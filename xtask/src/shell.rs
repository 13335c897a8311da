//! Running other programs from the root of the workspace.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

/// The root of the workspace: the nearest folder upwards that holds `xtask/Cargo.toml`.
pub(crate) fn root() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(|e| format!("the current folder cannot be read: {e}"))?;
    let found = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
    found.map(Path::to_owned).ok_or_else(|| format!("{} is not inside the workspace", here.display()))
}

/// The cargo that runs this program.
pub(crate) fn cargo(root: &Path) -> Command {
    command(root, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program that starts in `root`, without what `cargo run` told us about our own package: build scripts that watch
/// those variables would run again.
pub(crate) fn command(root: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    command
}

fn is_ours(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// Runs to the end; anything but exit status 0 is a failure that quotes the command.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|e| format!("{} did not start: {e}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command))) }
}

/// As [`run`], and hands each line of standard output to `line` after printing it.
pub(crate) fn run_lines(command: &mut Command, mut line: impl FnMut(&str)) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|e| format!("{} did not start: {e}", shown(command)))?;
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n') {
            let bytes = bytes.map_err(|e| format!("the output of {} cannot be read: {e}", shown(command)))?;
            let text = String::from_utf8_lossy(&bytes);
            println!("{text}");
            line(&text);
        }
    }
    let status = child.wait().map_err(|e| format!("{} was lost: {e}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command))) }
}

/// Whether `program --version` can be run here.
pub(crate) fn has(root: &Path, program: &str, arguments: &[&str]) -> Result<bool, Failure> {
    let probe = command(root, program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match probe {
        Ok(status) => Ok(status.success()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(format!("{program} is there and does not start: {e}")),
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/lib/bin/cargo");
        command.args(["doc", "--no-deps"]);
        assert_eq!(shown(&command), "cargo doc --no-deps");
    }

    #[test]
    fn a_program_that_is_not_installed_is_no_error() {
        assert_eq!(has(Path::new("."), "no-such-program-anywhere", &["--version"]), Ok(false));
    }

    #[test]
    fn only_what_cargo_said_about_this_package_is_hidden() {
        assert!(is_ours(&"CARGO_PKG_VERSION".into()));
        assert!(is_ours(&"CARGO_MANIFEST_DIR".into()));
        assert!(!is_ours(&"CARGO_TARGET_DIR".into()));
        assert!(!is_ours(&"CARGO_HOME".into()));
    }
}
