//! What makes a directory a drive: a superblock with identities and a version, a lock for life, a known mount.
//!
//! A drive that is opened proves that it is ours (cluster), is itself (drive id), is understood (format version), and is
//! used by this process only. Everything else is a typed refusal that tells the operator the next command.

use std::io;
use std::path::{Path, PathBuf};

use holdfast_common::id::DriveId;
use serde::{Deserialize, Serialize};

use super::host::{Host, Lock};
use crate::rt::OpenOptions;

/// The newest format we write and read.
pub const FORMAT_VERSION: u32 = 1;

const SUPERBLOCK: &str = "holdfast-drive.json";
const LOCK: &str = "holdfast-drive.lock";
pub(super) const SEGMENTS: &str = "segments";

/// A superblock is a few lines; a longer file is none.
const SUPERBLOCK_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Superblock {
    format_version: u32,
    cluster_id: uuid::Uuid,
    drive_id: uuid::Uuid,
}

/// Why a directory is not taken as a drive: one sentence with the cause and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("drive {}: there is no such directory; mount the drive, or create it with `mkdir -p {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    #[error("drive {}: not a directory; name the directory the drive is mounted on", .0.display())]
    NotADirectory(PathBuf),
    #[error("drive {}: not formatted; if the disk is mounted and new, format it with `holdfast-dataplane --config FILE --format-drive {}`", .0.display(), .0.display())]
    NotFormatted(PathBuf),
    #[error("drive {}: the directory is not empty and holds no drive; name an empty directory", .0.display())]
    NotEmpty(PathBuf),
    #[error("drive {}: already formatted as drive {drive}; start the data plane on it, or name another directory", .path.display())]
    AlreadyFormatted { path: PathBuf, drive: DriveId },
    #[error("drive {}: it belongs to cluster {found}, not to {ours}; start the cluster it belongs to, or name another drive", .path.display())]
    ForeignCluster { path: PathBuf, found: uuid::Uuid, ours: uuid::Uuid },
    #[error("drive {}: it has format version {version}, and this build knows versions up to {FORMAT_VERSION}; start the newer build", .path.display())]
    NewerVersion { path: PathBuf, version: u32 },
    #[error("drive {}: it has the identity of drive {}; one of them is a copy of the other, take that out of `drives`", .path.display(), .of.display())]
    Copy { path: PathBuf, of: PathBuf },
    #[error("drive {}: its superblock {SUPERBLOCK} cannot be read as one ({reason}); restore the file from another copy, or replace the drive", .path.display())]
    BadSuperblock { path: PathBuf, reason: String },
    #[error("drive {}: another process uses it; find it with `fuser {}/{LOCK}` and stop it", .0.display(), .0.display())]
    Locked(PathBuf),
    #[error("drive {}: its file system is mounted read-only, so nothing can be written or deleted; `dmesg` says why, and `mount -o remount,rw {}` makes it writable again", .0.display(), .0.display())]
    ReadOnly(PathBuf),
    #[error("drive {}: cannot {step}: {error}; check owner, permissions and mount options with `ls -ld {}` and `findmnt -T {}`", .path.display(), .path.display(), .path.display())]
    Io { path: PathBuf, step: &'static str, error: io::Error },
    #[error("the drive index in {} does not open: {reason}; it can be deleted at any time and is rebuilt from the drives: `rm -r {}`", .path.display(), .path.display())]
    Index { path: PathBuf, reason: String },
}

impl OpenError {
    /// The sentence, its commands complete for whoever runs with this configuration file.
    #[must_use]
    pub fn with_config(&self, file: &Path) -> String {
        self.to_string().replace("--config FILE", &format!("--config {}", file.display()))
    }
}

/// Makes `path`, an empty directory or none yet, a drive. The superblock is renamed into place and every step is
/// synced, so that a crash leaves a drive or nothing.
///
/// # Errors
/// When it is not empty, already a drive, or cannot be written.
pub fn format(host: &dyn Host, path: &Path, cluster: [u8; 16], drive: DriveId) -> Result<(), OpenError> {
    let fail = |step| move |error| OpenError::Io { path: path.to_owned(), step, error };
    host.create_dir_all(path).map_err(fail("create it"))?;
    if let Ok(found) = read_superblock(host, path) {
        return Err(OpenError::AlreadyFormatted {
            path: path.to_owned(),
            drive: DriveId(*found.drive_id.as_bytes()),
        });
    }
    let ours = [LOCK, SEGMENTS, "lost+found", "holdfast-drive.json.new"];
    for name in host.names(path).map_err(fail("list it"))? {
        if !ours.iter().any(|known| name == *known) {
            return Err(OpenError::NotEmpty(path.to_owned()));
        }
    }
    host.create_dir_all(&path.join(SEGMENTS)).map_err(fail("create its segments"))?;
    let superblock = Superblock {
        format_version: FORMAT_VERSION,
        cluster_id: uuid::Uuid::from_bytes(cluster),
        drive_id: uuid::Uuid::from_bytes(drive.0),
    };
    let text = serde_json::to_vec_pretty(&superblock).expect("three plain fields");
    write_durably(host, &path.join(SUPERBLOCK), &text).map_err(fail("write its superblock"))?;
    if let Some(parent) = path.parent() {
        // The directory itself may be new; a parent that we may not open was not created by us.
        let _ = host.sync_dir(parent);
    }
    Ok(())
}

