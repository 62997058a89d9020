//! The drives of a process: opened once, shared by its cores.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use holdfast_common::id::{BackendId, DriveId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::core::CoreDrives;
use super::drive::{Drive, Setup};
use super::flush::Device;
use super::format::{DriveRoot, OpenError};
use super::host::{Host, RealHost};
use super::keeper::{Found, Job, Keeper};
use super::pace::Paces;
use super::{DriveStatus, recovery, segment};
use crate::index::{DriveIndex, Living, MemoryStore};
use crate::limits::{
    KEEPER_QUEUE_MAX, KEEPER_STOP_WAIT, SEGMENT_BYTES, SEGMENT_BYTES_MIN, SEGMENT_BYTES_SIMULATED,
    SEGMENT_BYTES_SMALL, SEGMENT_LARGE_FROM_BYTES,
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

/// Who carries keepers and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// A thread for each; drives are recovered at the same time.
    Threads,
    /// Tasks of one core, begun by [`Engine::run_on`] and ended by [`Engine::stop_on`]; drives are recovered one after
    /// the other. No queue between tasks has a bound then, and nothing waits for another thread. For simulators.
    Tasks,
}

/// All drives that could be opened, with their index and keepers.
#[derive(Debug)]
pub struct Engine {
    pub(super) drives: Vec<Arc<Drive>>,
    pub(super) index: Arc<DriveIndex>,
    starter: Starter,
    keepers: Mutex<Keepers>,
}

/// Keepers by how far they are.
#[derive(Debug, Default)]
struct Keepers {
    waiting: Vec<(Keeper, flume::Receiver<Job>)>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Disconnected when all threads have ended.
    ended: Option<flume::Receiver<()>>,
    /// Each resolves when its task has ended.
    tasks: Vec<oneshot::Receiver<()>>,
    /// The same for the index, which ends last.
    index_task: Option<oneshot::Receiver<()>>,
}

impl Engine {
    /// As [`Engine::open_with`], on this machine with threads.
    ///
    /// # Errors
    /// As [`Engine::open_with`].
    pub fn open(config: &EngineConfig) -> Result<Opened, OpenError> {
        Self::open_with(config, &(Arc::new(RealHost) as Arc<dyn Host>), Starter::Threads)
    }

    /// Opens and locks the drives, opens the index, and finds everything again that the index does not know yet.
    /// Blocks; call it before the cores start.
    ///
    /// # Errors
    /// When the index cannot be opened or a thread not started. A drive that cannot be opened or recovered is in
    /// [`Opened::refused`].
    pub fn open_with(
        config: &EngineConfig,
        host: &Arc<dyn Host>,
        starter: Starter,
    ) -> Result<Opened, OpenError> {
        Self::open_over(config, host, starter, |drives| open_index(&config.index, drives))
    }

    /// As [`Engine::open_with`] with tasks, and with the index in memory: [`EngineConfig::index`] is not looked at.
    ///
    /// # Errors
    /// As [`Engine::open_with`].
    pub fn open_in_memory(
        config: &EngineConfig,
        host: &Arc<dyn Host>,
        store: &MemoryStore,
    ) -> Result<Opened, OpenError> {
        let open = |drives: &[DriveId]| {
            DriveIndex::in_memory(store, drives)
                .map_err(|error| OpenError::Index { path: config.index.clone(), reason: error.0 })
        };
        Self::open_over(config, host, Starter::Tasks, open)
    }

