//! The private PostgreSQL: the system's own programs on a cluster in the data directory, reached by a Unix socket.
//!
//! The cluster is `DIR/postgres`, handed to the programs as an opened directory (`launch.rs`), so that it may lie
//! where their user cannot go. A socket's path may have 107 bytes at most, so the socket has a short directory of its
//! own, 0700, outside DIR. Nobody reaches it but that user and root, and peer authentication asks the kernel once more.
//! `fsync` is on, always.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::children::{Process, Spawn, directory_argument, tail};
use super::error::Step;
use super::user::{self, User};
use super::{DataDir, DevError, DevOptions};
use crate::config::hash_token;
use crate::limits::{DEV_POLL_MS, DEV_POSTGRES_READY_S, DEV_POSTGRES_STOP_S, POSTGRES_VERSION_MIN};

/// Name of the database and of its owner.
const NAME: &str = "holdfast";

/// What PostgreSQL is told on its command line, so that a cluster's own files need not be edited.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "shared_buffers=128MB",
    "max_wal_size=1GB",
    "wal_compression=on",
    "max_connections=64",
    "jit=off",
    "update_process_title=off",
    "logging_collector=off",
    "log_destination=stderr",
    "timezone=UTC",
    "log_timezone=UTC",
];

/// A backend frees what a statement took at its end. Left alone glibc gives that back to the kernel and faults it in again for
/// the next: a seventh of what PostgreSQL spends on a small commit (perf: brk and page faults).
const ALLOCATOR: &[(&str, &str)] = &[("MALLOC_TOP_PAD_", "262144"), ("MALLOC_TRIM_THRESHOLD_", "4194304")];

/// Where its programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    directory: PathBuf,
    version: u32,
}

/// A running private PostgreSQL.
pub(super) struct Postgres {
    pub(super) process: Process,
    pub(super) socket_directory: PathBuf,
}

impl Postgres {
    /// Makes the cluster at the first start and starts the server; [`Postgres::wait_ready`] comes next.
    ///
    /// No process of an earlier run may live (`orphan.rs` saw to it): only then may stale lock files be removed.
    pub(super) async fn start(directory: &DataDir, options: &DevOptions) -> Result<Self, DevError> {
        let cluster = directory.path("postgres");
        let made = std::fs::read_to_string(cluster.join("PG_VERSION")).ok();
        let programs = find(options.pg_bin_dir.as_deref(), made.as_deref().map(str::trim))?;
        let user = user::for_postgres(&cluster)?;
        if made.is_none() {
            make_cluster(directory, &programs, user.as_ref()).await?;
        }
        check_version(&cluster, &programs)?;
        authenticate_peers(&cluster, user.as_ref())?;
        let socket_directory = socket_directory(directory.root(), user.as_ref())?;
        remove_stale(&cluster, &socket_directory)?;
        let process = serve(directory, &programs, user.as_ref(), &socket_directory)?;
        Ok(Self { process, socket_directory })
    }

    /// Address for the control plane.
    pub(super) fn url(&self) -> String {
        connection(&self.socket_directory, NAME)
    }

    /// Waits until it answers and the database is there.
    pub(super) async fn wait_ready(&mut self) -> Result<(), DevError> {
        let until = Instant::now() + Duration::from_secs(DEV_POSTGRES_READY_S);
        loop {
            if let Some(status) = self.process.poll_ended() {
                return Err(self.process.died(status));
            }
            match make_database(&self.socket_directory).await {
                Ok(()) => return Ok(()),
                // Recovery after a crash may take a while; the log tells how far it is.
                Err(_) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(DEV_POLL_MS)).await
                }
                Err(cause) => {
                    return Err(DevError::Postgres {
                        what: "waiting for PostgreSQL",
                        cause: cause.to_string(),
                        log: tail(&self.process.log),
                        path: self.process.log.clone(),
                    });
                }
            }
        }
    }

    /// Fast shutdown; an immediate one, which costs a recovery and no data, when it takes too long.
    pub(super) async fn stop(&mut self, fast: bool) {
        let steps = [
            (Signal::INT, Duration::from_secs(DEV_POSTGRES_STOP_S)),
            (Signal::QUIT, Duration::from_secs(10)),
        ];
        self.process.stop(&steps[usize::from(!fast)..]).await;
        // Empty by now; if not, the next start clears it.
        let _ = std::fs::remove_dir(&self.socket_directory);
    }
}