/// A directory that proved to be a drive of ours, locked until this is dropped.
#[derive(Debug)]
pub struct DriveRoot {
    pub path: PathBuf,
    pub drive: DriveId,
    /// `st_dev` when it was opened.
    pub device: u64,
    inode: u64,
    _lock: Lock,
}

impl DriveRoot {
    /// Opens and locks the drive in `path`.
    ///
    /// # Errors
    /// When it is not a drive of `cluster` that we may use: the sentence says why and what to do.
    pub fn open(host: &dyn Host, path: &Path, cluster: [u8; 16]) -> Result<Self, OpenError> {
        let fail = |step| move |error| OpenError::Io { path: path.to_owned(), step, error };
        let stat = match host.stat(path) {
            Ok(stat) if stat.is_dir => stat,
            Ok(_) => return Err(OpenError::NotADirectory(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Missing(path.to_owned()));
            }
            Err(error) => return Err(fail("look at it")(error)),
        };
        let superblock = read_superblock(host, path)?;
        if superblock.format_version > FORMAT_VERSION {
            return Err(OpenError::NewerVersion {
                path: path.to_owned(),
                version: superblock.format_version,
            });
        }
        let ours = uuid::Uuid::from_bytes(cluster);
        if superblock.cluster_id != ours {
            let found = superblock.cluster_id;
            return Err(OpenError::ForeignCluster { path: path.to_owned(), found, ours });
        }
        let lock = lock(host, path)?;
        host.create_dir_all(&path.join(SEGMENTS)).map_err(fail("create its segments"))?;
        let drive = DriveId(*superblock.drive_id.as_bytes());
        Ok(Self { path: path.to_owned(), drive, device: stat.device, inode: stat.inode, _lock: lock })
    }

    /// Whether the path still leads to the directory that was opened: a mount that went away uncovers another one, and
    /// nothing may be created there.
    #[must_use]
    pub fn still_mounted(&self, host: &dyn Host) -> bool {
        host.stat(&self.path).is_ok_and(|stat| stat.device == self.device && stat.inode == self.inode)
    }
}

/// The cluster that the drive in `path` belongs to; `None` when it is no drive.
///
/// # Errors
/// When there is a superblock that cannot be read.
pub fn cluster_of(host: &dyn Host, path: &Path) -> Result<Option<[u8; 16]>, OpenError> {
    match read_superblock(host, path) {
        Ok(found) => Ok(Some(*found.cluster_id.as_bytes())),
        Err(OpenError::NotFormatted(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The identity of the drive in `path`.
///
/// # Errors
/// When it is no drive, or one that cannot be read.
pub fn drive_of(host: &dyn Host, path: &Path) -> Result<DriveId, OpenError> {
    Ok(DriveId(*read_superblock(host, path)?.drive_id.as_bytes()))
}

fn read_superblock(host: &dyn Host, path: &Path) -> Result<Superblock, OpenError> {
    let text = match read_all(host, &path.join(SUPERBLOCK)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NotFormatted(path.to_owned()));
        }
        Err(error) => {
            return Err(OpenError::Io { path: path.to_owned(), step: "read its superblock", error });
        }
    };
    // The version first: a newer format may have other fields.
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let bad = |error: serde_json::Error| OpenError::BadSuperblock {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let version = serde_json::from_slice::<Version>(&text).map_err(bad)?.format_version;
    if version > FORMAT_VERSION {
        return Err(OpenError::NewerVersion { path: path.to_owned(), version });
    }
    serde_json::from_slice(&text).map_err(bad)
}

fn read_all(host: &dyn Host, path: &Path) -> io::Result<Vec<u8>> {
    let file = host.open(path, OpenOptions::default())?;
    let mut out = vec![0; file.size()?.min(SUPERBLOCK_BYTES_MAX) as usize];
    file.read_exact_at(&mut out, 0)?;
    Ok(out)
}

fn lock(host: &dyn Host, path: &Path) -> Result<Lock, OpenError> {
    host.lock(&path.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(path.to_owned()),
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path.to_owned()),
        _ => OpenError::Io { path: path.to_owned(), step: "lock it", error },
    })
}

fn write_durably(host: &dyn Host, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let options = OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::default() };
    let file = host.open(&new, options)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    host.rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| host.sync_dir(dir))
}
