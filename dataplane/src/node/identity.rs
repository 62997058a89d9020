//! Who this node is, and which drives are its own: kept in `node.json` of its data directory. A node with a certificate is
//! whom that names.
//!
//! A drive is formatted only the first time its path is named, when it is empty. A path that once was a drive and is empty now is a
//! mount that went away; formatting it would fill the root disk, so it is left as it is and the engine refuses it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_common::id::DriveId;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::drives::format;
use crate::drives::host::RealHost;
use crate::enrol;
use crate::rt::random;

pub(super) struct Identity {
    pub(super) node_id: Arc<str>,
    pub(super) node_name: String,
    pub(super) cluster_id: [u8; 16],
}

/// `node.json`, version 1.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    node_id: uuid::Uuid,
    cluster_id: uuid::Uuid,
    /// Path to drive id.
    drives: BTreeMap<PathBuf, uuid::Uuid>,
}

impl Identity {
    /// `certified`: the identity by the node's certificate, which goes before every other.
    pub(super) fn open(config: &Config, certified: Option<&enrol::Identity>) -> Result<Self, String> {
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|error| {
            format!(
                "the data directory {} cannot be made: {error}; check its parent's owner and mode",
                dir.display()
            )
        })?;
        let path = dir.join("node.json");
        let mut stored = read(&path)?.map_or_else(|| new_identity(config, certified), Ok)?;
        if let Some(certified) = certified {
            adopt_certificate(dir, &mut stored, certified)?;
        }
        if config.cluster_id.is_some_and(|cluster| cluster != stored.cluster_id) {
            return Err(format!(
                "{} belongs to cluster {} and the configuration names {}; use another `data_dir` or correct `cluster_id`",
                dir.display(),
                stored.cluster_id,
                config.cluster_id.unwrap_or_default()
            ));
        }
        adopt_drives(config, &mut stored)?;
        write(&path, &stored)?;
        Ok(Self {
            node_id: stored.node_id.to_string().into(),
            node_name: config.node_name.clone().unwrap_or_else(host_name),
            cluster_id: *stored.cluster_id.as_bytes(),
        })
    }
}

/// The node is whom its certificate names, in the cluster that made it.
fn adopt_certificate(dir: &Path, stored: &mut Stored, certified: &enrol::Identity) -> Result<(), String> {
    if stored.cluster_id != certified.cluster {
        return Err(format!(
            "{} belongs to cluster {} and the node's certificate to {}; use another `data_dir`, or join the cluster of this one",
            dir.display(),
            stored.cluster_id,
            certified.cluster
        ));
    }
    if stored.node_id != certified.node_id {
        tracing::warn!(was = %stored.node_id, now = %certified.node_id, "this node is another now, by its certificate");
        stored.node_id = certified.node_id;
    }
    Ok(())
}

fn new_identity(config: &Config, certified: Option<&enrol::Identity>) -> Result<Stored, String> {
    let mut of_drives = None;
    for drive in &config.drives {
        of_drives = of_drives.or(format::cluster_of(&RealHost, drive).map_err(|error| error.to_string())?);
    }
    let cluster_id = config.cluster_id.or(of_drives.map(uuid::Uuid::from_bytes));
    let cluster_id = cluster_id.or(certified.map(|certified| certified.cluster)).unwrap_or_else(new_uuid);
    let node_id = certified.map_or_else(new_uuid, |certified| certified.node_id);
    Ok(Stored { version: 1, node_id, cluster_id, drives: BTreeMap::new() })
}

/// Formats the directories that are named for the first time and are no drives yet.
fn adopt_drives(config: &Config, stored: &mut Stored) -> Result<(), String> {
    for path in &config.drives {
        if stored.drives.contains_key(path) {
            continue;
        }
        if format::cluster_of(&RealHost, path).map_err(|error| error.to_string())?.is_none() {
            let drive = DriveId(*new_uuid().as_bytes());
            format::format(&RealHost, path, *stored.cluster_id.as_bytes(), drive)
                .map_err(|error| error.to_string())?;
            tracing::info!(path = %path.display(), %drive, "formatted a drive");
        }
        let drive = format::drive_of(&RealHost, path).map_err(|error| error.to_string())?;
        stored.drives.insert(path.clone(), uuid::Uuid::from_bytes(drive.0));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Stored>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let stored: Stored = serde_json::from_str(&text).map_err(|error| {
        format!(
            "{} is not a node's identity: {error}; restore it, or remove it to become a new node",
            path.display()
        )
    })?;
    match stored.version {
        1 => Ok(Some(stored)),
        newer => Err(format!(
            "{} has version {newer}; run the release that wrote it, or a newer one",
            path.display()
        )),
    }
}

/// Durable before it is used: whole or not at all.
fn write(path: &Path, stored: &Stored) -> Result<(), String> {
    let new = path.with_extension("json.new");
    let text = serde_json::to_vec_pretty(stored).expect("plain data");
    let written = std::fs::File::create(&new)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&new, path))
        .and_then(|()| std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all());
    written.map_err(|error| {
        format!("{} cannot be written: {error}; check owner, mode and space", path.display())
    })
}

fn new_uuid() -> uuid::Uuid {
    let mut bytes = [0u8; 16];
    random(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "node".to_owned(), |text| text.trim().to_owned())
}
