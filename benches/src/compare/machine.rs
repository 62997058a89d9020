//! Where and from what a figure came: machine, commit, moment.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// UTC, `2026-11-22T09:30:00Z`.
    pub(super) date: String,
    /// Of the source that the working directory is in; `+` when it had changes, empty outside of a repository.
    pub(super) commit: String,
    pub(super) command: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gib: u64,
    pub(super) kernel: String,
    /// Device and type of the file system with the data.
    pub(super) file_system: String,
    /// Load of the last minute when the row began: above 0.5, the machine was doing other things.
    pub(super) load: String,
}

impl Origin {
    pub(super) fn now(work_dir: &Path) -> Self {
        Self {
            date: said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            commit: commit(),
            command: std::iter::once("compare".to_owned())
                .chain(std::env::args().skip(1))
                .collect::<Vec<_>>()
                .join(" "),
            cpu: line_of("/proc/cpuinfo", "model name").trim_start_matches([' ', ':', '\t']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: line_of("/proc/meminfo", "MemTotal:")
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .unwrap_or(0)
                >> 20,
            kernel: said("uname", &["-r"]),
            file_system: said(
                "findmnt",
                &["-n", "-o", "SOURCE,FSTYPE", "-T", &work_dir.display().to_string()],
            ),
            load: load(),
        }
    }
}

/// The load of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn commit() -> String {
    let hash = said("git", &["rev-parse", "--short", "HEAD"]);
    // results are written by these very runs
    let changed = said(
        "git",
        &["status", "--porcelain", "--untracked-files=no", "--", ":!benches/results", ":!README.md"],
    );
    if hash.is_empty() || changed.is_empty() { hash } else { format!("{hash}+") }
}

/// Standard output of a command, on one line; empty when there is none.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rest of the first line that begins so.
fn line_of(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
}
