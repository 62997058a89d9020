//! Processes that are started here, and that no way out leaves behind: each dies with us (`setpriv --pdeathsig`), and the end,
//! an error and Ctrl-C all stop what was started.

use super::error::{CompareError, at};
use crate::limits::{STOP_PATIENCE, UP_EVERY, UP_PATIENCE};
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// All children that live.
#[derive(Clone, Default)]
pub(super) struct Children(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    children: Vec<Child>,
    /// Nothing may start any more.
    closed: bool,
}

impl Children {
    /// Starts a program with its output in a log file, in a process group of its own: Ctrl-C comes to us alone, and we
    /// stop it in its own way.
    pub(super) fn start(&self, command: &Command, log: &Path) -> Result<u32, CompareError> {
        let file = at(format!("write {}", log.display()), File::create(log))?;
        let also = at("write a log twice", file.try_clone())?;
        let mut command = dying_with_us(command);
        command.stdin(Stdio::null()).stdout(file).stderr(also).process_group(0);
        let mut known = self.lock();
        if known.closed {
            return Err(CompareError::Interrupted);
        }
        let child = at(format!("start {command:?}"), command.spawn())?;
        let pid = child.id();
        known.children.push(child);
        Ok(pid)
    }

    /// It ended by itself.
    pub(super) fn has_ended(&self, pid: u32) -> bool {
        let mut known = self.lock();
        let child = known.children.iter_mut().find(|child| child.id() == pid);
        child.is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Asks it to stop, waits, and then kills its whole group.
    pub(super) fn stop(&self, pid: u32) {
        let mut known = self.lock();
        if let Some(index) = known.children.iter().position(|child| child.id() == pid) {
            let child = known.children.swap_remove(index);
            drop(known);
            stop(vec![child]);
        }
    }

    /// Stops everything; from now on nothing starts.
    pub(super) fn close(&self) {
        let mut known = self.lock();
        known.closed = true;
        // under the lock: whoever else comes to the end meanwhile must not leave before they are gone
        stop(std::mem::take(&mut known.children));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nobody panics with it")
    }
}

/// All are asked first, so that they stop side by side.
fn stop(mut children: Vec<Child>) {
    for child in &children {
        signal(child, Signal::INT, false);
    }
    let until = Instant::now() + STOP_PATIENCE;
    while Instant::now() < until && children.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
        std::thread::sleep(UP_EVERY);
    }
    for child in &mut children {
        signal(child, Signal::KILL, true);
        // an error means that it is gone
        let _ = child.wait();
    }
}

fn signal(child: &Child, signal: Signal, group: bool) {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    // an error means that it is gone
    let _ = if group {
        rustix::process::kill_process_group(pid, signal)
    } else {
        rustix::process::kill_process(pid, signal)
    };
}

/// The same command under `setpriv --pdeathsig`, where util-linux has it; it becomes the program, so the process id is the program's.
fn dying_with_us(command: &Command) -> Command {
    let Some(setpriv) = find("setpriv") else { return copy_of(command, Command::new(command.get_program())) };
    let mut wrapped = Command::new(setpriv);
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
    copy_of(command, wrapped)
}

fn copy_of(command: &Command, mut copy: Command) -> Command {
    copy.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        copy.current_dir(dir);
    }
    copy
}

/// A program on PATH.
pub(super) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Ports of 127.0.0.1 that nobody has at this moment.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N], CompareError> {
    let bound: std::io::Result<Vec<TcpListener>> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let bound = at("find free ports", bound)?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&bound) {
        *port = at("find free ports", listener.local_addr())?.port();
    }
    Ok(ports)
}

/// Waits until `is_up` says so, the process ends, or patience does.
pub(super) fn wait_until_up(
    children: &Children,
    name: &str,
    pid: u32,
    log: &Path,
    mut is_up: impl FnMut() -> bool,
) -> Result<(), CompareError> {
    let until = Instant::now() + UP_PATIENCE;
    let not_up = |cause: &str| CompareError::NotUp {
        name: name.to_owned(),
        cause: cause.to_owned(),
        log_tail: tail(log),
    };
    while !is_up() {
        if children.is_closed() {
            return Err(CompareError::Interrupted);
        }
        if children.has_ended(pid) {
            return Err(not_up("it ended"));
        }
        if Instant::now() > until {
            return Err(not_up(&format!("it did not serve within {} s", UP_PATIENCE.as_secs())));
        }
        std::thread::sleep(UP_EVERY);
    }
    Ok(())
}

/// Status line and body of a GET, when something answers in time.
pub(super) fn http_get(port: u16, path: &str) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_end_leaves_no_process_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let children = Children::default();
        let log = dir.path().join("log");
        let pid = children.start(&sleeper("trap '' INT; sleep 60 & wait; sleep 60"), &log).expect("started");
        let ended = children.start(&sleeper("echo said; exit 3"), &dir.path().join("b")).expect("started");
        let failed = wait_until_up(&children, "b", ended, &dir.path().join("b"), || false);
        let text = failed.expect_err("it ended").to_string();
        assert!(text.contains("it ended") && text.contains("said"), "{text}");
        assert!(!children.has_ended(pid));
        children.close();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        let refused = children.start(&sleeper("true"), &log);
        assert!(matches!(refused, Err(CompareError::Interrupted)));
    }

    #[test]
    fn free_ports_differ() {
        let [a, b, c] = free_ports().expect("ports");
        assert!(a != b && b != c && a != c && http_get(a, "/").is_none());
    }
}
