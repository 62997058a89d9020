//! `holdfast-dataplane`: reads its configuration, opens the node, serves S3 on every core until it is told to stop.
//!
//! Whatever is wrong at start is one sentence on standard error, with the likely cause and the next command, and exit
//! code 1 (2 for a wrong command line). The first SIGINT or SIGTERM stops accepting and finishes what is under way,
//! within a bound; the second ends the process at once.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use holdfast_common::telemetry;
use holdfast_dataplane::config::{self, Config, RuntimeChoice};
use holdfast_dataplane::drives::host::RealHost;
use holdfast_dataplane::node::{Node, NodeSetup};
use holdfast_dataplane::rt::epoll::EpollRt;
use holdfast_dataplane::rt::glommio::GlommioRt;
use holdfast_dataplane::rt::monoio::UringRt;
use holdfast_dataplane::rt::thread::cpus_allowed;
use holdfast_dataplane::rt::{Rt, Uring, probe, probe_glommio};
use holdfast_dataplane::server::cores::{self, Cores, CoresConfig};
use holdfast_dataplane::server::tls::{self, Certificates};
use holdfast_dataplane::{drives, enrol, ops_listener};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The data plane of Holdfast: S3 over io_uring on this machine's drives.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE", required_unless_present = "config_reference")]
    config: Option<PathBuf>,
    /// Check the configuration and the files it names, start nothing.
    #[arg(long, alias = "check", requires = "config")]
    check_config: bool,
    /// Print every key with its default, its environment variable and its meaning.
    #[arg(long)]
    config_reference: bool,
    /// Make this directory a drive of the configured cluster, start nothing.
    #[arg(long, value_name = "DIR", requires = "config")]
    format_drive: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Make this machine a node of a cluster, with a token of `holdfast admin node invite`. Makes a key and gets a certificate
    /// for it, in DIR/identity; start nothing.
    Join(JoinArguments),
}

#[derive(Args)]
struct JoinArguments {
    #[command(flatten)]
    token: TokenArguments,
    /// The `data_dir` of the node's configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// What the node is called, unless the invitation says; else the host's name.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct TokenArguments {
    /// The token. Other users of the machine may see it while this runs; see --token-file.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds the token; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(io::stderr(), "holdfast-dataplane: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(Command::Join(arguments)) = &arguments.command {
        return join(arguments);
    }
    let Some(path) = arguments.config.as_deref().filter(|_| !arguments.config_reference) else {
        return print(&config::render());
    };
    let config = Config::load(path).map_err(|error| error.to_string())?;
    if let Some(drive) = &arguments.format_drive {
        return format_drive(&config, drive);
    }
    let tls = load_tls(&config)?;
    enrol::Current::open(&config)?;
    if arguments.check_config {
        return print(&format!("{} is a good configuration of the data plane\n", path.display()));
    }
    telemetry::init(config.log_format, &config.log)?;
    serve(&config, tls)
}

fn join(arguments: &JoinArguments) -> Result<(), String> {
    let unreadable =
        |path: &Path, error: io::Error| format!("the token {} cannot be read: {error}", path.display());
    let token = match (&arguments.token.token, &arguments.token.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) if path == Path::new("-") => {
            io::read_to_string(io::stdin()).map_err(|error| unreadable(path, error))?
        }
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?,
        (None, None) => return Err("give --token-file FILE or --token TOKEN".to_owned()),
    };
    let host_name =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let name = arguments.name.clone().unwrap_or_else(host_name);
    let joined = enrol::join::join(&token, &arguments.data_dir, &name)?;
    let data_dir = std::path::absolute(&arguments.data_dir).unwrap_or_else(|_| arguments.data_dir.clone());
    print(&format!(
        "This is node {} of cluster {} now; its certificate is renewed by itself while the node runs.\n\
         In the node's configuration:\n\ndata_dir = {data_dir:?}\ncontrol_url = {:?}\n",
        joined.node_id, joined.cluster, joined.control
    ))
}

