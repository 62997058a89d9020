//! The data directory: whose it is, what it was made with, and who holds it now.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::Step;
use super::{DevError, DevOptions};
use crate::config::write_owner_only;

/// Version of the directory's layout; a newer one is refused, an older one will be brought forward.
const FORMAT: u32 = 1;

/// `holdfast.json`: what makes a directory ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) format: u32,
    /// Of the authority whose objects the drives hold; known once it was first ready.
    pub(super) cluster_id: Option<String>,
    pub(super) created: String,
    pub(super) drives: u8,
    pub(super) parity: u8,
}

/// A data directory that this process holds; dropping it lets go.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    marker: Marker,
    /// True at the first start on it.
    pub(super) fresh: bool,
    _lock: File,
}

impl DataDir {
    /// Makes or opens it, takes the lock, and checks that the options are those it was made with.
    ///
    /// # Errors
    /// Not writable, foreign, held by another, made with other options, a drive gone.
    pub(super) fn open(options: &DevOptions) -> Result<Self, DevError> {
        let asked = &options.data_dir;
        let unwritable = |cause| DevError::Unwritable { path: asked.clone(), cause };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(asked).map_err(unwritable)?;
        let root = asked.canonicalize().map_err(unwritable)?;
        refuse_foreign(&root)?;
        let lock = lock(&root)?;
        let path = root.join("holdfast.json");
        let (marker, fresh) = match std::fs::read(&path) {
            Ok(text) => (read_marker(&path, &text)?, false),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => (new_marker(options), true),
            Err(cause) => return Err(unwritable(cause)),
        };
        let directory = Self { root, marker, fresh, _lock: lock };
        if fresh || !options.only_postgres {
            directory.check_geometry(options)?;
            directory.make_directories(options.degraded)?;
        }
        if fresh {
            // Last, so that a kill before it leaves a directory that is still being made.
            directory.write_marker()?;
        }
        Ok(directory)
    }

    fn check_geometry(&self, options: &DevOptions) -> Result<(), DevError> {
        for (name, created, asked) in
            [("drives", self.marker.drives, options.drives), ("parity", self.marker.parity, options.parity)]
        {
            if created != asked {
                return Err(DevError::Geometry { path: self.root.clone(), name, created, asked });
            }
        }
        Ok(())
    }

    fn make_directories(&self, degraded: bool) -> Result<(), DevError> {
        for name in ["run", "secrets", "logs", "node", "drives"] {
            let path = self.path(name);
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|cause| DevError::Unwritable { path, cause })?;
        }
        for path in self.drives() {
            if self.fresh {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&path)
                    .step(|| format!("cannot make {}", path.display()))?;
            } else if !path.is_dir() && !degraded {
                return Err(DevError::DriveMissing { path });
            }
        }
        Ok(())
    }

    /// The directory itself, without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn log(&self, role: &str) -> PathBuf {
        self.root.join("logs").join(format!("{role}.log"))
    }

    pub(super) fn drives(&self) -> Vec<PathBuf> {
        (0..self.marker.drives).map(|index| self.root.join("drives").join(format!("d{index}"))).collect()
    }

    /// Holds the directory to one authority: the first it meets.
    ///
    /// # Errors
    /// Another one than before: the database is not this directory's.
    pub(super) fn belongs_to(&mut self, cluster_id: &str) -> Result<(), DevError> {
        match &self.marker.cluster_id {
            Some(known) if known == cluster_id => Ok(()),
            Some(known) => Err(DevError::OtherCluster {
                path: self.root.clone(),
                known: known.clone(),
                found: cluster_id.to_owned(),
            }),
            None => {
                self.marker.cluster_id = Some(cluster_id.to_owned());
                self.write_marker()
            }
        }
    }

    fn write_marker(&self) -> Result<(), DevError> {
        let text = serde_json::to_vec_pretty(&self.marker).expect("a marker is plain JSON");
        Ok(write_owner_only(&self.path("holdfast.json"), &text)?)
    }
}

