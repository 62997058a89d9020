//! The life of a `dev`: prepare, start in order, wait for a signal or a death, stop in the reverse order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_common::secret::Secret;
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::children::{Process, Spawn};
use super::error::Step;
use super::ports::{self, Addresses};
use super::postgres::Postgres;
use super::ready::{self, AdminFile, Pids, ReadyFile};
use super::{DataDir, DevError, DevOptions, generate, orphan, probe, secrets};
use crate::api::client::Target;
use crate::limits::{DEV_CONTROLPLANE_READY_S, DEV_DATAPLANE_READY_S, DEV_STOP_S};
use crate::server::{Database, DatabaseTls};
use crate::store::Store;

/// What runs; filled from the top, emptied from the bottom.
#[derive(Default)]
struct Children {
    postgres: Option<Postgres>,
    controlplane: Option<Process>,
    dataplane: Option<Process>,
}

/// Runs the whole system until a signal, or until a part of it dies.
///
/// Must be called on the main thread of a current-thread runtime: children are tied to the thread that starts them.
///
/// # Errors
/// A sentence for people; everything that was started is stopped again.
pub async fn run(options: DevOptions) -> Result<(), DevError> {
    options.check(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))?;
    let mut signals = Signals::new()?;
    let programs = Programs::find(options.only_postgres)?;
    let mut directory = DataDir::open(&options)?;
    ready::withdraw(&directory);
    tracing::info!(data_dir = %directory.root().display(), fresh = directory.fresh, "starting");
    let mut children = Children::default();
    let outcome = tokio::select! {
        // A signal wins, so that a start that hangs can be ended.
        biased;
        () = signals.next() => Err(DevError::Interrupted),
        started = start(&mut directory, &options, &programs, &mut children) => started,
    };
    let outcome = match outcome {
        Ok(announcement) => {
            say(&announcement);
            tracing::info!("running; Ctrl-C stops it");
            children.watch(&mut signals).await
        }
        Err(error) => Err(error),
    };
    tracing::info!("stopping");
    ready::withdraw(&directory);
    let hurry = tokio::select! {
        biased;
        () = children.stop() => false,
        () = signals.next() => true,
    };
    if hurry {
        tracing::warn!("a second signal: killing what is left");
        children.kill().await;
    }
    orphan::record(&directory, &[])?;
    outcome
}

async fn start(
    directory: &mut DataDir,
    options: &DevOptions,
    programs: &Programs,
    children: &mut Children,
) -> Result<String, DevError> {
    let ended = orphan::end_all(directory).await?;
    if ended > 0 {
        tracing::warn!(ended, "an earlier run had left processes behind");
    }
    if options.only_postgres {
        let url = start_postgres(directory, options, children).await?;
        return Ok(format!("ready postgres {url}\n"));
    }
    let addresses = ports::choose(options)?;
    let token = secrets::prepare(directory, options)?;
    let database_url = match &options.database_url {
        Some(url) => {
            check_database(url).await?;
            url.clone()
        }
        None => start_postgres(directory, options, children).await?,
    };
    generate::controlplane(directory, options, &addresses, &database_url)?;
    let admin = write_admin_file(directory, options, &addresses, &token)?;
    let controlplane = children.controlplane.insert(programs.spawn(directory, "controlplane")?);
    let controlplane_pid = controlplane.pid;
    children.record(directory)?;
    let controlplane = children.controlplane.as_mut().expect("just started");
    probe::ready(controlplane, &admin, DEV_CONTROLPLANE_READY_S).await?;
    let cluster_id = probe::cluster_id(&admin, &token).await?;
    directory.belongs_to(&cluster_id)?;
    generate::dataplane(directory, options, &addresses, &cluster_id)?;
    let dataplane = children.dataplane.insert(programs.spawn(directory, "dataplane")?);
    let dataplane_pid = dataplane.pid;
    children.record(directory)?;
    let dataplane = children.dataplane.as_mut().expect("just started");
    probe::ready(dataplane, &Target::plain(addresses.ops), DEV_DATAPLANE_READY_S).await?;
    probe::accepts(dataplane, addresses.s3, DEV_STOP_S).await?;
    let postgres = children.postgres.as_ref().map(|postgres| postgres.process.pid);
    let pids =
        Pids { dev: std::process::id(), controlplane: controlplane_pid, dataplane: dataplane_pid, postgres };
    let file = ReadyFile::new(options, &addresses, pids);
    file.write(directory)?;
    Ok(file.line())
}

async fn start_postgres(
    directory: &DataDir,
    options: &DevOptions,
    children: &mut Children,
) -> Result<String, DevError> {
    children.postgres = Some(Postgres::start(directory, options).await?);
    children.record(directory)?;
    let postgres = children.postgres.as_mut().expect("just started");
    postgres.wait_ready().await?;
    Ok(postgres.url())
}