fn serve(
    directory: &DataDir,
    programs: &Programs,
    user: Option<&User>,
    sockets: &Path,
) -> Result<Process, DevError> {
    let cluster = directory.path("postgres");
    let spawn = Spawn {
        role: "postgres",
        program: &programs.directory.join("postgres"),
        log: directory.log("postgres"),
        death_signal: Signal::INT,
        user,
        directory: Some(&cluster),
        own_env: Some(ALLOCATOR),
    };
    let mut args = vec!["-D".to_owned(), directory_argument().to_owned()];
    let quoted = format!("unix_socket_directories=\"{}\"", sockets.display());
    for setting in SETTINGS.iter().copied().chain([quoted.as_str()]) {
        args.extend(["-c".to_owned(), setting.to_owned()]);
    }
    spawn.start(args)
}

fn connection(sockets: &Path, database: &str) -> String {
    format!("host='{}' user={NAME} dbname={database}", sockets.display())
}

/// Makes the database when it is not there; fails while the server does not answer.
async fn make_database(sockets: &Path) -> Result<(), tokio_postgres::Error> {
    let (client, connection) =
        tokio_postgres::connect(&connection(sockets, "postgres"), tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    let found = client.query_opt("select 1 from pg_database where datname = $1", &[&NAME]).await?;
    if found.is_none() {
        client.batch_execute(&format!("create database {NAME}")).await?;
    }
    drop(client);
    let _ = driver.await;
    Ok(())
}

/// Made beside its place and renamed into it, so that a kill on the way leaves nothing that looks like a cluster.
async fn make_cluster(directory: &DataDir, programs: &Programs, user: Option<&User>) -> Result<(), DevError> {
    let new = directory.path("postgres.new");
    if new.exists() {
        std::fs::remove_dir_all(&new).step(|| format!("cannot remove {}", new.display()))?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&new).step(|| format!("cannot make {}", new.display()))?;
    if let Some(user) = user {
        std::os::unix::fs::chown(&new, Some(user.uid), Some(user.gid))
            .step(|| format!("cannot give {} away", new.display()))?;
    }
    let spawn = Spawn {
        role: "initdb",
        program: &programs.directory.join("initdb"),
        log: directory.log("initdb"),
        death_signal: Signal::TERM,
        user,
        directory: Some(&new),
        own_env: Some(&[]),
    };
    let args = ["-D", directory_argument(), "-U", NAME, "-E", "UTF8", "--locale=C", "--data-checksums"];
    let mut process = spawn.start(args.into_iter().chain(["--auth-local=peer", "--auth-host=reject"]))?;
    let status = process.ended().await;
    if !status.success() {
        let (log, path) = (tail(&process.log), process.log.clone());
        return Err(DevError::Postgres { what: "initdb", cause: status.to_string(), log, path });
    }
    let place = directory.path("postgres");
    std::fs::rename(&new, &place).step(|| format!("cannot make {}", place.display()))?;
    std::fs::File::open(directory.root())
        .and_then(|root| root.sync_all())
        .step(|| "cannot sync the data directory".to_owned())
}

/// Whom the kernel may name as peer: the server's own user, us, and root. Written at each start, as a data directory
/// may have been moved to another machine.
fn authenticate_peers(cluster: &Path, user: Option<&User>) -> Result<(), DevError> {
    let own = user::name_of(rustix::process::geteuid().as_raw());
    let names = [user.map(|user| user.name.clone()), own, Some("root".to_owned())];
    let mut map = String::from("# Written by `holdfast dev` at each start.\n");
    let mut seen = Vec::new();
    for name in names.into_iter().flatten().filter(|name| !name.contains('"')) {
        if !seen.contains(&name) {
            map.push_str(&format!("{NAME} \"{name}\" {NAME}\n"));
            seen.push(name);
        }
    }
    write_for(&cluster.join("pg_ident.conf"), &map, user)?;
    write_for(
        &cluster.join("pg_hba.conf"),
        &format!("# Written by `holdfast dev` at each start.\nlocal all all peer map={NAME}\n"),
        user,
    )
}

/// Replaces a file in a directory that another user owns: made anew under a name of its own, never through a link.
fn write_for(path: &Path, text: &str, user: Option<&User>) -> Result<(), DevError> {
    let new = path.with_extension("conf.new");
    let write = || -> std::io::Result<()> {
        if let Err(cause) = std::fs::remove_file(&new)
            && cause.kind() != std::io::ErrorKind::NotFound
        {
            return Err(cause);
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        if let Some(user) = user {
            std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))?;
        }
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().step(|| format!("cannot write {}", path.display()))
}

/// With no process left that could hold them, lock files are stale; an id in them may meanwhile be another program's.
fn remove_stale(cluster: &Path, sockets: &Path) -> Result<(), DevError> {
    let stale =
        [cluster.join("postmaster.pid"), sockets.join(".s.PGSQL.5432"), sockets.join(".s.PGSQL.5432.lock")];
    for path in stale {
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(cause).step(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A short directory for the socket, named after the data directory, owned by the server's user, closed to others.
fn socket_directory(root: &Path, user: Option<&User>) -> Result<PathBuf, DevError> {
    use std::os::unix::ffi::OsStrExt;
    let tag = hex::encode(&hash_token(root.as_os_str().as_bytes())[..6]);
    let own = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let parent = if own == 0 { Some(PathBuf::from("/run")) } else { runtime }
        // 40 bytes leave room for `/holdfast-` + tag + `/.s.PGSQL.5432.lock` within a socket's 107.
        .filter(|path| {
            path.is_absolute()
                && path.as_os_str().len() <= 40
                && !path.to_string_lossy().contains(['\'', '"', ',', '\\'])
        })
        .filter(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok());
    let path = parent.map_or_else(
        || PathBuf::from(format!("/tmp/holdfast-{own}-{tag}")),
        |parent| parent.join(format!("holdfast-{tag}")),
    );
    let owner = user.map_or(own, |user| user.uid);
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {
            if let Some(user) = user {
                std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid))
                    .step(|| format!("cannot give {} away", path.display()))?;
            }
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
            let found =
                std::fs::symlink_metadata(&path).step(|| format!("cannot look at {}", path.display()))?;
            // A kill between making it and giving it away leaves it ours.
            if found.is_dir() && found.uid() == own && owner != own {
                std::os::unix::fs::chown(&path, Some(owner), user.map(|user| user.gid))
                    .step(|| format!("cannot give {} away", path.display()))?;
            } else if !found.is_dir() || found.uid() != owner || found.mode() & 0o077 != 0 {
                return Err(DevError::SocketDirectory { path });
            }
        }
        Err(cause) => return Err(cause).step(|| format!("cannot make {}", path.display())),
    }
    Ok(path)
}

fn check_version(cluster: &Path, programs: &Programs) -> Result<(), DevError> {
    let path = cluster.join("PG_VERSION");
    let made =
        std::fs::read_to_string(&path).step(|| format!("cannot read {}", path.display()))?.trim().to_owned();
    if made == programs.version.to_string() {
        return Ok(());
    }
    Err(DevError::PostgresVersion { path: cluster.to_owned(), made, found: programs.version })
}

/// The programs: where we are told; else of all that are installed those that made the cluster, else the newest.
fn find(told: Option<&Path>, made: Option<&str>) -> Result<Programs, DevError> {
    if let Some(directory) = told {
        return programs_in(directory).ok_or(DevError::NoPostgres);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for parent in ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/postgresql"] {
        let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
        directories.extend(versions.map(|entry| entry.path().join("bin")));
    }
    // A plain build's and Red Hat's.
    directories.extend(["/usr/local/pgsql/bin", "/usr/pgsql/bin"].map(PathBuf::from));
    let found: Vec<Programs> = directories.iter().filter_map(|directory| programs_in(directory)).collect();
    let same = found.iter().find(|programs| made == Some(programs.version.to_string().as_str())).cloned();
    same.or_else(|| found.into_iter().max_by_key(|programs| programs.version)).ok_or(DevError::NoPostgres)
}

/// Both programs in one directory, new enough. Links are followed to where they belong together.
fn programs_in(directory: &Path) -> Option<Programs> {
    let postgres = directory.join("postgres").canonicalize().ok()?;
    let home = postgres.parent()?.to_owned();
    home.join("initdb").metadata().ok()?;
    let output = std::process::Command::new(&postgres).arg("--version").output().ok()?;
    let version = version_of(&String::from_utf8_lossy(&output.stdout))?;
    (version >= POSTGRES_VERSION_MIN).then_some(Programs { directory: home, version })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15.
fn version_of(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{find, version_of};
    use std::path::Path;

    #[test]
    fn versions_as_distributions_print_them() {
        assert_eq!(version_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(version_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(version_of("mysqld"), None);
    }

    #[test]
    fn a_directory_without_the_programs_is_a_sentence() {
        let error = find(Some(Path::new("/nonexistent")), None).expect_err("nothing there").to_string();
        assert!(error.contains("apt-get install postgresql"), "{error}");
    }
}
