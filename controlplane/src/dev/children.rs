//! A child process: started through the launcher, its output in a log file, stopped in steps.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::error::Step;
use super::launch::DIRECTORY_MARK;
use super::user::User;
use super::{DevError, orphan};
use crate::limits::{DEV_LOG_BYTES_MAX, DEV_LOG_TAIL_BYTES, DEV_LOG_TAIL_LINES};

/// How a child is to be started.
pub(super) struct Spawn<'a> {
    pub(super) role: &'static str,
    pub(super) program: &'a Path,
    pub(super) log: PathBuf,
    /// Sent by the kernel when we die.
    pub(super) death_signal: Signal,
    pub(super) user: Option<&'a User>,
    /// Handed over opened; named `@directory@` among the arguments.
    pub(super) directory: Option<&'a Path>,
    /// Instead of our environment, with a PATH and the C locale; `None`: it inherits ours.
    pub(super) own_env: Option<&'a [(&'a str, &'a str)]>,
}

/// A running child.
pub(super) struct Process {
    pub(super) role: &'static str,
    pub(super) log: PathBuf,
    pub(super) pid: u32,
    child: Child,
}

impl Spawn<'_> {
    /// Starts it. Must be called on the main thread: the kernel ties a child to the thread that made it.
    pub(super) fn start<S: AsRef<OsStr>>(
        self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Process, DevError> {
        let log = open_log(&self.log)?;
        let copy = log.try_clone().step(|| format!("cannot open {}", self.log.display()))?;
        // By this link, not by name: the program may have been replaced since we started.
        let mut command = Command::new("/proc/self/exe");
        if let Some(own) = self.own_env {
            command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C");
            command.envs(own.iter().copied());
        }
        // Colours are for terminals, and the log is none.
        command
            .env("NO_COLOR", "1")
            .env_remove("HOLDFAST_ROOT_SECRET_KEY")
            .env_remove("HOLDFAST_DATABASE_URL");
        command.arg("launch").args(["--parent", &std::process::id().to_string()]);
        command.args(["--death-signal", &self.death_signal.as_raw().to_string()]);
        if let Some(user) = self.user {
            command.args(["--uid", &user.uid.to_string(), "--gid", &user.gid.to_string()]);
        }
        if let Some(directory) = self.directory {
            command.arg("--directory").arg(directory);
        }
        command.arg("--").arg(self.program).args(args);
        // A process group of its own: Ctrl-C in a terminal reaches us alone, and we stop them in order.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(copy);
        let child = command.spawn().map_err(|cause| DevError::Spawn { role: self.role, cause })?;
        let pid = child.id().expect("a child that was not waited for has an id");
        Ok(Process { role: self.role, log: self.log, pid, child })
    }
}

impl Process {
    /// Resolves when it ended.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap_or_default()
    }

    /// How it ended, when it has.
    pub(super) fn poll_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(super) fn signal(&self, signal: Signal) {
        // Not yet waited for, so the id is still this child's.
        if self.child.id().is_some()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            // It may have ended this moment, which is what is wanted.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Sends the signals one after the other, each with its time, until it ended; SIGKILL at last.
    pub(super) async fn stop(&mut self, steps: &[(Signal, Duration)]) {
        for (signal, patience) in steps {
            self.signal(*signal);
            if tokio::time::timeout(*patience, self.ended()).await.is_ok() {
                return;
            }
            tracing::warn!(role = self.role, pid = self.pid, signal = signal.as_raw(), "did not end in time");
        }
        self.signal(Signal::KILL);
        self.ended().await;
    }

    pub(super) fn died(&self, status: ExitStatus) -> DevError {
        DevError::Died {
            role: self.role,
            how: status.to_string(),
            log: tail(&self.log),
            path: self.log.clone(),
        }
    }

    pub(super) fn record(&self) -> Option<orphan::Record> {
        orphan::Record::of(self.role, self.pid)
    }
}

/// The placeholder for [`Spawn::directory`].
pub(super) fn directory_argument() -> &'static str {
    DIRECTORY_MARK
}

/// Opens a log for appending; one that has grown large becomes `.1` first.
fn open_log(path: &Path) -> Result<File, DevError> {
    if std::fs::metadata(path).is_ok_and(|found| found.len() > DEV_LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))
            .step(|| format!("cannot rename {}", path.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .step(|| format!("cannot open {}", path.display()))
}

/// The last lines of a log.
pub(super) fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(DEV_LOG_TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(DEV_LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(DEV_LOG_TAIL_LINES);
    let shown: Vec<String> = lines[from..].iter().map(|line| format!("  {line}")).collect();
    if shown.is_empty() { "  (it is empty)".to_owned() } else { shown.join("\n") }
}