/// On standard output, once: scripts wait for this line. A reader that went away is no reason to stop.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ =
        std::io::Write::write_all(&mut out, line.as_bytes()).and_then(|()| std::io::Write::flush(&mut out));
}

/// Writes `admin.json` and returns how to reach what it names.
fn write_admin_file(
    directory: &DataDir,
    options: &DevOptions,
    addresses: &Addresses,
    token: &Secret,
) -> Result<Target, DevError> {
    let tls = ready::admin_tls(addresses.admin);
    let ca_file = options
        .tls_cert
        .as_ref()
        .filter(|_| tls)
        .map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
    let file = AdminFile {
        url: ready::url(probe::reachable(addresses.admin), tls),
        token: token.expose_str().unwrap_or_default().to_owned(),
        ca_file,
    };
    file.write(&directory.path("admin.json"))?;
    Target::parse(&file.url, file.ca_file.as_deref()).map_err(|error| DevError::Option(error.to_string()))
}

impl Children {
    fn record(&self, directory: &DataDir) -> Result<(), DevError> {
        let postgres = self.postgres.as_ref().map(|postgres| &postgres.process);
        let processes = [postgres, self.controlplane.as_ref(), self.dataplane.as_ref()];
        let records: Vec<_> = processes.into_iter().flatten().filter_map(Process::record).collect();
        Ok(orphan::record(directory, &records)?)
    }

    /// Until a signal (fine) or a death (an error that says whose).
    async fn watch(&mut self, signals: &mut Signals) -> Result<(), DevError> {
        let (status, process) = tokio::select! {
            () = signals.next() => return Ok(()),
            status = ended(self.dataplane.as_mut()) => (status, self.dataplane.as_ref()),
            status = ended(self.controlplane.as_mut()) => (status, self.controlplane.as_ref()),
            status = ended(self.postgres.as_mut().map(|postgres| &mut postgres.process)) =>
                (status, self.postgres.as_ref().map(|postgres| &postgres.process)),
        };
        Err(process.expect("only a running process ends").died(status))
    }

    async fn stop(&mut self) {
        let steps = [(Signal::TERM, Duration::from_secs(DEV_STOP_S))];
        for process in [&mut self.dataplane, &mut self.controlplane].into_iter().flatten() {
            process.stop(&steps).await;
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop(true).await;
        }
    }

    async fn kill(&mut self) {
        for process in [&mut self.dataplane, &mut self.controlplane].into_iter().flatten() {
            process.stop(&[]).await;
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop(false).await;
        }
    }
}

async fn ended(process: Option<&mut Process>) -> std::process::ExitStatus {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

/// The two servers, beside our own program.
struct Programs {
    beside: PathBuf,
}

impl Programs {
    fn find(only_postgres: bool) -> Result<Self, DevError> {
        let own = std::env::current_exe().step(|| "cannot tell where this program is".to_owned())?;
        let beside = own.parent().unwrap_or(Path::new("/")).to_owned();
        for program in ["holdfast-controlplane", "holdfast-dataplane"] {
            if !only_postgres && !beside.join(program).is_file() {
                return Err(DevError::ProgramMissing { program, beside });
            }
        }
        Ok(Self { beside })
    }

    fn spawn(&self, directory: &DataDir, role: &'static str) -> Result<Process, DevError> {
        let program = self.beside.join(format!("holdfast-{role}"));
        let config = directory.path(&format!("run/{role}.toml"));
        let spawn = Spawn {
            role,
            program: &program,
            log: directory.log(role),
            death_signal: Signal::TERM,
            user: None,
            directory: None,
            own_env: None,
        };
        spawn.start(["--config".as_ref(), config.as_os_str()])
    }
}

/// SIGINT, SIGTERM and SIGHUP (the terminal went away), all the same to us.
struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hangup: Stream,
}

impl Signals {
    fn new() -> Result<Self, DevError> {
        let listen = |kind| signal(kind).step(|| "cannot listen for signals".to_owned());
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// A wrong address is said here, in one sentence, and not by a child that dies of it.
async fn check_database(url: &str) -> Result<(), DevError> {
    let database = Database {
        url: url.to_owned().into(),
        tls: DatabaseTls::default(),
        ca_file: None,
        connections_max: crate::limits::CONNECTIONS_MIN,
    };
    match Store::connect(&database).await {
        Ok(_) => Ok(()),
        Err(error) => Err(DevError::Database { shown: without_password(url), cause: error.to_string() }),
    }
}

/// The address as it may be shown. What does not look like a URL is not shown at all: it may be a password.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "URL".to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}
