//! Why a comparison, or one system of it, cannot go on.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("{0}")]
    Options(String),
    #[error("{program} is not beside {beside}: `cargo build --release` builds it", beside = beside.display())]
    NotBuilt { program: &'static str, beside: PathBuf },
    #[error("cannot {step}: {cause}")]
    Io { step: String, cause: std::io::Error },
    #[error("{name} did not come up: {cause}; its log ends with:\n{log_tail}")]
    NotUp { name: String, cause: String, log_tail: String },
    #[error("{name} cannot be had: {cause}")]
    NotHad { name: &'static str, cause: String },
    #[error("{path} is not what `compare` writes: {cause}", path = path.display())]
    Saved { path: PathBuf, cause: String },
    #[error("interrupted")]
    Interrupted,
}

/// Names the step that an I/O error stopped.
pub(super) fn at<T>(step: impl Into<String>, done: std::io::Result<T>) -> Result<T, CompareError> {
    done.map_err(|cause| CompareError::Io { step: step.into(), cause })
}