    fn open_over(
        config: &EngineConfig,
        host: &Arc<dyn Host>,
        starter: Starter,
        index: impl FnOnce(&[DriveId]) -> Result<DriveIndex, OpenError>,
    ) -> Result<Opened, OpenError> {
        let mut refused = Vec::new();
        let mut roots: Vec<DriveRoot> = Vec::new();
        for path in &config.drives {
            match DriveRoot::open(&**host, path, config.cluster) {
                // The index knows a drive by its id.
                Ok(root) => match roots.iter().find(|known| known.drive == root.drive) {
                    Some(known) => {
                        refused.push(OpenError::Copy { path: path.clone(), of: known.path.clone() })
                    }
                    None => roots.push(root),
                },
                Err(error) => refused.push(error),
            }
        }
        let ids: Vec<DriveId> = roots.iter().map(|root| root.drive).collect();
        let index = Arc::new(index(&ids)?);
        let (drives, inboxes) = drives_of(host, roots, config.segment_bytes, starter);
        let founds = recover(&**host, &drives, &index, starter);
        let by_slot = drives.clone();
        index.report_empty(Box::new(move |slot, segment, generation| {
            // A full queue leaves it to the next start.
            let _ = by_slot[slot].keeper.try_send(Job::Recycle { segment, generation });
        }));
        let mut waiting = Vec::new();
        for ((drive, found), inbox) in drives.iter().zip(founds).zip(inboxes) {
            match found {
                Ok(found) => {
                    waiting.push((Keeper::new(Arc::clone(drive), Arc::clone(&index), found), inbox));
                }
                // What was found of it is served; without a keeper nothing is written to it.
                Err(error) => {
                    drive.fail(error.to_string());
                    refused.push(error);
                }
            }
        }
        let keepers = Mutex::new(Keepers { waiting, ..Keepers::default() });
        let engine = Arc::new(Self { drives, index, starter, keepers });
        if starter == Starter::Threads {
            engine.start_threads()?;
        }
        Ok(Opened { engine, refused })
    }

    fn start_threads(&self) -> Result<(), OpenError> {
        let mut keepers = self.keepers.lock();
        let (running, ended) = flume::bounded(0);
        keepers.ended = Some(ended);
        for (keeper, inbox) in std::mem::take(&mut keepers.waiting) {
            let path = keeper.drive.path().to_owned();
            let name = format!("keeper-{}", keeper.drive.slot);
            let running = running.clone();
            let thread = std::thread::Builder::new().name(name).spawn(move || {
                keeper.run(&inbox);
                drop(running);
            });
            let thread = thread.map_err(|error| OpenError::Io { path, step: "start its thread", error })?;
            keepers.threads.push(thread);
        }
        Ok(())
    }

