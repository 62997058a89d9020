//! `holdfast-controlplane`: the authority as a server of its own. `init` makes its secrets, `--config` runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast_common::telemetry;
use holdfast_controlplane::api::{Api, Listener};
use holdfast_controlplane::app::{AdminError, Authority};
use holdfast_controlplane::config::{Config, RootCredentials, init_secrets, read_master_key};
use holdfast_controlplane::limits::{CORES_PER_WORKER, ROOT_KEY_TICK};
use holdfast_controlplane::{rotate, server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The control plane of Holdfast.
#[derive(Debug, Parser)]
#[command(name = "holdfast-controlplane", version, args_conflicts_with_subcommands = true)]
struct Args {
    /// TOML file; `holdfast config reference` lists its keys.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the master key and the admin token where the configuration wants them; the token is printed, this once.
    Init {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Seal everything in the database with a new master key instead of the old one. All control planes must be stopped.
    RotateMasterKey {
        /// Names the database.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The master key that everything is sealed with.
        #[arg(long, value_name = "FILE")]
        old: PathBuf,
        /// The next one, made before: 64 hex digits, readable by this user only.
        #[arg(long, value_name = "FILE")]
        new: PathBuf,
    },
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match (args.command, args.config) {
        (Some(Command::Init { config }), _) => init(&config),
        (Some(Command::RotateMasterKey { config, old, new }), _) => rotate_master_key(&config, &old, &new),
        (None, Some(config)) => serve(&config),
        (None, None) => Err("name a configuration with --config FILE".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast-controlplane: {error}");
            ExitCode::FAILURE
        }
    }
}

fn init(path: &Path) -> Outcome<()> {
    let config = Config::load(path)?;
    let token = init_secrets(&config)?;
    let token = token.expose_str().unwrap_or_default();
    let text = format!("{token}\n");
    eprintln!(
        "The admin token follows; it is stored nowhere. Keep it, and a copy of {}.",
        config.master_key_file.display()
    );
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(())
}

fn rotate_master_key(path: &Path, old: &Path, new: &Path) -> Outcome<()> {
    let config = Config::load(path)?;
    let (from, to) = (read_master_key(old)?, read_master_key(new)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rotated = runtime.block_on(rotate::rotate(&config.database()?, &from, &to))?;
    eprintln!(
        "Sealed anew: {} access keys{}. Now put {} in the place of {} on every control plane, start them, and destroy {}.",
        rotated.access_keys,
        if rotated.authority { " and the cluster's authority" } else { "" },
        new.display(),
        config.resolve(&config.master_key_file).display(),
        old.display()
    );
    Ok(())
}

fn serve(path: &Path) -> Outcome<()> {
    let config = Config::load(path)?;
    telemetry::init(config.log_format, &config.log)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / CORES_PER_WORKER).max(1))
        .enable_all()
        .build()?;
    runtime.block_on(run(config))
}

/// The root key is there before the first request of the leader is answered; a follower sees to it when it leads.
async fn install(authority: &Authority, root: RootCredentials) -> Outcome<()> {
    match authority.ensure_root_key(&root.access_key_id, &root.secret_access_key).await {
        Ok(()) => return Ok(()),
        Err(AdminError::NotLeader { .. } | AdminError::Unavailable(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let authority = authority.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(ROOT_KEY_TICK).await;
            match authority.ensure_root_key(&root.access_key_id, &root.secret_access_key).await {
                Ok(()) => return,
                Err(AdminError::NotLeader { .. } | AdminError::Unavailable(_)) => {}
                Err(error) => {
                    tracing::error!(%error, "the root key cannot be installed; see `root_credentials_file`");
                    return;
                }
            }
        }
    });
    Ok(())
}

async fn run(config: Config) -> Outcome<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token_hash = config.admin_token_hash()?;
    let root = config.root_credentials()?;
    let listener = Listener::bind(&config).await?;
    let running = server::start(config.settings()?).await?;
    let (stop, stopped) = watch::channel(false);
    let api = Api::new(running.authority.clone(), token_hash, config.dataplane_ops_addr);
    let serving = tokio::spawn(listener.serve(api.router(), stopped));
    let scheme = if config.admin_tls_cert_file.is_some() { "https" } else { "http" };
    running.authority.announce(format!("{scheme}://{}", config.admin_addr)).await;
    if let Some(root) = root {
        install(&running.authority, root).await?;
    }
    tracing::info!(admin = %config.admin_addr, grpc = %running.grpc_addr, "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    running.stop().await;
    serving.await?;
    Ok(())
}
