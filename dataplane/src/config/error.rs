//! What is wrong with a configuration: a sentence with the cause and what to do next.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration {path} cannot be read: {cause}; give an existing file with `--config FILE`")]
    Read { path: PathBuf, cause: io::Error },
    #[error(
        "{origin}: `{key}`: {why}; `holdfast-dataplane --config-reference` prints every key with its meaning"
    )]
    Parse { origin: String, key: String, why: String },
    #[error("{origin}: {why}; `holdfast-dataplane --config-reference` prints every key with its meaning")]
    Syntax { origin: String, why: String },
    #[error("`{key}` {why}; {next}")]
    Value { key: &'static str, why: String, next: String },
    #[error("the file {path} of `{key}` cannot be used: {why}; {next}")]
    Secret { key: &'static str, path: PathBuf, why: String, next: String },
}