/// What may stand in a directory that is about to become ours: our own lock, a marker half written, a mount's root.
const NOT_FOREIGN: &[&str] =
    &["lock", "holdfast.json.new", "lost+found", "run", "secrets", "logs", "node", "drives"];

fn refuse_foreign(root: &Path) -> Result<(), DevError> {
    if root.join("holdfast.json").exists() {
        return Ok(());
    }
    let entries =
        std::fs::read_dir(root).map_err(|cause| DevError::Unwritable { path: root.to_owned(), cause })?;
    let begun = root.join("lock").exists();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name == "lost+found" || begun && NOT_FOREIGN.contains(&name.as_str());
        if !ours {
            return Err(DevError::Foreign { path: root.to_owned(), found: name });
        }
    }
    Ok(())
}

fn lock(root: &Path) -> Result<File, DevError> {
    let unwritable = |cause| DevError::Unwritable { path: root.to_owned(), cause };
    let path = root.join("lock");
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(unwritable)?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let pid = if known { format!(" (pid {})", pid.trim()) } else { String::new() };
            return Err(DevError::Locked { path: root.to_owned(), pid });
        }
        Err(TryLockError::Error(cause)) => return Err(unwritable(cause)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(unwritable)?;
    file.write_all(std::process::id().to_string().as_bytes()).map_err(unwritable)?;
    Ok(file)
}

/// A child between its fork and its exec still holds the lock of a `dev` that has just ended, for some milliseconds.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return other,
        }
    }
    file.try_lock()
}

fn read_marker(path: &Path, text: &[u8]) -> Result<Marker, DevError> {
    let refuse = |cause: String| DevError::Marker { path: path.to_owned(), cause };
    let marker: Marker = serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
    if marker.format != FORMAT {
        return Err(refuse(format!("its format is {}, this program knows {FORMAT}", marker.format)));
    }
    Ok(marker)
}

fn new_marker(options: &DevOptions) -> Marker {
    Marker {
        format: FORMAT,
        cluster_id: None,
        created: jiff::Timestamp::now().to_string(),
        drives: options.drives,
        parity: options.parity,
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::options;
    use super::{DataDir, DevError};
    use std::path::Path;

    fn open(path: &Path, flags: &[&str]) -> Result<DataDir, DevError> {
        let mut options = options(flags);
        path.clone_into(&mut options.data_dir);
        DataDir::open(&options)
    }

    #[test]
    fn a_directory_is_made_once_and_known_again() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("deep/down");
        let mut first = open(&path, &[]).expect("made");
        assert!(first.fresh && first.drives().len() == 4);
        assert!(matches!(open(&path, &[]), Err(DevError::Locked { .. })));
        first.belongs_to("one").expect("the first");
        drop(first);
        let mut again = open(&path, &[]).expect("opened");
        assert!(!again.fresh);
        again.belongs_to("one").expect("the same");
        let error = again.belongs_to("two").expect_err("another").to_string();
        assert!(error.contains("--database-url"), "{error}");
    }

    #[test]
    fn other_options_a_missing_drive_and_strangers_are_refused() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("data");
        drop(open(&path, &[]).expect("made"));
        let error = open(&path, &["--drives", "6"]).expect_err("refused").to_string();
        assert!(error.contains("created with --drives 4"), "{error}");
        assert!(open(&path, &["--parity", "1"]).is_err());
        std::fs::remove_dir(path.join("drives/d2")).expect("removed");
        let error = open(&path, &[]).expect_err("refused").to_string();
        assert!(error.contains("drives/d2 is missing"), "{error}");
        std::fs::write(parent.path().join("thesis.tex"), "").expect("written");
        let error = open(parent.path(), &[]).expect_err("refused").to_string();
        assert!(error.contains("not a Holdfast data directory"), "{error}");
    }

    #[test]
    fn a_start_that_was_killed_half_way_goes_on() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("data");
        drop(open(&path, &[]).expect("made"));
        std::fs::remove_file(path.join("holdfast.json")).expect("removed");
        assert!(open(&path, &[]).expect("made again").fresh);
    }
}
