//! Starts the authority: database, migrations, leadership, gRPC for the nodes, background tasks.
//!
//! REST and the CLI are started by whoever calls [`start`], around [`Running::authority`].

use std::net::SocketAddr;
use std::path::PathBuf;

use holdfast_common::secret::Secret;

use crate::app::Authority;

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
    /// Names this process in the leadership row (host name or the like), and where others are sent.
    pub holder: String,
    /// Lease of a node's session; 5000 is the default.
    pub lease_ms: u64,
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
}

/// Connects, migrates, serves. Returns once gRPC listens; leadership may come later ([`Authority::is_leading`]).
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let _ = settings;
    Err(StartError::Setting("being written".into()))
}

impl Running {
    /// Finishes what is in flight within a bound, gives leadership back, closes.
    pub async fn stop(self) {}
}