fn print(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

/// The TLS side of the S3 port, and what it shows to clients.
type Tls = (Arc<rustls::ServerConfig>, Arc<Certificates>);

fn load_tls(config: &Config) -> Result<Option<Tls>, String> {
    match (&config.tls_cert_file, &config.tls_key_file) {
        (Some(cert), Some(key)) => {
            tls::load(&config.path(cert), &config.path(key)).map(Some).map_err(|error| error.to_string())
        }
        _ => Ok(None),
    }
}

/// Opens everything, serves, and takes everything down in the reverse order.
fn serve(config: &Config, tls: Option<Tls>) -> Result<(), String> {
    let runtime = choose_runtime(config)?;
    let (tls, certificates) = tls.unzip();
    cores::port_is_free(config.s3_addr).map_err(|error| taken("s3_addr", config.s3_addr, &error))?;
    if let Some(addr) = config.peer_addr {
        cores::port_is_free(addr).map_err(|error| taken("peer_addr", addr, &error))?;
    }
    raise_descriptor_limit();
    let node = Node::open(config)?;
    let asked = Arc::clone(&node);
    let ops = ops_listener::start(config.ops_addr, Arc::new(move || asked.ready()))
        .map_err(|error| taken("ops_addr", config.ops_addr, &error))?;
    let cores = match runtime {
        Runtime::Uring => start::<UringRt>(config, &node, tls),
        Runtime::Glommio => start::<GlommioRt>(config, &node, tls),
        Runtime::Epoll => start::<EpollRt>(config, &node, tls),
    }?;
    tracing::info!(s3 = %cores.addr(), ops = %ops.addr(), runtime = runtime.name(), "serving");
    let outcome = wait(&cores, certificates.as_deref());
    cores.stop();
    let ended = cores.join().map_err(|error| format!("a core ended badly: {error}"));
    node.stop();
    tracing::info!("stopped");
    outcome.and(ended)
}

fn start<R: Rt>(
    config: &Config,
    node: &Arc<Node>,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Result<Cores, String> {
    let proxies = config.proxies().map_err(|error| error.to_string())?;
    let cores = CoresConfig {
        addr: config.s3_addr,
        cpus: cpus(config.cores),
        tls,
        host_id: node.host_id(),
        connections_max_per_core: config.connections_max_per_core,
        proxies: Arc::new(proxies),
    };
    cores::start::<R, _>(cores, &NodeSetup::<R>::new(Arc::clone(node)))
        .map_err(|error| taken("s3_addr", config.s3_addr, &error))
}

#[derive(Clone, Copy)]
enum Runtime {
    Uring,
    Glommio,
    Epoll,
}

impl Runtime {
    fn name(self) -> &'static str {
        match self {
            Self::Uring => UringRt::NAME,
            Self::Glommio => GlommioRt::NAME,
            Self::Epoll => EpollRt::NAME,
        }
    }
}

/// The runtime that was asked for, or epoll where io_uring is forbidden. A kernel that has io_uring but lacks what glommio
/// needs is refused: the operator named glommio, and has monoio to choose before epoll.
fn choose_runtime(config: &Config) -> Result<Runtime, String> {
    if config.runtime == RuntimeChoice::Epoll && !config.require_io_uring {
        return Ok(Runtime::Epoll);
    }
    match probe() {
        Uring::Available { .. } if config.runtime == RuntimeChoice::Glommio => match probe_glommio() {
            Uring::Available { .. } => {
                tracing::warn!(
                    "`runtime = \"glommio\"` is for comparing: a core of it was seen to sleep for good"
                );
                Ok(Runtime::Glommio)
            }
            Uring::Forbidden { cause, fix } => Err(format!(
                "`runtime = \"glommio\"` cannot be used: {cause}; {fix}; or set `runtime = \"monoio\"`"
            )),
        },
        Uring::Available { .. } => Ok(Runtime::Uring),
        Uring::Forbidden { cause, fix } if config.require_io_uring => {
            Err(format!("io_uring is required (`require_io_uring`) and cannot be used: {cause}; {fix}"))
        }
        Uring::Forbidden { cause, fix } => {
            tracing::warn!(%cause, %fix, "io_uring cannot be used; serving over epoll, files on a thread pool");
            Ok(Runtime::Epoll)
        }
    }
}

/// The CPUs to pin cores to: the first of those that this process may use.
fn cpus(cores: Option<usize>) -> Vec<Option<usize>> {
    let allowed = cpus_allowed();
    let count = cores.unwrap_or(allowed.len().max(1));
    (0..count).map(|core| allowed.get(core).copied()).collect()
}

/// A connection, a segment, a table of RocksDB: each is a descriptor, and the usual soft limit is 1024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays low; set LimitNOFILE=1048576 in the systemd unit");
    }
}

