//! The drives of a process: opened once, shared by its cores.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use holdfast_common::id::{BackendId, DriveId};
use parking_lot::Mutex;

use super::core::CoreDrives;
use super::drive::{Drive, Setup, Space};
use super::flush::Device;
use super::format::{DriveRoot, OpenError};
use super::keeper::{Found, Job, Keeper};
use super::{DriveStatus, recovery, segment};
use crate::index::DriveIndex;
use crate::limits::{
    KEEPER_QUEUE_MAX, SEGMENT_BYTES, SEGMENT_BYTES_MIN, SEGMENT_BYTES_SMALL, SEGMENT_LARGE_FROM_BYTES,
};
use crate::rt::Rt;

/// How the drives are opened.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Formatted directories ([`super::format::format`]).
    pub drives: Vec<PathBuf>,
    /// Where the index lives; may be deleted between runs.
    pub index: PathBuf,
    pub cluster: [u8; 16],
    /// Size of new segments; `None`: by the drive's capacity.
    pub segment_bytes: Option<u64>,
}

/// What [`Engine::open`] made of the configuration.
#[derive(Debug)]
pub struct Opened {
    pub engine: Arc<Engine>,
    /// Drives that were refused, each with its sentence. Whether to go on without them is the caller's.
    pub refused: Vec<OpenError>,
}

/// All drives that could be opened, with their index and keeper threads.
#[derive(Debug)]
pub struct Engine {
    pub(super) drives: Vec<Arc<Drive>>,
    pub(super) index: Arc<DriveIndex>,
    keepers: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Engine {
    /// Opens and locks the drives, opens the index, and finds everything again that the index does not know yet.
    /// Blocks; call it before the cores start.
    ///
    /// # Errors
    /// When the index cannot be opened or rebuilt. A drive that cannot be opened is in [`Opened::refused`].
    pub fn open(config: &EngineConfig) -> Result<Opened, OpenError> {
        let mut refused = Vec::new();
        let mut roots: Vec<DriveRoot> = Vec::new();
        for path in &config.drives {
            match DriveRoot::open(path, config.cluster) {
                Ok(root) => roots.push(root),
                Err(error) => refused.push(error),
            }
        }
        let ids: Vec<DriveId> = roots.iter().map(|root| root.drive).collect();
        let index = Arc::new(open_index(&config.index, &ids)?);
        let (drives, inboxes) = drives_of(roots, config.segment_bytes);
        let founds = recover(&drives, &index)?;
        let by_slot = drives.clone();
        index.report_empty(Box::new(move |slot, segment, generation| {
            // A full queue leaves it to the next start.
            let _ = by_slot[slot].keeper.try_send(Job::Recycle { segment, generation });
        }));
        let mut keepers = Vec::new();
        for ((drive, inbox), found) in drives.iter().zip(inboxes).zip(founds) {
            let keeper = Keeper::new(Arc::clone(drive), Arc::clone(&index), found);
            let name = format!("keeper-{}", drive.slot);
            let thread = std::thread::Builder::new().name(name).spawn(move || keeper.run(&inbox));
            let failed =
                |error| OpenError::Io { path: drive.path().to_owned(), step: "start its thread", error };
            keepers.push(thread.map_err(failed)?);
        }
        let engine = Arc::new(Self { drives, index, keepers: Mutex::new(keepers) });
        Ok(Opened { engine, refused })
    }

    /// A core's handle. Call it on the core.
    #[must_use]
    pub fn core<R: Rt>(self: &Arc<Self>) -> Rc<CoreDrives<R>> {
        CoreDrives::new(Arc::clone(self))
    }

    /// Says which backend a drive serves, as the authority numbered it.
    pub fn bind(&self, drive: DriveId, backend: BackendId) {
        if let Some(drive) = self.drives.iter().find(|known| known.id() == drive) {
            drive.bind(backend);
        }
    }

    #[must_use]
    pub fn statuses(&self) -> Vec<DriveStatus> {
        self.drives.iter().map(|drive| drive.status()).collect()
    }

    /// Every drive, for metrics.
    #[must_use]
    pub fn drives(&self) -> &[Arc<Drive>] {
        &self.drives
    }

    /// Ends keepers and index after the cores have closed theirs ([`CoreDrives::close`]): the next start reads little.
    pub fn stop(&self) {
        for drive in &self.drives {
            let _ = drive.keeper.send(Job::Stop);
        }
        for keeper in self.keepers.lock().drain(..) {
            let _ = keeper.join();
        }
        self.index.stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Opens the index; one that does not open is removed and made anew, because the drives hold everything.
fn open_index(path: &Path, drives: &[DriveId]) -> Result<DriveIndex, OpenError> {
    let fail = |reason: String| OpenError::Index { path: path.to_owned(), reason };
    DriveIndex::open(path, drives).or_else(|error| {
        if error.0.contains("lock") {
            return Err(fail(error.0));
        }
        tracing::warn!(path = %path.display(), %error, "the drive index does not open; rebuilding it from the drives");
        std::fs::remove_dir_all(path).map_err(|error| fail(error.to_string()))?;
        DriveIndex::open(path, drives).map_err(|error| fail(error.0))
    })
}

type Inboxes = Vec<flume::Receiver<Job>>;

fn drives_of(roots: Vec<DriveRoot>, segment_bytes: Option<u64>) -> (Vec<Arc<Drive>>, Inboxes) {
    let mut devices: HashMap<u64, Arc<Device>> = HashMap::new();
    let opened = roots.into_iter().enumerate().map(|(slot, root)| {
        let covers = any_file_covers(&root.path);
        let device = devices.entry(root.device).or_insert_with(|| Arc::new(Device::new(root.device, covers)));
        let by_capacity = match Space::of(&root.path).capacity {
            SEGMENT_LARGE_FROM_BYTES.. => SEGMENT_BYTES,
            _ => SEGMENT_BYTES_SMALL,
        };
        let segment_bytes = segment_bytes.unwrap_or(by_capacity).max(SEGMENT_BYTES_MIN);
        let setup = Setup { segment_bytes, direct: segment::direct_works(&root.path) };
        let (sender, inbox) = flume::bounded(KEEPER_QUEUE_MAX);
        (Arc::new(Drive::new(slot, root, Arc::clone(device), setup, sender)), inbox)
    });
    opened.unzip()
}

/// Whether `fdatasync` of one overwritten file flushes the device for all: true for ext4 and xfs.
fn any_file_covers(path: &Path) -> bool {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    rustix::fs::statfs(path).is_ok_and(|found| matches!(u64::try_from(found.f_type), Ok(EXT4 | XFS)))
}

/// Recovers all drives, each in its own thread, and says how long that took.
fn recover(drives: &[Arc<Drive>], index: &DriveIndex) -> Result<Vec<Found>, OpenError> {
    let began = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            drives.iter().map(|drive| scope.spawn(|| recovery::recover(drive, index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("recovery does not panic")).collect()
    });
    let mut founds = Vec::new();
    let mut total = recovery::Tally::default();
    for result in results {
        let (found, tally) = result?;
        total.add(tally);
        founds.push(found);
    }
    tracing::info!(
        drives = drives.len(),
        segments = total.segments,
        walked = total.walked,
        pieces = total.pieces,
        deletes = total.deletes,
        torn = total.torn,
        millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "drives recovered"
    );
    Ok(founds)
}
