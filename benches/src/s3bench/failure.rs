//! What can go wrong: with one operation (counted, the run goes on) and with a run (it stops).

use std::path::PathBuf;

/// Why one operation failed; the report counts them by name.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{status} {code}")]
    Status { status: u16, code: String },
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("timeout")]
    Timeout,
    #[error("answer: {0}")]
    Answer(&'static str),
    /// The bytes that came back are not those that were put.
    #[error("wrong bytes")]
    WrongBytes,
}

impl Failure {
    /// Under which name the report counts it: few and stable.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Io(error) => format!("connection: {}", error.kind()),
            other => other.to_string(),
        }
    }

    /// After this the connection still stands between two answers.
    pub(super) fn connection_is_whole(&self) -> bool {
        matches!(self, Self::Status { .. } | Self::WrongBytes)
    }
}

/// Why a run cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(
        "name a target: --endpoint URL with --access-key and --secret-key, or --data-dir DIR of a running `holdfast dev`"
    )]
    NoTarget,
    #[error("--endpoint {0} is not http(s)://host[:port]: {1}")]
    Endpoint(String, &'static str),
    #[error(
        "no credentials: give --access-key and --secret-key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    #[error("cannot read {path}: {cause}; is `holdfast dev --data-dir` running there?")]
    DataDir { path: PathBuf, cause: String },
    #[error("cannot take certificates from {path}: {cause}; name a PEM file with --ca")]
    Certificates { path: PathBuf, cause: String },
    #[error("cannot {step}: {cause}")]
    Step { step: String, cause: Failure },
    #[error("{count} of {of} keys could not be put before the run, first: {first}")]
    Preload { count: u64, of: u64, first: String },
    #[error("{0}")]
    Options(String),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}
