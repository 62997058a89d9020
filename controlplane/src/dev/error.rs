//! Why `holdfast dev` did not start or had to stop: each a sentence with the cause and the next command.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::ConfigError;

#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("{0}")]
    Option(String),
    #[error(
        "--cores {asked}: this machine gives {available} to this process; ask for at most that many, or leave --cores away"
    )]
    TooFewCores { asked: usize, available: usize },
    #[error("{path} cannot be used as a data directory: {cause}; `ls -ld {path}` shows its owner, --data-dir names another", path = path.display())]
    Unwritable { path: PathBuf, cause: io::Error },
    #[error("{path} is not empty and is not a Holdfast data directory (no holdfast.json; there is `{found}`); name an empty or new one with --data-dir", path = path.display())]
    Foreign { path: PathBuf, found: String },
    #[error("{path} was not written by a Holdfast this program understands: {cause}; use the version that made it, or another --data-dir", path = path.display())]
    Marker { path: PathBuf, cause: String },
    #[error("another `holdfast dev` runs on {path}{pid}; stop it, or use another --data-dir", path = path.display())]
    Locked { path: PathBuf, pid: String },
    #[error("{path} was created with --{name} {created}, now --{name} {asked} is asked for; start it with --{name} {created}, or use another --data-dir", path = path.display())]
    Geometry { path: PathBuf, name: &'static str, created: u8, asked: u8 },
    #[error("{path} holds objects of cluster {known}, and the database is that of cluster {found}; check --database-url, or use another --data-dir", path = path.display())]
    OtherCluster { path: PathBuf, known: String, found: String },
    #[error("the control plane does not say who it is: {0}; see logs/controlplane.log in the data directory")]
    NoCluster(String),
    #[error("drive {path} is missing; mount or move it back, or start with --degraded to serve from the other drives", path = path.display())]
    DriveMissing { path: PathBuf },
    #[error("{flag} {addr} is taken by another program; `ss -ltnp 'sport = :{port}'` names it: stop it, or choose another {flag}", port = addr.port())]
    PortTaken { flag: &'static str, addr: SocketAddr },
    #[error(
        "{flag} {addr} cannot be listened on: {cause}; `ip addr` lists this machine's addresses, and ports below 1024 need root"
    )]
    PortRefused { flag: &'static str, addr: SocketAddr, cause: io::Error },
    #[error("{flag} {addr} and {other} are the same; give each its own port")]
    PortTwice { flag: &'static str, addr: SocketAddr, other: &'static str },
    #[error(
        "PostgreSQL's programs `initdb` and `postgres` (13 or newer) are not found, neither on PATH nor under /usr/lib/postgresql; `apt-get install postgresql` brings them, --pg-bin-dir DIR names them, or --database-url names a running server"
    )]
    NoPostgres,
    #[error(
        "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`; `adduser --system postgres` makes one, or start holdfast as an ordinary user"
    )]
    NoUser,
    #[error("{what} failed: {cause}; its log ends:\n{log}\n(all of it: {path})", path = path.display())]
    Postgres { what: &'static str, cause: String, log: String, path: PathBuf },
    #[error("the private PostgreSQL in {path} was made by version {made} and {found} is installed; install postgresql-{made}, or name its programs with --pg-bin-dir", path = path.display())]
    PostgresVersion { path: PathBuf, made: String, found: u32 },
    #[error("the directory for PostgreSQL's socket, {path}, belongs to someone else; remove it: `rm -r {path}`", path = path.display())]
    SocketDirectory { path: PathBuf },
    #[error(
        "the database does not answer: {cause}; try `psql '{shown}' -c 'select 1'`, and see --database-url"
    )]
    Database { shown: String, cause: String },
    #[error("{program} is not found beside {beside}; build it (`cargo build --release`) or install it there", beside = beside.display())]
    ProgramMissing { program: &'static str, beside: PathBuf },
    #[error("{role} could not be started: {cause}")]
    Spawn { role: &'static str, cause: io::Error },
    #[error("{role} ended ({how}); its log ends:\n{log}\n(all of it: {path})", path = path.display())]
    Died { role: &'static str, how: String, log: String, path: PathBuf },
    #[error("{role} did not become ready within {seconds} s; its log ends:\n{log}\n(all of it: {path})", path = path.display())]
    NotReady { role: &'static str, seconds: u64, log: String, path: PathBuf },
    #[error("a process of an earlier run, {role} (pid {pid}), does not end; `kill -9 {pid}` and start again")]
    Orphan { role: String, pid: u32 },
    #[error("stopped by a signal before it was ready")]
    Interrupted,
    #[error("{step}: {cause}")]
    Io { step: String, cause: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Names the step that failed.
pub(super) trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, DevError>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, DevError> {
        self.map_err(|cause| DevError::Io { step: step(), cause })
    }
}
