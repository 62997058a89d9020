//! Starts the authority: database, migrations, leadership, gRPC for the nodes, background tasks.
//!
//! REST and the CLI are started by whoever calls [`start`], around [`Running::authority`].

pub mod simulated;
mod transport;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use holdfast_common::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::app::Rates;
use crate::app::commit::{self, Committer};
use crate::app::drives::Reports;
use crate::app::enrol::Enrolment;
use crate::app::pki::Pki;
use crate::app::sessions::Sessions;
pub use crate::app::sessions::access::Lengths;
use crate::app::truth::{Postgres, Truth};
use crate::app::vault::{MANIFEST_ROOT, Vault};
use crate::app::{Authority, Inner};
use crate::limits::{PLACEMENTS_BURST, PLACEMENTS_PER_SECOND, TICKET_BLOBS_BURST, TICKET_BLOBS_PER_SECOND};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError, cluster, migrate};
use crate::{leader, tasks};

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

/// TLS of the node listener: nodes show certificates of the cluster's own authority, or of the operator's.
#[derive(Clone, Debug)]
pub struct GrpcTls {
    /// `None`: this process shows a certificate of the cluster's own authority.
    pub own: Option<OwnPki>,
    /// Names and addresses under which nodes reach this process, beside the one it listens on.
    pub names: Vec<String>,
    /// Life of the certificates that nodes get.
    pub node_certificate: Duration,
}

/// An operator's own certificates.
#[derive(Clone, Debug)]
pub struct OwnPki {
    /// Chain of this process; it names `holdfast://CLUSTER/control`.
    pub certificate_pem: Vec<u8>,
    pub key_pem: Secret,
    /// Authorities of nodes' certificates, which name `holdfast://CLUSTER/node/NODE`.
    pub client_ca_pem: Vec<u8>,
}

/// Everything the authority needs to know; `config.rs` makes it from a file.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: Database,
    /// 32 bytes; seals the secrets of access keys in the database.
    pub master_key: Secret,
    /// Where nodes connect; port 0 picks one.
    pub grpc_listen: SocketAddr,
    /// `None`: in clear, on loopback only.
    pub grpc_tls: Option<GrpcTls>,
    /// Regions that signatures may name; day signing keys are derived for each.
    pub regions: Vec<String>,
    /// Names this process in the leadership row. An `http(s)://` URL is where nodes are sent that asked another
    /// process; empty: made from the address it listens on.
    pub holder: String,
    /// Record leases of nodes' sessions, and their access leases, which are at least as long; 5000 is the default of both.
    pub lengths: Lengths,
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
    let (dev, tls) = (settings.dev, settings.grpc_tls.clone());
    if tls.is_none() && !grpc_addr.ip().is_loopback() {
        return Err(StartError::Setting(format!(
            "nodes are not served on {grpc_addr} without TLS; set `grpc_tls`"
        )));
    }
    let (authority, work) = authority(settings, grpc_addr).await?;
    let shown = match &tls {
        Some(tls) => Some(transport::prepare(&authority, tls, grpc_addr)?),
        None => None,
    };
    // A leader that is paused in a transaction may hold the row: one that is to follow starts all the same, and tries again.
    if let Err(error) = leader::take(&authority, dev).await {
        tracing::warn!(%error, "the leadership row cannot be read; trying again");
    }
    // Before the first commit: today's partition of the changelog.
    if authority.is_leading()
        && let Err(error) = tasks::upkeep_once(&authority).await
    {
        return Err(StartError::Database(format!("the changelog's partitions cannot be made: {error}")));
    }
    let mut tasks = vec![
        tokio::spawn(commit::run(authority.inner.clone(), work)),
        tokio::spawn(leader::run(authority.clone(), authority.inner.sessions.leading())),
        tokio::spawn(tasks::upkeep(authority.clone())),
        tokio::spawn(tasks::day_keys(authority.clone())),
        tokio::spawn(tasks::deferred(authority.clone())),
        tokio::spawn(tasks::candidacy(authority.clone())),
    ];
    let (stop_grpc, stopped) = watch::channel(false);
    let acceptor = shown.map(|(acceptor, renewal)| {
        tasks.extend(renewal.map(tokio::spawn));
        acceptor
    });
    let grpc = tokio::spawn(transport::serve(authority.clone(), listener, acceptor, stopped));
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
    let scheme = if settings.grpc_tls.is_some() { "https" } else { "http" };
    let holder = if settings.holder.is_empty() { format!("{scheme}://{grpc_addr}") } else { settings.holder };
    let pki = Pki::ensure(&client, &vault, cluster_id, commit::now_ms() / 1000).await;
    let pki = pki.map_err(|error| StartError::Setting(error.to_string()))?;
    drop(client);
    let enrolment = transport::enrolment(pki, settings.grpc_tls.as_ref(), &holder, grpc_addr);
    let truth = Arc::new(Postgres(store.clone()));
    let about = About {
        cluster_id,
        regions: settings.regions,
        holder,
        lengths: settings.lengths,
        delete_delay_ms: settings.delete_delay_ms,
        enrolment,
        manifest_root,
    };
    Ok(handle(store, truth, vault, about))
}

/// What a handle knows of itself.
struct About {
    cluster_id: uuid::Uuid,
    regions: Vec<String>,
    holder: String,
    lengths: Lengths,
    delete_delay_ms: u64,
    enrolment: Enrolment,
    manifest_root: Secret,
}

/// A handle that does not lead yet, and the mutations that its committer is to work off.
fn handle(
    store: Store,
    truth: Arc<dyn Truth>,
    vault: Vault,
    about: About,
) -> (Authority, mpsc::Receiver<commit::Work>) {
    let inner = Inner {
        store,
        truth,
        vault,
        sessions: Sessions::new(about.lengths),
        metrics: Metrics::default(),
        cluster_id: about.cluster_id,
        regions: about.regions,
        holder: about.holder,
        lengths: about.lengths,
        delete_delay_ms: about.delete_delay_ms,
        configuration: tokio::sync::Mutex::new(()),
        step_down: Notify::new(),
        history_lost: AtomicBool::new(false),
        history_accepted_epoch: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
        epoch_remembered: AtomicU64::new(0),
        admin_url: OnceLock::new(),
        stamped_ms: AtomicU64::new(0),
        placing: parking_lot::Mutex::default(),
        placements: commit::placements::Known::default(),
        tickets: Rates::new(TICKET_BLOBS_BURST, TICKET_BLOBS_PER_SECOND),
        placements_made: Rates::new(PLACEMENTS_BURST, PLACEMENTS_PER_SECOND),
        ahead_believed: parking_lot::Mutex::default(),
        enrolment: about.enrolment,
        manifest_root: about.manifest_root,
        reports: Reports::default(),
    };
    let (committer, work) = Committer::channel();
    (Authority { inner: Arc::new(inner), committer }, work)
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|error| {
        StartError::Listen(format!(
            "nodes cannot be listened for on {addr}: {error}; see who has the port with `ss -ltnp`"
        ))
    })
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
