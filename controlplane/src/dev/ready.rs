//! What others read of a running `dev`: `ready.json` (addresses, process ids) and `admin.json` (where and with what
//! token to administer it).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ports::Addresses;
use super::{DataDir, DevError, DevOptions};
use crate::config::{ConfigError, read_owner_only, write_owner_only};

/// `DIR/ready.json`: there while everything answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReadyFile {
    pub(super) s3: String,
    pub(super) admin: String,
    pub(super) region: String,
    /// The data plane's own `/metrics`, `/livez`, `/readyz`; the admin address shows them too.
    pub(super) dataplane_ops: String,
    pub(super) pids: Pids,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pids {
    pub(super) dev: u32,
    pub(super) controlplane: u32,
    pub(super) dataplane: u32,
    /// Absent with `--database-url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) postgres: Option<u32>,
}

/// `DIR/admin.json`.
#[derive(Serialize, Deserialize)]
pub struct AdminFile {
    pub url: String,
    pub token: String,
    /// Certificate to believe, when the address speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl AdminFile {
    /// Reads it.
    ///
    /// # Errors
    /// Missing, open to others, not what it should be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let next = "is `holdfast dev` running on this directory? It writes the file at its first start";
        let text = read_owner_only("the admin address", path, next)?;
        serde_json::from_slice(text.expose()).map_err(|_| ConfigError::SecretMalformed {
            what: "the admin address",
            path: path.to_owned(),
            expected: "`url` and `token`",
            next: "remove it and restart `holdfast dev`",
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = serde_json::to_string_pretty(self).expect("plain JSON");
        write_owner_only(path, text.as_bytes())
    }
}

impl ReadyFile {
    pub(super) fn new(options: &DevOptions, addresses: &Addresses, pids: Pids) -> Self {
        Self {
            s3: url(addresses.s3, options.tls_cert.is_some()),
            admin: url(addresses.admin, admin_tls(addresses.admin)),
            region: options.region.clone(),
            dataplane_ops: url(addresses.ops, false),
            pids,
        }
    }

    pub(super) fn write(&self, directory: &DataDir) -> Result<(), DevError> {
        let text = serde_json::to_string_pretty(self).expect("plain JSON");
        Ok(write_owner_only(&directory.path("ready.json"), text.as_bytes())?)
    }

    /// The line that says so.
    pub(super) fn line(&self) -> String {
        format!("ready s3={} admin={}\n", self.s3, self.admin)
    }
}

/// Before start and at the end: nobody may believe an old one.
pub(super) fn withdraw(directory: &DataDir) {
    let _ = std::fs::remove_file(directory.path("ready.json"));
}

/// On loopback the admin address is plain; beyond it TLS, with S3's certificate.
pub(super) fn admin_tls(addr: SocketAddr) -> bool {
    !addr.ip().is_loopback()
}

pub(super) fn url(addr: SocketAddr, tls: bool) -> String {
    format!("{}://{addr}", if tls { "https" } else { "http" })
}
