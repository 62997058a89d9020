//! Starts the authority: database, migrations, leadership, gRPC for the nodes, background tasks.
//!
//! REST and the CLI are started by whoever calls [`start`], around [`Running::authority`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use holdfast_common::secret::Secret;
use holdfast_common::wire::{self, node_server::NodeServer};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::app::commit::{self, Committer};
use crate::app::drives::Reports;
use crate::app::query::ticket::Rates;
use crate::app::sessions::Sessions;
use crate::app::vault::{MANIFEST_ROOT, Vault};
use crate::app::{Authority, Inner};
use crate::grpc::NodeService;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError, cluster, migrate};
use crate::{leader, tasks};

/// A node that has gone without a word is noticed within twice this.
const GRPC_KEEPALIVE: Duration = Duration::from_secs(10);
/// What is in flight at a stop has this long.
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Place of the leader task among the tasks.
const LEADER_TASK: usize = 1;

/// How the database connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatabaseTls {
    /// None on a Unix socket, verified against the CA and the host name everywhere else.
    #[default]
    Auto,
    /// Verified against the CA and the host name, whatever the address.
    VerifyFull,
    /// None: the operator said so in words, and is warned.
    Disable,
}

/// Where the truth is.
#[derive(Clone, Debug)]
pub struct Database {
    /// `postgresql://user@host/db` or `host=/run/postgresql user=... dbname=...`.
    pub url: Secret,
    pub tls: DatabaseTls,
    /// PEM of the CAs to believe; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections kept, at least 8.
    pub connections_max: usize,
}

/// Certificate of the node listener. With `client_ca_pem` nodes must present one of it (mutual TLS).
#[derive(Clone, Debug)]
pub struct GrpcTls {
    pub certificate_pem: Vec<u8>,
    pub key_pem: Secret,
    pub client_ca_pem: Option<Vec<u8>>,
}

/// Everything the authority needs to know; `config.rs` makes it from a file.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: Database,
    /// 32 bytes; seals the secrets of access keys in the database.
    pub master_key: Secret,
    /// Where nodes connect; port 0 picks one.
    pub grpc_listen: SocketAddr,
    pub grpc_tls: Option<GrpcTls>,
    /// Regions that signatures may name; day signing keys are derived for each.
    pub regions: Vec<String>,
    /// Names this process in the leadership row. An `http(s)://` URL is where nodes are sent that asked another
    /// process; empty: made from the address it listens on.
    pub holder: String,
    /// Lease of a node's session; 5000 is the default.
    pub lease_ms: u64,
    /// How long what was freed is kept before it is deleted; 60,000 is the default.
    pub delete_delay_ms: u64,
    /// One machine, one authority: a new leader takes over at once.
    pub dev: bool,
}

/// Why the authority did not start; `Display` is a sentence with the likely cause and the next command.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Database(String),
    #[error("{0}")]
    Migration(String),
    #[error("{0}")]
    Setting(String),
    #[error("{0}")]
    Listen(String),
}

/// A started authority.
pub struct Running {
    pub authority: Authority,
    pub grpc_addr: SocketAddr,
    stop_grpc: watch::Sender<bool>,
    grpc: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// Connects, migrates, serves. Returns once gRPC listens; leadership may come later ([`Authority::is_leading`]).
///
/// # Errors
/// A sentence each: database, migration, setting, address.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let listener = listen(settings.grpc_listen).await?;
    let grpc_addr = listener.local_addr().map_err(|error| StartError::Listen(error.to_string()))?;
    let server = tonic_server(settings.grpc_tls.as_ref())?;
    let dev = settings.dev;
    let (authority, work) = authority(settings, grpc_addr).await?;
    if let Err(error) = leader::take(&authority, dev).await {
        return Err(StartError::Database(format!("the leadership row cannot be read: {error}")));
    }
    // Before the first commit: today's partition of the changelog.
    if authority.is_leading()
        && let Err(error) = tasks::upkeep_once(&authority).await
    {
        return Err(StartError::Database(format!("the changelog's partitions cannot be made: {error}")));
    }
    let tasks = vec![
        tokio::spawn(commit::run(authority.inner.clone(), work)),
        tokio::spawn(leader::run(authority.clone(), authority.inner.sessions.leading())),
        tokio::spawn(tasks::upkeep(authority.clone())),
        tokio::spawn(tasks::day_keys(authority.clone())),
        tokio::spawn(tasks::deferred(authority.clone())),
        tokio::spawn(tasks::candidacy(authority.clone())),
    ];
    let (stop_grpc, stopped) = watch::channel(false);
    let grpc = tokio::spawn(serve_grpc(server, listener, NodeService::new(authority.clone()), stopped));
    Ok(Running { authority, grpc_addr, stop_grpc, grpc, tasks })
}

