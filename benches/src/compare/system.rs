//! The systems that are compared: what they are called, what an answer of theirs is worth, how they are started.

use super::error::CompareError;
use super::session::Session;
use super::{garage, holdfast, seaweedfs};
use crate::s3bench::options::TargetOptions;
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Holdfast,
    Seaweedfs {
        fsync: bool,
    },
    Garage {
        fsync: bool,
    },
    /// Somebody else's endpoint: started, stopped and cleaned by nobody here.
    Url(String),
}

impl Kind {
    pub(super) fn parse(name: &str) -> Result<Self, CompareError> {
        match name {
            "seaweedfs" => Ok(Self::Seaweedfs { fsync: false }),
            "seaweedfs-fsync" => Ok(Self::Seaweedfs { fsync: true }),
            "garage" => Ok(Self::Garage { fsync: false }),
            "garage-fsync" => Ok(Self::Garage { fsync: true }),
            url if url.starts_with("http://") => Ok(Self::Url(url.to_owned())),
            other => Err(CompareError::Options(format!(
                "`{other}` is no peer: seaweedfs, seaweedfs-fsync, garage, garage-fsync, http://host:port and none are"
            ))),
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Holdfast => "holdfast".to_owned(),
            Self::Seaweedfs { fsync: false } => "seaweedfs".to_owned(),
            Self::Seaweedfs { fsync: true } => "seaweedfs-fsync".to_owned(),
            Self::Garage { fsync: false } => "garage".to_owned(),
            Self::Garage { fsync: true } => "garage-fsync".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }

    /// What is on stable storage when a PUT was answered.
    pub(super) fn durable(&self) -> Durable {
        match self {
            Self::Holdfast | Self::Garage { fsync: true } => Durable::Yes,
            Self::Seaweedfs { fsync: true } => Durable::BytesOnly,
            Self::Seaweedfs { fsync: false } | Self::Garage { fsync: false } => Durable::No,
            Self::Url(_) => Durable::Unknown,
        }
    }

    /// Reads go the same way with and without fsync: rows that only read ask this one in the other's place.
    pub(super) fn reads_like(&self) -> Option<Self> {
        match self {
            Self::Seaweedfs { fsync: true } => Some(Self::Seaweedfs { fsync: false }),
            Self::Garage { fsync: true } => Some(Self::Garage { fsync: false }),
            _ => None,
        }
    }

    /// Starts it on an empty directory and waits until it serves.
    pub(super) fn start(&self, session: &Session, dir: &Path) -> Result<Running, CompareError> {
        match self {
            Self::Holdfast => holdfast::start(session, dir),
            Self::Seaweedfs { fsync } => seaweedfs::start(session, dir, *fsync),
            Self::Garage { fsync } => garage::start(session, dir, *fsync),
            Self::Url(url) => Ok(Running {
                name: self.name(),
                at: At::Url(url.clone()),
                access_key: std::env::var("AWS_ACCESS_KEY_ID").ok(),
                secret_key: std::env::var("AWS_SECRET_ACCESS_KEY").ok(),
                region: std::env::var("AWS_REGION").ok(),
                roots: session.url_pids.iter().map(|pid| (pid.to_string(), *pid)).collect(),
                started: None,
            }),
        }
    }
}

/// What a power cut just after the answer leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Durable {
    Yes,
    /// The bytes are flushed, the names that lead to them are not.
    BytesOnly,
    No,
    Unknown,
}

impl Durable {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::BytesOnly => "bytes, not names",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// A system that serves.
pub(super) struct Running {
    pub(super) name: String,
    pub(super) at: At,
    pub(super) access_key: Option<String>,
    pub(super) secret_key: Option<String>,
    pub(super) region: Option<String>,
    /// Role and process id at the top of each tree of processes.
    pub(super) roots: Vec<(String, u32)>,
    /// Process to stop at the end.
    pub(super) started: Option<u32>,
}

/// How the load generator finds it.
pub(super) enum At {
    Url(String),
    /// Of `holdfast dev`: address, credentials, processes and metrics are in its files.
    DataDir(PathBuf),
}

impl Running {
    pub(super) fn aim(&self, target: &mut TargetOptions) {
        match &self.at {
            At::Url(url) => {
                target.endpoint = Some(url.clone());
                target.pids = self.roots.iter().map(|(_, pid)| *pid).collect();
            }
            At::DataDir(dir) => target.data_dir = Some(dir.clone()),
        }
        target.bucket = BUCKET.to_owned();
        target.access_key.clone_from(&self.access_key);
        target.secret_key.clone_from(&self.secret_key);
        target.region.clone_from(&self.region);
    }
}

const BUCKET: &str = "compare";
