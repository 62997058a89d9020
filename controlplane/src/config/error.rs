//! What can be wrong with a configuration: each a sentence with the cause and the next step.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "cannot read the configuration {path}: {cause}; name another with --config, or see `holdfast config reference`"
    )]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("the configuration {path} does not parse: {cause}; `holdfast config reference` lists every key")]
    Malformed { path: PathBuf, cause: String },
    #[error("{key} in {path} is not accepted: {cause}; `holdfast config reference` lists every key")]
    BadValue { path: PathBuf, key: String, cause: String },
    #[error("{key} is set without {other}; set both or neither")]
    Incomplete { key: &'static str, other: &'static str },
    #[error(
        "no database: set `database_url` (or `database_url_file`), such as `host=/run/postgresql user=holdfast dbname=holdfast`"
    )]
    NoDatabase,
    #[error("`database_url` and `database_url_file` are both set; keep one")]
    TwoDatabases,
    #[error("{key} is {addr}, which is not loopback, and has no TLS; set {tls} or listen on 127.0.0.1")]
    PlainBeyondLoopback { key: &'static str, addr: std::net::SocketAddr, tls: &'static str },
    #[error("{key} {why}; `holdfast config reference` lists every key")]
    OutOfBounds { key: &'static str, why: String },
    #[error("cannot read {what} {path}: {cause}; {next}")]
    SecretUnreadable { what: &'static str, path: PathBuf, cause: std::io::Error, next: &'static str },
    #[error("{what} {path} can be read by others (mode {mode:o}); run `chmod 600 {path}`", path = path.display())]
    SecretOpen { what: &'static str, path: PathBuf, mode: u32 },
    #[error("{what} {path} does not hold {expected}; {next}")]
    SecretMalformed { what: &'static str, path: PathBuf, expected: &'static str, next: &'static str },
    #[error("{path} holds a token's hash already, and the token cannot be shown again; remove it to have a new one made", path = path.display())]
    TokenExists { path: PathBuf },
    #[error("cannot write {path}: {cause}; check the directory's owner and free space")]
    Unwritable { path: PathBuf, cause: std::io::Error },
}