    /// Begins keepers and index as tasks of this core.
    ///
    /// # Panics
    /// When the engine was opened to run on threads.
    pub fn run_on<R: Rt>(&self) {
        assert!(self.starter == Starter::Tasks, "its threads run already");
        let mut keepers = self.keepers.lock();
        let (ended, end) = oneshot::channel();
        keepers.index_task = Some(end);
        let index = self.index.task::<R>();
        R::spawn(async move {
            index.await;
            // Whoever stops the engine may have gone.
            let _ = ended.send(());
        });
        for (keeper, inbox) in std::mem::take(&mut keepers.waiting) {
            let (ended, end) = oneshot::channel();
            keepers.tasks.push(end);
            R::spawn(async move {
                keeper.run_on::<R>(inbox).await;
                // Whoever stops the engine may have gone.
                let _ = ended.send(());
            });
        }
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

    /// What lives on a drive; after a crash, what was counted so far.
    #[must_use]
    pub fn living(&self, drive: &Drive) -> Living {
        self.index.living(drive.slot)
    }

    /// What should live in segments that were not there at the start.
    #[must_use]
    pub fn lost(&self, drive: &Drive) -> Living {
        self.index.lost(drive.slot)
    }

    /// Every drive, for metrics.
    #[must_use]
    pub fn drives(&self) -> &[Arc<Drive>] {
        &self.drives
    }

    /// Ends keepers and index after the cores have closed theirs ([`CoreDrives::close`]): the next start reads little.
    /// Blocks. With tasks it does nothing: there it is [`Engine::stop_on`] that ends them.
    pub fn stop(&self) {
        if self.starter == Starter::Tasks {
            return;
        }
        for drive in &self.drives {
            // The queue of a keeper that hangs may be full.
            let _ = drive.keeper.try_send(Job::Stop);
        }
        let Keepers { threads, ended, .. } = std::mem::take(&mut *self.keepers.lock());
        if ended.is_none_or(|ended| self.ends(&ended)) {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        } else {
            tracing::error!("a drive hangs; stopping without it");
        }
        self.index.stop();
    }

    /// Waits for the keepers' threads; `false` when none of those left has moved for a while.
    fn ends(&self, ended: &flume::Receiver<()>) -> bool {
        let mut before = None;
        while ended.recv_timeout(KEEPER_STOP_WAIT) == Err(flume::RecvTimeoutError::Timeout) {
            let turns: u64 = self.drives.iter().map(|drive| drive.turns.value()).sum();
            if before.replace(turns) == Some(turns) {
                return false;
            }
        }
        true
    }

    /// As [`Engine::stop`], for keepers that are tasks of this core.
    pub async fn stop_on(&self) {
        for drive in &self.drives {
            let _ = drive.keeper.send(Job::Stop);
        }
        let tasks = std::mem::take(&mut self.keepers.lock().tasks);
        for task in tasks {
            let _ = task.await;
        }
        self.index.stop();
        let index = self.keepers.lock().index_task.take();
        if let Some(index) = index {
            let _ = index.await;
        }
    }
}

/// A simulated crash drops an engine without [`Engine::stop_on`], and nothing may then be written any more.
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

fn drives_of(
    host: &Arc<dyn Host>,
    roots: Vec<DriveRoot>,
    segment_bytes: Option<u64>,
    starter: Starter,
) -> (Vec<Arc<Drive>>, Inboxes) {
    let mut devices: HashMap<u64, Arc<Device>> = HashMap::new();
    let paces = Arc::new(Paces::new(roots.len()));
    let opened = roots.into_iter().enumerate().map(|(slot, root)| {
        let covers = host.any_file_covers(&root.path);
        let device = devices.entry(root.device).or_insert_with(|| Arc::new(Device::new(root.device, covers)));
        let by_capacity = match host.space(&root.path).unwrap_or_default().capacity {
            SEGMENT_LARGE_FROM_BYTES.. => SEGMENT_BYTES,
            _ => SEGMENT_BYTES_SMALL,
        };
        let least = match starter {
            Starter::Threads => SEGMENT_BYTES_MIN,
            Starter::Tasks => SEGMENT_BYTES_SIMULATED,
        };
        let segment_bytes = segment_bytes.unwrap_or(by_capacity).max(least);
        let setup = Setup {
            segment_bytes,
            direct: segment::direct_works(&**host, &root.path),
            paces: Arc::clone(&paces),
        };
        let (sender, inbox) = match starter {
            Starter::Threads => flume::bounded(KEEPER_QUEUE_MAX),
            Starter::Tasks => flume::unbounded(),
        };
        (Arc::new(Drive::new(slot, root, Arc::clone(device), setup, Arc::clone(host), sender)), inbox)
    });
    opened.unzip()
}

/// Recovers all drives, each in its own thread where there may be threads, and says how long that took.
fn recover(
    host: &dyn Host,
    drives: &[Arc<Drive>],
    index: &DriveIndex,
    starter: Starter,
) -> Vec<Result<Found, OpenError>> {
    let began = host.now();
    let results: Vec<_> = match starter {
        Starter::Tasks => drives.iter().map(|drive| recovery::recover(drive, index)).collect(),
        Starter::Threads => std::thread::scope(|scope| {
            let threads: Vec<_> =
                drives.iter().map(|drive| scope.spawn(|| recovery::recover(drive, index))).collect();
            threads.into_iter().map(|thread| thread.join().expect("recovery does not panic")).collect()
        }),
    };
    let mut founds = Vec::new();
    let mut total = recovery::Tally::default();
    for result in results {
        founds.push(result.map(|(found, tally)| {
            total.add(tally);
            found
        }));
    }
    tracing::info!(
        drives = drives.len(),
        segments = total.segments,
        walked = total.walked,
        pieces = total.pieces,
        deletes = total.deletes,
        torn = total.torn,
        millis = u64::try_from(host.now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX),
        "drives recovered"
    );
    founds
}