/// Database, migrations, cluster row, and the handle over them.
async fn authority(
    settings: Settings,
    grpc_addr: SocketAddr,
) -> Result<(Authority, mpsc::Receiver<commit::Work>), StartError> {
    let vault = Vault::new(&settings.master_key).ok_or_else(|| {
        StartError::Setting("the master key has 32 bytes; make one with `holdfast-controlplane init`".into())
    })?;
    let store = Store::connect(&settings.database).await?;
    let ran = migrate::run(&store).await?;
    if ran > 0 {
        tracing::info!(ran, "migrations");
    }
    let database =
        |error: StoreError| StartError::Database(format!("the cluster row cannot be read: {error}"));
    let client = store.client().await.map_err(database)?;
    let fresh = uuid::Builder::from_random_bytes(vault.random()).into_uuid();
    let cluster_id =
        cluster::ensure(&client, fresh, &hex::encode(vault.random::<32>())).await.map_err(database)?;
    let fresh = vault.seal(MANIFEST_ROOT, &Secret::new(vault.random::<32>().to_vec()));
    let sealed = cluster::manifest_root(&client, &fresh).await.map_err(database)?;
    let manifest_root = vault.open(MANIFEST_ROOT, &sealed).map_err(|_| {
        StartError::Setting(
            "the master key is not the one that this database was made with: what the cluster row keeps sealed does not \
             open; look for the right one where `master_key_file` of the configuration points"
                .into(),
        )
    })?;
    drop(client);
    let holder = if settings.holder.is_empty() { format!("http://{grpc_addr}") } else { settings.holder };
    let inner = Inner {
        store,
        vault,
        manifest_root,
        sessions: Sessions::new(settings.lease_ms),
        metrics: Metrics::default(),
        cluster_id,
        regions: settings.regions,
        holder,
        lease_ms: settings.lease_ms,
        delete_delay_ms: settings.delete_delay_ms,
        configuration: tokio::sync::Mutex::new(()),
        step_down: Notify::new(),
        history_lost: AtomicBool::new(false),
        confirmed: AtomicU64::new(0),
        epoch_remembered: AtomicU64::new(0),
        admin_url: OnceLock::new(),
        stamped_ms: AtomicU64::new(0),
        placing: parking_lot::Mutex::default(),
        placements: commit::placements::Known::default(),
        tickets: Rates::default(),
        reports: Reports::default(),
    };
    let (committer, work) = Committer::channel();
    Ok((Authority { inner: Arc::new(inner), committer }, work))
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|error| {
        StartError::Listen(format!(
            "nodes cannot be listened for on {addr}: {error}; see who has the port with `ss -ltnp`"
        ))
    })
}

fn tonic_server(tls: Option<&GrpcTls>) -> Result<Server, StartError> {
    let server = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(GRPC_KEEPALIVE))
        .http2_keepalive_timeout(Some(GRPC_KEEPALIVE))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    let Some(tls) = tls else { return Ok(server) };
    let identity = Identity::from_pem(&tls.certificate_pem, tls.key_pem.expose());
    let mut config = ServerTlsConfig::new().identity(identity);
    if let Some(ca) = &tls.client_ca_pem {
        config = config.client_ca_root(Certificate::from_pem(ca));
    }
    server.tls_config(config).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        StartError::Setting(format!("the certificate or key for nodes is not usable: {error}{cause}"))
    })
}

async fn serve_grpc(
    mut server: Server,
    listener: TcpListener,
    node: NodeService,
    mut stopped: watch::Receiver<bool>,
) {
    let service = NodeServer::new(node)
        .max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(wire::MESSAGE_BYTES_MAX);
    let until = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    if let Err(error) = server.add_service(service).serve_with_incoming_shutdown(incoming, until).await {
        tracing::error!(%error, "the listener for nodes has failed");
    }
}

impl Running {
    /// Finishes what is in flight within a bound, gives leadership back, closes.
    pub async fn stop(mut self) {
        // The leader task must not take over again what is handed back below.
        self.tasks[LEADER_TASK].abort();
        self.authority.inner.drain(STOP_DEADLINE).await;
        leader::hand_back(&self.authority).await;
        let _ = self.stop_grpc.send(true);
        if tokio::time::timeout(STOP_DEADLINE, &mut self.grpc).await.is_err() {
            self.grpc.abort();
        }
        for task in &self.tasks {
            task.abort();
        }
    }
}
