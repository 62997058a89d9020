//! What a node is told: one flat TOML file, unknown keys refused, secrets in files of their own.
//!
//! Every key is declared once, in the `settings!` table below; the struct, the parser, the environment names and
//! `holdfast-dataplane --config-reference` come from that table, so none can drift. A value is taken from, first wins:
//! the environment (`HOLDFAST_DATAPLANE_<KEY>`), the file, the default.

mod check;
mod error;
mod load;
mod reference;

use std::net::SocketAddr;
use std::path::PathBuf;

use holdfast_common::telemetry::LogFormat;

pub use error::ConfigError;
pub use load::{read_secret, resolve};
pub use reference::{Setting, reference, render};

/// Prefix of the environment variables that override keys of the file.
pub const ENV_PREFIX: &str = "HOLDFAST_DATAPLANE_";

/// Declares the settings: struct, defaults, and the table the reference is printed from.
macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $key:ident : $type:ty = $default:expr; )+) => {
        /// A node's settings as file and environment say; [`Config::load`] has checked them.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $key: $type, )+
            /// Directory of the file, which relative paths start from.
            #[serde(skip)]
            pub base: PathBuf,
            /// The file itself.
            #[serde(skip)]
            pub file: PathBuf,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $key: $default, )+ base: PathBuf::new(), file: PathBuf::new() }
            }
        }

        /// Key, type and meaning, in the order of declaration.
        pub(crate) const SETTINGS: &[(&str, &str, &[&str])] =
            &[ $( (stringify!($key), stringify!($type), &[ $($doc),+ ]), )+ ];
    };
}

settings! {
    /// Where S3 is served: address and port.
    s3_addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9000));
    /// Where `/metrics`, `/livez` and `/readyz` are served. Not for clients: keep it inside.
    ops_addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9002));
    /// The control planes, tried in turn: `["https://10.0.0.1:9100"]`; `https` wants a certificate (`join`). Without TLS only on
    /// loopback or as `unix:/path`.
    control_url: Vec<String> = vec!["http://127.0.0.1:9100".to_owned()];
    /// What the node calls itself; absent: the host's name.
    node_name: Option<String> = None;
    /// File with the token the node shows the control plane; readable by this user only. Absent: none is shown.
    node_token_file: Option<PathBuf> = None;
    /// Certificate of this node by your own PKI, PEM, with the URI `holdfast://CLUSTER/node/NODE`. Absent: that of
    /// `holdfast-dataplane join`, in `data_dir`/identity. It and the next two are read again when they change.
    node_cert_file: Option<PathBuf> = None;
    /// Private key of that certificate, PEM; readable by this user only.
    node_key_file: Option<PathBuf> = None;
    /// Authorities of the control plane's and the other nodes' certificates, PEM.
    cluster_ca_file: Option<PathBuf> = None;
    /// Directory for the cache and the drive index; both may be deleted while the node is stopped.
    data_dir: PathBuf = PathBuf::from("/var/lib/holdfast");
    /// Directories that hold fragments, one per drive, each the root of a file system of its own.
    drives: Vec<PathBuf> = Vec::new();
    /// What new objects are spread over: this node's `drives`, or the cluster's `nodes`, one fragment on each of 3 to 6 of them.
    spread: SpreadChoice = SpreadChoice::Drives;
    /// Fragments of an object that may be lost: 0 to half of the drives; spread over nodes 1 to 3, and so many nodes.
    parity: usize = 2;
    /// Starts although a drive is missing or refused, and serves from the others; what it held is read from them.
    degraded_start: bool = false;
    /// Identity of the cluster the drives belong to, a UUID; absent: that of the drives, or a new one for empty drives.
    cluster_id: Option<uuid::Uuid> = None;
    /// Bytes a second that all background work of the node (repair, drain, scrub) may read and write together.
    background_bytes_per_second: usize = 64 << 20;
    /// Seconds in which everything on every drive is re-read and verified, at 1 MB/s a drive at least.
    scrub_period_seconds: usize = 14 * 24 * 3600;
    /// Seconds between two searches for fragments whose commit never happened.
    reap_period_seconds: usize = 60;
    /// Seconds a drive may be away or failed before what it held counts as missing and is made again elsewhere.
    drive_grace_seconds: usize = 15 * 60;
    /// CPU cores that serve, each a pinned thread; absent: every CPU this process may use.
    cores: Option<usize> = None;
    /// Connections each core accepts; more are told to come back later.
    connections_max_per_core: usize = crate::limits::CONNECTIONS_MAX_PER_CORE;
    /// How cores do their I/O: `monoio` and `glommio` (for comparing only) are io_uring, and epoll where io_uring is forbidden;
    /// `epoll` never tries.
    runtime: RuntimeChoice = RuntimeChoice::Monoio;
    /// Refuses to start where io_uring is forbidden, instead of falling back.
    require_io_uring: bool = false;
    /// Region that signatures must name and buckets report.
    region: String = "us-east-1".to_owned();
    /// Domains under which a bucket may be the first label of the host name: `s3.example.com`.
    domains: Vec<String> = Vec::new();
    /// Certificate chain of the S3 port, PEM. With it the port speaks TLS only. Read again when it or its key changes, and on
    /// SIGHUP; while the new pair is broken the one before stays in use.
    tls_cert_file: Option<PathBuf> = None;
    /// Private key of the S3 port, PEM.
    tls_key_file: Option<PathBuf> = None;
    /// Addresses and ranges (`10.1.0.0/16`) of proxies in front, whose `X-Forwarded-For` and `-Proto` say where a request comes
    /// from; from anybody else they mean nothing. Nobody but proxies may have such an address.
    trusted_proxies: Vec<String> = Vec::new();
    /// `required`: every connection comes from a trusted proxy and begins with a PROXY header, version 2; others are closed.
    proxy_protocol: ProxyProtocol = ProxyProtocol::Off;
    /// Where other nodes reach this one's fragments: address and port, inside the cluster's network; absent: nowhere.
    peer_addr: Option<SocketAddr> = None;
    /// The same as others know it, `host:port`; absent: `peer_addr`.
    peer_advertise: Option<String> = None;
    /// What is logged: `info`, `debug`, `access=debug,warn`. `HOLDFAST_LOG` wins.
    log: String = "info".to_owned();
    /// Shape of a log line: `pretty` or `json`.
    log_format: LogFormat = LogFormat::Pretty;
}

/// See `spread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpreadChoice {
    Drives,
    Nodes,
}

/// See `runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeChoice {
    Monoio,
    Glommio,
    Epoll,
}

/// See `proxy_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    Off,
    Required,
}

#[cfg(test)]
mod tests;
