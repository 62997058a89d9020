//! Compaction: space comes back, nothing living is lost, nothing deleted returns, wherever it is stopped.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use holdfast_protocol::record::SegmentRole;

use super::*;
use crate::drives::host::{HostFile, Lock, Space, Stat};
use crate::index::{Key, MemoryStore};
use crate::rt::OpenOptions;

type Handle = Rc<CoreDrives<EpollRt>>;

/// A machine that stops, as a killed process does, after so many changes of its files.
#[derive(Debug)]
struct Stopping {
    left: AtomicUsize,
    /// What its drive pretends to hold, bytes.
    capacity: Option<u64>,
}

impl Stopping {
    fn after(changes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(changes), capacity: None })
    }

    /// One that never stops, on a small drive.
    fn never(capacity: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(usize::MAX), capacity: Some(capacity) })
    }

    fn change(&self) -> io::Result<()> {
        let spent = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        spent.map(|_| ()).map_err(|_| io::Error::other("stopped"))
    }

    fn stopped(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }
}

#[derive(Debug)]
struct StoppingHost(Arc<Stopping>);

#[derive(Debug)]
struct StoppingFile(Box<dyn HostFile>, Arc<Stopping>);

impl Host for StoppingHost {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn HostFile>> {
        if options.create {
            self.0.change()?;
        }
        Ok(Box::new(StoppingFile(RealHost.open(path, options)?, Arc::clone(&self.0))))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        RealHost.names(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealHost.create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.change()?;
        RealHost.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealHost.rename(from, to)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealHost.stat(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let Some(capacity) = self.0.capacity else { return RealHost.space(path) };
        let files = std::fs::read_dir(path.join("segments"))?.filter_map(Result::ok);
        let used: u64 = files.filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum();
        Ok(Space { capacity, free: capacity.saturating_sub(used) })
    }

    fn any_file_covers(&self, path: &Path) -> bool {
        RealHost.any_file_covers(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.change()?;
        RealHost.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        RealHost.lock(path)
    }

    fn now(&self) -> Instant {
        RealHost.now()
    }

    fn unix_ms(&self) -> u64 {
        RealHost.unix_ms()
    }
}

impl HostFile for StoppingFile {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.change()?;
        self.0.write_all_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.1.change()?;
        self.0.set_len(bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.1.change()?;
        self.0.reserve(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.change()?;
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.1.change()?;
        self.0.sync_all()
    }
}

const COUNT: u32 = 110;

fn len(n: u32) -> usize {
    if n.is_multiple_of(5) { 3000 } else { 200_000 }
}

fn stays(n: u32) -> bool {
    n.is_multiple_of(3)
}

/// Opens the drives of `place` with an index in memory, runs `check` and stops, or crashes.
fn with_engine<F: Future<Output = ()>>(
    place: &Arc<Place>,
    host: Arc<dyn Host>,
    store: &MemoryStore,
    crash: bool,
    check: impl FnOnce(Arc<Engine>, Handle) -> F + Send + 'static,
) {
    let (place, store) = (Arc::clone(place), store.clone());
    on_core::<EpollRt, _>(move || async move {
        let Opened { engine, refused } = Engine::open_in_memory(&place.config(), &host, &store).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        (0..place.drives).for_each(|n| engine.bind(id(n), backend(n)));
        engine.run_on::<EpollRt>();
        let drives = engine.core::<EpollRt>();
        check(Arc::clone(&engine), Rc::clone(&drives)).await;
        if !crash {
            drives.close().await;
            engine.stop_on().await;
        }
    });
}

fn real() -> Arc<dyn Host> {
    Arc::new(RealHost)
}

/// A drive on which two thirds of some sealed segments are garbage, stopped cleanly, with the index of that moment.
fn wasted() -> (Arc<Place>, MemoryStore) {
    let (place, store) = (Arc::new(Place::new(1)), MemoryStore::default());
    with_engine(&place, real(), &store, false, |engine, drives| async move {
        // The pool first, so that it is not what a compaction waits for.
        until(|| free_segments(&engine.drives[0]) >= 3).await;
        for n in 0..COUNT {
            let receipt = drives.append(backend(0), piece(n, 0, len(n))).await.unwrap();
            drives.flush(backend(0), receipt).await.unwrap();
        }
        // Deleted at the very end: the next start is the one that compacts.
        let gone = (0..COUNT).filter(|n| !stays(*n)).map(|n| drives.delete(backend(0), fragment(n), 1));
        for deleted in futures_util::future::join_all(gone).await {
            deleted.unwrap();
        }
    });
    (place, store)
}

/// Lets the engine work until it is so, for ten seconds at most.
async fn until(mut what: impl FnMut() -> bool) -> bool {
    for _ in 0..1000 {
        if what() {
            return true;
        }
        EpollRt::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// A copy of the drive as it stands, and of the index as a crash leaves it.
fn copy(place: &Place, store: &MemoryStore, kept: impl Fn(usize) -> usize) -> (Arc<Place>, MemoryStore) {
    let copy = Place::new(1);
    for path in place.segments(0) {
        let name = path.file_name().unwrap();
        std::fs::copy(&path, copy.drive(0).join("segments").join(name)).unwrap();
    }
    (Arc::new(copy), store.crashed(|_, all| kept(all)))
}

fn compacted(engine: &Engine) -> bool {
    let drive = &engine.drives[0];
    let live = engine.living(drive).bytes;
    let sealed: u64 = engine
        .index
        .lives(0)
        .unwrap_or_default()
        .iter()
        .filter_map(|(life, _)| drive.sealed_bytes(*life))
        .sum();
    drive.stats.segments_compacted.value() > 0 && sealed < live + drive.segment_bytes + (1 << 19)
}

/// Everything that stays is there, whole, and nothing else.
async fn check_all(drives: &Handle, gone: impl Fn(u32) -> bool) {
    for n in 0..COUNT {
        let found = whole(drives, n, 0).await;
        if gone(n) {
            assert_eq!(found, Err(DriveError::NotFound), "{n}");
        } else {
            assert!(found == Ok(bytes(n, len(n))), "{n}: {:?}", found.err());
            assert_eq!(drives.manifest(backend(0), fragment(n), 0).await.unwrap(), manifest(n), "{n}");
        }
    }
}

#[test]
fn garbage_gives_its_space_back_and_what_lives_moves() {
    let (place, store) = wasted();
    with_engine(&place, real(), &store, false, |engine, drives| async move {
        let before = engine.drives[0].used_bytes();
        assert!(until(|| compacted(&engine)).await, "{:?}", engine.drives[0].stats);
        let drive = &engine.drives[0];
        assert!(drive.used_bytes() < before, "{} of {before}", drive.used_bytes());
        check_all(&drives, |n| !stays(n)).await;
        let facts = drives.facts(backend(0), fragment(3), 0).await.unwrap();
        assert_eq!((facts.coding, facts.class_id, facts.blob_size), (piece(3, 0, 1).coding, 1, 77));
        assert_eq!(engine.living(drive).pieces, u64::from((0..COUNT).filter(|n| stays(*n)).count() as u32));
        let verified = drives.verify(backend(0), VerifyCursor::default(), u64::MAX).await.unwrap();
        assert!(verified.bad.is_empty() && verified.next.is_none());
    });
    // With the index, and from the drive alone.
    for store in [store, MemoryStore::default()] {
        with_engine(&place, real(), &store, false, |_, drives| async move {
            check_all(&drives, |n| !stays(n)).await;
        });
    }
}

#[test]
fn a_crash_after_any_step_costs_nothing() {
    let changes = stop_everywhere(&wasted(), 3, compacted);
    assert!(changes > 20, "a compaction changes more than {changes} things");
}

/// Stops the engine after one change of its files, after two, and so on until it is `finished`, and holds what the next
/// start finds against what must be there. Says how many changes it took.
/// Every `stride`th change, that is; with HOLDFAST_EVERY_STEP set, every one.
fn stop_everywhere(
    (begun, index): &(Arc<Place>, MemoryStore),
    stride: usize,
    finished: fn(&Engine) -> bool,
) -> usize {
    let stride = std::env::var_os("HOLDFAST_EVERY_STEP").map_or(stride, |_| 1);
    for changes in (0..).step_by(stride) {
        let (place, store) = copy(begun, index, |all| all);
        let stopping = Stopping::after(changes);
        let (host, done) = (Arc::new(StoppingHost(Arc::clone(&stopping))), Arc::new(AtomicUsize::new(0)));
        let told = Arc::clone(&done);
        with_engine(&place, host, &store, true, move |engine, _| async move {
            until(|| stopping.stopped() || finished(&engine)).await;
            told.store(usize::from(!stopping.stopped()), Ordering::Release);
        });
        for (how, index) in [("with its index", true), ("without", false)] {
            // Of what the index wrote since its checkpoint any part may be left.
            let (place, store) = copy(&place, &store, |all| [0, all / 2, all][changes % 3]);
            let store = if index { store } else { MemoryStore::default() };
            with_engine(&place, real(), &store, false, move |_, drives| async move {
                eprintln!("stopped after {changes} changes, started {how}");
                check_all(&drives, |n| !stays(n)).await;
            });
        }
        if done.load(Ordering::Acquire) == 1 {
            return changes;
        }
    }
    unreachable!("it finishes")
}

/// Sealed segments of deletes.
fn logs(engine: &Engine) -> usize {
    let segments = engine.drives[0].segments.lock();
    let logs =
        segments.values().filter(|s| s.phase == drive::Phase::Sealed && s.role == SegmentRole::Deletes);
    logs.count()
}

/// A drive without garbage but for old deletes, in many segments: of most nothing is left, of some there is.
fn many_logs() -> (Arc<Place>, MemoryStore) {
    let (place, store) = (Arc::new(Place::new(1)), MemoryStore::default());
    for round in 0..=10u32 {
        with_engine(&place, real(), &store, false, move |engine, drives| async move {
            until(|| free_segments(&engine.drives[0]) >= 3).await;
            if round == 0 {
                // Apart, so that their segments end up empty, and among those that stay.
                for n in (0..COUNT).filter(|n| !stays(*n)).chain((0..COUNT).filter(|n| stays(*n))) {
                    let receipt = drives.append(backend(0), piece(n, 0, len(n))).await.unwrap();
                    drives.flush(backend(0), receipt).await.unwrap();
                }
                return;
            }
            for n in (0..COUNT).filter(|n| !stays(*n) && n % 10 == round - 1) {
                drives.delete(backend(0), fragment(n), 1).await.unwrap();
            }
        });
    }
    (place, store)
}

#[test]
fn deletes_that_nothing_needs_are_dropped_and_the_others_kept() {
    let (place, store) = many_logs();
    with_engine(&place, real(), &store, false, |engine, drives| async move {
        assert!(logs(&engine) >= 9, "{}", logs(&engine));
        let drive = &engine.drives[0];
        assert!(until(|| logs(&engine) <= 1).await, "{}", logs(&engine));
        let gone = (0..COUNT).filter(|n| !stays(*n)).count() as u64;
        let dropped = drive.stats.deletes_dropped.value();
        assert!((gone / 2..gone).contains(&dropped), "{dropped} of {gone}");
        check_all(&drives, |n| !stays(n)).await;
    });
    for store in [store, MemoryStore::default()] {
        with_engine(&place, real(), &store, false, |_, drives| async move {
            check_all(&drives, |n| !stays(n)).await;
        });
    }
}

#[test]
fn a_crash_while_deletes_are_collected_brings_nothing_back() {
    let changes = stop_everywhere(&many_logs(), 5, |engine| logs(engine) <= 1);
    assert!(changes > 10, "a collection changes more than {changes} things");
}

#[test]
fn a_delete_wins_over_a_move() {
    let (place, store) = wasted();
    let deleted = |n: u32| !stays(n) || n.is_multiple_of(2);
    with_engine(&place, real(), &store, true, move |engine, drives| async move {
        let drive = &engine.drives[0];
        until(|| drive.stats.bytes_moved.value() > 0).await;
        for n in (0..COUNT).filter(|n| stays(*n) && deleted(*n)) {
            drives.delete(backend(0), fragment(n), 1).await.unwrap();
        }
        until(|| compacted(&engine)).await;
        check_all(&drives, deleted).await;
    });
    for index in [true, false] {
        let (place, store) = copy(&place, &store, |_| 0);
        let store = if index { store } else { MemoryStore::default() };
        with_engine(&place, real(), &store, false, move |_, drives| async move {
            check_all(&drives, deleted).await;
        });
    }
}

#[test]
fn what_rotted_is_not_copied_and_told() {
    let (place, store) = wasted();
    with_engine(&place, real(), &store, false, |engine, drives| async move {
        let rotten: BTreeSet<u32> = [3, 33, 60].into();
        let mut segments = BTreeSet::new();
        for n in &rotten {
            let at = engine.index.lookup(0, Key::new(fragment(*n), 0)).await.unwrap().unwrap();
            let path = segment::path_of(engine.drives[0].path(), at.segment);
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            HostFile::write_all_at(&file, &[0xaa; 50], u64::from(at.offset + at.header_len) + 1000).unwrap();
            segments.insert(at.segment);
        }
        until(|| engine.drives[0].stats.rotten.value() >= 3).await;
        EpollRt::sleep(Duration::from_millis(500)).await;
        for n in (0..COUNT).filter(|n| stays(*n)) {
            match whole(&drives, n, 0).await {
                Ok(found) => assert!(found == bytes(n, len(n)) && !rotten.contains(&n), "{n}"),
                Err(error) => {
                    assert!(matches!(error, DriveError::Rotten(_)) && rotten.contains(&n), "{n} {error}")
                }
            }
        }
        let verified = drives.verify(backend(0), VerifyCursor::default(), u64::MAX).await.unwrap();
        let told: BTreeSet<_> = verified.bad.iter().map(|(fragment, ..)| *fragment).collect();
        assert_eq!(told, rotten.iter().map(|n| fragment(*n)).collect());
        for number in segments {
            assert!(engine.drives[0].segments.lock()[&number].holds(), "it keeps its place");
        }
    });
}

#[test]
fn a_segment_is_not_given_back_under_a_read() {
    let (place, store) = wasted();
    with_engine(&place, real(), &store, false, |engine, _| async move {
        let drive = &engine.drives[0];
        let lives: Vec<_> = drive.segments.lock().iter().map(|(number, s)| (*number, s.generation)).collect();
        let pins = drive.pins.join();
        let held: Vec<_> = lives.iter().map(|life| pins.pin(*life)).collect();
        // At least: how the pieces fell into segments decides whether a third is worth it.
        assert!(until(|| drive.stats.segments_compacted.value() >= 2).await, "{:?}", drive.stats);
        EpollRt::sleep(Duration::from_millis(300)).await;
        assert_eq!(drive.stats.segments_recycled.value(), 0);
        drop(held);
        assert!(until(|| drive.stats.segments_recycled.value() >= 2).await, "{:?}", drive.stats);
    });
}

/// What a churn came to.
#[derive(Debug)]
#[expect(dead_code, reason = "figures for a person")]
struct Churn {
    /// Bytes written, copies included, for each byte of payload.
    write_amplification: f64,
    /// What the segments take, pools and open ones included, for each byte of living records: on average and at worst.
    space_amplification: (f64, f64),
    refused: u64,
}

/// Fills a drive of `capacity` bytes to `percent` with living pieces, then overwrites (new name, old one deleted) or
/// only reads until `times` its living bytes were written.
fn churn(capacity: u64, percent: u64, times: u64) -> Churn {
    let (place, store) = (Arc::new(Place::new(1)), MemoryStore::default());
    let (tell, told) = flume::unbounded();
    let host = Arc::new(StoppingHost(Stopping::never(capacity)));
    with_engine(&place, host, &store, false, move |engine, drives| async move {
        let drive = Arc::clone(&engine.drives[0]);
        let (mut names, mut next, mut random, mut refused) = (Vec::new(), 0u32, 12345u64, 0);
        let mut draw = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let (mut written, mut ratios, mut base) = (0u64, Vec::new(), None);
        let target = capacity * percent / 100;
        loop {
            let full = engine.living(&drive).bytes >= target;
            if full && base.is_none() {
                base = Some((drive.stats.bytes_written.value(), drive.stats.payload_bytes_appended.value()));
                written = 0;
            }
            if base.is_some() && written >= times * target {
                break;
            }
            let size = if draw(2) == 0 { 4096 + draw(12_000) } else { 100_000 + draw(160_000) };
            let receipt = loop {
                match drives.append(backend(0), piece(next, 0, size)).await {
                    Ok(receipt) => break receipt,
                    Err(DriveError::Full) => {
                        refused += 1;
                        EpollRt::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            names.push(next);
            (next, written) = (next + 1, written + size as u64);
            if !next.is_multiple_of(32) {
                continue;
            }
            drives.flush(backend(0), receipt).await.unwrap();
            let over = engine.living(&drive).bytes.saturating_sub(target) * names.len() as u64;
            let over = over / engine.living(&drive).bytes.max(1);
            let gone: Vec<_> = (0..over).map(|_| names.swap_remove(draw(names.len()))).collect();
            let deletes = gone.into_iter().map(|n| drives.delete(backend(0), fragment(n), 1));
            for deleted in futures_util::future::join_all(deletes).await {
                deleted.unwrap();
            }
            if base.is_some() {
                ratios.push(drive.used_bytes() as f64 / engine.living(&drive).bytes as f64);
            }
        }
        let (bytes, payload) = base.unwrap();
        let wrote = drive.stats.bytes_written.value() - bytes + drive.stats.bytes_moved.value();
        let payload = drive.stats.payload_bytes_appended.value() - payload;
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        let write_amplification = wrote as f64 / payload as f64;
        tell.send(Churn { write_amplification, space_amplification: (mean, worst), refused }).unwrap();
    });
    told.recv().unwrap()
}

#[test]
#[ignore = "measures"]
fn a_drive_that_is_written_over_and_over_stays_within_its_bound() {
    let live = 40u64 << 20;
    let churned = churn(10 * live, 10, 2);
    // A quarter, and what is constant: open segments (a core's, the copies', the log's), one segment of garbage, and what is
    // written between two looks.
    let constant = (6 * SEGMENT_BYTES_MIN) as f64 / live as f64;
    assert!(churned.space_amplification.1 <= 1.0 / 0.75 + constant, "{churned:?}");
}

/// Figures for a person: `cargo test --release -p holdfast-dataplane --lib -- --ignored --nocapture amplification`.
#[test]
#[ignore = "measures"]
fn amplification() {
    for percent in [50, 80] {
        eprintln!("{percent} % of a small drive: {:.2?}", churn(400 << 20, percent, 1));
    }
}
