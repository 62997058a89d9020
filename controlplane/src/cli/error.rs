//! What the tool says when it did not do what it was asked: one sentence, and the next step.

use crate::api::client::ClientError;
use crate::config::ConfigError;
use crate::dev::DevError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Sentence(String),
    #[error(
        "no server named: give --data-dir DIR of a running `holdfast dev`, or set HOLDFAST_ADMIN_URL and HOLDFAST_ADMIN_TOKEN"
    )]
    NoServer,
    #[error(
        "{0}; is it running? `holdfast dev --data-dir DIR` or `systemctl status holdfast-controlplane` tells"
    )]
    Unreachable(#[from] ClientError),
    #[error(
        "the token was refused; --data-dir must be that of the running `dev`, HOLDFAST_ADMIN_TOKEN what `holdfast-controlplane init` printed"
    )]
    Unauthorized,
    /// The server's own sentence.
    #[error("{0}")]
    Refused(String),
    #[error(
        "{authority} answered what is not Holdfast's ({cause}); does the address lead to its admin listener?"
    )]
    Strange { authority: String, cause: String },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Dev(#[from] DevError),
}