/// Waits for a signal, or for a core that ends by itself. Meanwhile certificates are loaded again when they are changed,
/// or on SIGHUP.
fn wait(cores: &Cores, certificates: Option<&Certificates>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("signals cannot be waited for: {error}"))?;
    let outcome = runtime.block_on(async {
        let failed = |error: io::Error| format!("signals cannot be waited for: {error}");
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
        loop {
            tokio::select! {
                _ = hang_up.recv() => say(certificates.map(Certificates::reload)),
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if cores.any_ended() {
                        return Err("a core ended; the log says why".to_owned());
                    }
                    say(certificates.and_then(Certificates::reload_if_changed));
                }
            }
        }
        tracing::info!("stopping: finishing what is under way; a second signal ends at once");
        Ok(())
    });
    std::thread::spawn(move || runtime.block_on(end_at_second_signal()));
    outcome
}

/// What came of loading certificates again, if that was tried.
fn say<E: std::fmt::Display>(loaded: Option<Result<(), E>>) {
    match loaded {
        None => {}
        Some(Ok(())) => tracing::info!("the certificate was loaded again; new connections get it"),
        Some(Err(error)) => {
            tracing::error!(%error, "the certificate was not loaded again; the one before stays in use");
        }
    }
}

async fn end_at_second_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::warn!("ended by a second signal; what was under way is cut off");
    std::process::exit(1);
}

fn format_drive(config: &Config, drive: &Path) -> Result<(), String> {
    let said = |error: drives::format::OpenError| error.to_string();
    let mut cluster = config.cluster_id.map(uuid::Uuid::into_bytes);
    for known in &config.drives {
        cluster = match cluster {
            None => drives::format::cluster_of(&RealHost, known).map_err(said)?,
            found => found,
        };
    }
    let cluster = cluster.ok_or(
        "no drive of the configuration is formatted yet, so the cluster is not known; start \
                                 the data plane once, it formats empty drives itself, or set `cluster_id`",
    )?;
    let mut id = [0; 16];
    holdfast_dataplane::rt::random(&mut id);
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    drives::format::format(&RealHost, drive, cluster, holdfast_common::id::DriveId(*id.as_bytes()))
        .map_err(said)?;
    print(&format!("{} is drive {id} of cluster {} now\n", drive.display(), uuid::Uuid::from_bytes(cluster)))
}

/// Why an address cannot be listened on, and what to do.
fn taken(key: &str, addr: SocketAddr, error: &io::Error) -> String {
    let port = addr.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "`{key}` {addr} is taken by another process; find it with `ss -ltnp 'sport = :{port}'`, or choose another"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("`{key}` {addr} is not an address of this machine; see `ip -brief address`")
        }
        io::ErrorKind::PermissionDenied => format!(
            "`{key}` {addr} needs a privilege for ports below 1024; give the unit \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE`, or choose a port from 1024 on"
        ),
        _ => format!(
            "`{key}` {addr} cannot be served: {error}; see `ss -ltn` and the lines of the log before this one"
        ),
    }
}
