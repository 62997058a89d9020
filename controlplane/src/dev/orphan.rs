//! Processes that an earlier run left behind: known by record and by what they have open, never by id alone.
//!
//! Ids are reused, so a recorded one counts only with the same boot and the same start time. A kill may also strike
//! between starting a child and recording it; so the process table is searched as well, for our programs that were
//! given this directory's configuration and for PostgreSQLs that stand in this directory's cluster.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

use super::{DataDir, DevError};
use crate::config::{ConfigError, write_owner_only};
use crate::limits::{DEV_ORPHAN_PATIENCE_MS, DEV_POLL_MS};

/// A process, so that it cannot be mistaken for a later one of the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    role: String,
    pid: u32,
    /// Ticks since boot, field 22 of `/proc/PID/stat`.
    started: u64,
    boot: String,
}

impl Record {
    /// Of a process that lives now.
    pub(super) fn of(role: &str, pid: u32) -> Option<Self> {
        Some(Self { role: role.to_owned(), pid, started: started(pid)?, boot: boot_id() })
    }

    fn lives(&self) -> bool {
        self.boot == boot_id() && started(self.pid) == Some(self.started)
    }

    /// Signals it, or does nothing when it has ended: the descriptor is taken before the identity is checked.
    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid.cast_signed()) else { return };
        let Ok(descriptor) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
        if self.lives() {
            let _ = rustix::process::pidfd_send_signal(&descriptor, signal);
        }
    }
}

/// Writes `run/pids.json`.
pub(super) fn record(directory: &DataDir, records: &[Record]) -> Result<(), ConfigError> {
    let text = serde_json::to_vec_pretty(records).expect("records are plain JSON");
    write_owner_only(&directory.path("run/pids.json"), &text)
}

/// Ends whatever an earlier run left, data plane first, PostgreSQL last. Returns what it found.
///
/// # Errors
/// When one does not end even by SIGKILL (it hangs in the kernel).
pub(super) async fn end_all(directory: &DataDir) -> Result<usize, DevError> {
    let mut found = 0;
    for (role, first) in
        [("dataplane", Signal::TERM), ("controlplane", Signal::TERM), ("postgres", Signal::INT)]
    {
        let orphans = search(directory, role);
        found += orphans.len();
        for orphan in &orphans {
            tracing::warn!(role, pid = orphan.pid, "ending a process of an earlier run");
        }
        end(orphans, first).await?;
    }
    Ok(found)
}

async fn end(orphans: Vec<Record>, first: Signal) -> Result<(), DevError> {
    for signal in [first, Signal::KILL] {
        for orphan in &orphans {
            orphan.signal(signal);
        }
        for _ in 0..DEV_ORPHAN_PATIENCE_MS / DEV_POLL_MS {
            if !orphans.iter().any(Record::lives) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(DEV_POLL_MS)).await;
        }
    }
    match orphans.into_iter().find(Record::lives) {
        Some(orphan) => Err(DevError::Orphan { role: orphan.role, pid: orphan.pid }),
        None => Ok(()),
    }
}

/// Living processes of a role: those recorded, and those found in the process table.
fn search(directory: &DataDir, role: &str) -> Vec<Record> {
    let text = std::fs::read(directory.path("run/pids.json")).unwrap_or_default();
    let recorded: Vec<Record> = serde_json::from_slice(&text).unwrap_or_default();
    let mut found: Vec<Record> =
        recorded.into_iter().filter(|record| record.role == role && record.lives()).collect();
    let config = directory.path(&format!("run/{role}.toml"));
    let clusters = [directory.path("postgres"), directory.path("postgres.new")];
    for pid in processes() {
        let ours = if role == "postgres" { stands_in(pid, &clusters) } else { was_given(pid, &config) };
        if ours && found.iter().all(|record| record.pid != pid) {
            found.extend(Record::of(role, pid));
        }
    }
    found
}

fn processes() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != own)
}

/// A PostgreSQL process keeps its cluster as working directory, for as long as it lives.
fn stands_in(pid: u32, clusters: &[std::path::PathBuf]) -> bool {
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let Ok(stands) = std::fs::metadata(format!("/proc/{pid}/cwd")) else { return false };
    comm.trim() == "postgres"
        && clusters.iter().any(|path| {
            std::fs::metadata(path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (stands.dev(), stands.ino()))
        })
}

/// One of our servers, started with this configuration.
fn was_given(pid: u32, config: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = cmdline.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.starts_with(b"holdfast-") && arguments.any(|argument| argument == config.as_os_str().as_bytes())
}

/// Start time of a living process; a zombie has ended.
fn started(pid: u32) -> Option<u64> {
    start_of_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may hold anything, so counting starts behind the last one.
fn start_of_stat(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Record, Signal, start_of_stat, started};

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let line =
            "12 (evil) R 9 (x) S 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1 18446744073709551615";
        assert_eq!(start_of_stat(line), Some(4711));
        assert_eq!(start_of_stat(&line.replace(") S", ") Z")), None);
        assert_eq!(start_of_stat("12 (cat"), None);
    }

    #[test]
    fn another_start_time_or_boot_is_another_process() {
        let own = Record::of("test", std::process::id()).expect("we live");
        assert!(own.lives());
        assert!(!Record { started: own.started + 1, ..own.clone() }.lives());
        assert!(!Record { boot: "another".to_owned(), ..own }.lives());
    }

    #[test]
    fn a_record_that_is_another_process_is_never_signalled() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let record = Record::of("test", child.id()).expect("it lives");
        Record { started: record.started + 1, ..record.clone() }.signal(Signal::KILL);
        assert!(record.lives());
        record.signal(Signal::KILL);
        child.wait().expect("waited");
        assert_eq!(started(child.id()), None);
    }
}
