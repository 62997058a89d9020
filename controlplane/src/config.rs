//! What the control plane is told: one flat TOML file, unknown keys refused, secrets in files of their own.
//!
//! Every key is declared once, in the `settings!` table below, with its meaning, type and default; the struct, the
//! parser, the environment names and `holdfast config reference` all come from that table, so none can drift.
//! A value is taken from, first wins: the environment (`HOLDFAST_CONTROLPLANE_<KEY>`), the file, the default.

mod error;
mod init;
mod load;
mod reference;
mod secrets;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;

use holdfast_common::telemetry::LogFormat;

pub use error::ConfigError;
pub use init::init_secrets;
pub use reference::{SettingRow, reference};
pub use secrets::{RootCredentials, hash_token, read_master_key, read_owner_only, write_owner_only};

/// Prefix of the environment variables that override keys of the file.
pub const ENV_PREFIX: &str = "HOLDFAST_CONTROLPLANE_";

/// Declares the settings: struct, defaults and the table that the reference is printed from.
macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $name:ident : $type:ty = $default:expr; )+) => {
        /// The control plane's settings, as the file and the environment say; [`Config::load`] checks them.
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $name: $type, )+
            /// Directory of the file, which relative paths start from.
            #[serde(skip)]
            pub(crate) base: PathBuf,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $name: $default, )+ base: PathBuf::new() }
            }
        }

        /// Name, type and meaning of every key, in the order of declaration.
        pub(crate) const SETTINGS: &[(&str, &str, &[&str])] =
            &[ $( (stringify!($name), stringify!($type), &[ $($doc),+ ]), )+ ];
    };
}

settings! {
    /// PostgreSQL's address: `postgres://user@host/db` or `host=/run/postgresql user=holdfast dbname=holdfast`.
    /// Off a Unix socket the connection is TLS with the server's name verified. A password belongs in `database_url_file`.
    database_url: Option<String> = None;
    /// File that holds the address instead; it must not be readable by others.
    database_url_file: Option<PathBuf> = None;
    /// How that connection is protected: `auto` (none on a Unix socket, `verify-full` elsewhere), `verify-full` or `disable`.
    database_tls: DatabaseTlsMode = DatabaseTlsMode::Auto;
    /// PEM file of the authorities that PostgreSQL's certificate is checked against; absent: the system's.
    database_ca_file: Option<PathBuf> = None;
    /// Connections kept to PostgreSQL at most; four are for commits.
    database_connections_max: u32 = 16;
    /// Where nodes connect (gRPC). Beyond loopback it speaks TLS, and each node shows a certificate.
    grpc_addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9100));
    /// Speaks TLS on loopback too.
    grpc_tls: bool = false;
    /// Names and addresses under which nodes reach this control plane; join tokens carry them. Needed where `grpc_addr` is `0.0.0.0`.
    grpc_names: Vec<String> = Vec::new();
    /// Hours that a node's certificate lives; the node renews it by itself. Shorter: a stolen one ends sooner.
    node_cert_hours: u32 = 24;
    /// Your own PKI instead of the cluster's own authority: certificate of the gRPC listener, PEM. It must carry the URI
    /// `holdfast://CLUSTER/control`, and those of nodes `holdfast://CLUSTER/node/NODE`.
    grpc_tls_cert_file: Option<PathBuf> = None;
    /// Private key of that certificate, PEM.
    grpc_tls_key_file: Option<PathBuf> = None;
    /// Authorities of nodes' certificates, PEM. Required with `grpc_tls_cert_file`: nodes are always authenticated.
    grpc_tls_client_ca_file: Option<PathBuf> = None;
    /// Where administration (REST, metrics, health) listens. Beyond loopback it needs `admin_tls_*`.
    admin_addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9001));
    /// Certificate of the admin listener, PEM.
    admin_tls_cert_file: Option<PathBuf> = None;
    /// Private key of the admin listener, PEM.
    admin_tls_key_file: Option<PathBuf> = None;
    /// File with the hash of the admin token, written by `holdfast-controlplane init`; the token itself is nowhere.
    admin_token_file: PathBuf = PathBuf::from("admin-token");
    /// File with the key that seals secrets in PostgreSQL: 64 hex digits, made by `init`. Lose it and every key must be made anew.
    master_key_file: PathBuf = PathBuf::from("master-key");
    /// JSON file (`access_key_id`, `secret_access_key`) of a key that is installed at start with every right. Absent: none.
    root_credentials_file: Option<PathBuf> = None;
    /// Region that clients sign for and buckets report.
    region: String = "us-east-1".to_owned();
    /// Further regions that signatures may name.
    regions_also: Vec<String> = Vec::new();
    /// How long a node may show records of its cache after it was last heard, milliseconds. Longer: calmer; shorter: a dead node holds up fewer writes.
    lease_ms: u64 = 5000;
    /// How long a node that is cut off may go on believing keys, policies and buckets, milliseconds: from `lease_ms`, which it is
    /// when absent, to a day. A revocation, and every other change of them, waits that long for a node that does not answer.
    /// Buckets with `stale_reads` are read for no longer than this.
    access_lease_ms: Option<u64> = None;
    /// How long the bytes of what was deleted or overwritten are kept at least, milliseconds: readers under way finish
    /// within it, or say that they are not done.
    delete_delay_ms: u64 = 60_000;
    /// What this process calls itself towards the others, and where they send clients; absent: the host's name.
    holder: Option<String> = None;
    /// Single machine, single process of each kind: a restarted leader need not wait for old leases. `holdfast dev` sets it.
    dev: bool = false;
    /// Operational address of a data plane whose metrics `/metrics` shows too. `holdfast dev` sets it.
    dataplane_ops_addr: Option<SocketAddr> = None;
    /// What is logged: `info`, `debug`, `holdfast_controlplane=debug,warn`. `HOLDFAST_LOG` wins.
    log: String = "info".to_owned();
    /// Shape of a log line: `pretty` or `json`.
    log_format: LogFormat = LogFormat::Pretty;
}

/// See `database_tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseTlsMode {
    Auto,
    VerifyFull,
    Disable,
}

impl Config {
    /// True when the gRPC listener speaks TLS: always beyond loopback, and where it is asked for.
    #[must_use]
    pub fn speaks_grpc_tls(&self) -> bool {
        self.grpc_tls || self.grpc_tls_cert_file.is_some() || !self.grpc_addr.ip().is_loopback()
    }

    /// A path of the file, made absolute: a bare name is looked for in `$CREDENTIALS_DIRECTORY` (systemd) first, any
    /// other relative path starts from the file's directory.
    #[must_use]
    pub fn resolve(&self, path: &std::path::Path) -> PathBuf {
        secrets::resolve(
            &self.base,
            path,
            std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref(),
        )
    }
}
