//! The engine on real files, on both runtimes where it matters.

mod bad;
mod compacting;
mod crash;
mod failing;
mod faulty;
mod hanging;
mod kernel;
mod objects;
mod search;

use std::collections::HashSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::id::{BackendId, DriveId, FragmentId, OpId};
use holdfast_protocol::record::{BLOCK_BYTES, PieceCoding, PieceScheme, put_tlv, tlv};

use super::host::{Host, RealHost};
use super::*;
use crate::limits::SEGMENT_BYTES_MIN;
use crate::rt::epoll::EpollRt;
use crate::rt::monoio::UringRt;
use crate::rt::{AlignedBuf, CoreConfig, Rt};

const CLUSTER: [u8; 16] = [9; 16];

/// Drives in a temporary directory, gone with it.
struct Place {
    dir: tempfile::TempDir,
    drives: usize,
}

impl Place {
    fn new(drives: usize) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), drives };
        for n in 0..drives {
            format::format(&RealHost, &place.drive(n), CLUSTER, id(n)).unwrap();
        }
        place
    }

    fn drive(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("drive{n}"))
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    fn config(&self) -> EngineConfig {
        EngineConfig {
            drives: (0..self.drives).map(|n| self.drive(n)).collect(),
            index: self.index(),
            cluster: CLUSTER,
            segment_bytes: Some(SEGMENT_BYTES_MIN),
        }
    }

    fn open(&self) -> Arc<Engine> {
        self.open_with(&(Arc::new(RealHost) as Arc<dyn Host>), Starter::Threads)
    }

    fn open_with(&self, host: &Arc<dyn Host>, starter: Starter) -> Arc<Engine> {
        let Opened { engine, refused } = Engine::open_with(&self.config(), host, starter).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        (0..self.drives).for_each(|n| engine.bind(id(n), backend(n)));
        engine
    }

    /// Segment files of a drive with their contents' path.
    fn segments(&self, n: usize) -> Vec<PathBuf> {
        let drive = self.drive(n);
        segment::numbers(&RealHost, &drive)
            .unwrap()
            .into_iter()
            .map(|number| segment::path_of(&drive, number))
            .collect()
    }
}

fn id(n: usize) -> DriveId {
    DriveId([n as u8 + 1; 16])
}

fn backend(n: usize) -> BackendId {
    BackendId(n as u32 + 10)
}

fn fragment(n: u32) -> FragmentId {
    let mut random = [0; 10];
    random[4..8].copy_from_slice(&n.to_le_bytes());
    FragmentId { blob: OpId::new(1_700_000_000_000, random), index: 0, attempt: 1 }
}

fn bytes(seed: u32, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) as u8 ^ (i >> 8) as u8)
        .collect()
}

/// What the records of every fourth fragment carry.
fn manifest(n: u32) -> Option<Bytes> {
    (n % 4 == 3).then(|| vec![n as u8; 700].into())
}

fn piece(n: u32, row: u32, len: usize) -> Piece {
    Piece {
        id: fragment(n),
        row,
        coding: PieceCoding { scheme: PieceScheme::ReedSolomon, data: 2, parity: 1, piece_bytes: 1 << 18 },
        class_id: 1,
        blob_size: 77,
        fields: manifest(n).map_or_else(Bytes::new, |sealed| {
            let mut fields = Vec::new();
            put_tlv(&mut fields, tlv::RECOVERY_MANIFEST, &sealed);
            fields.into()
        }),
        payload: AlignedBuf::copy_of(&bytes(n + row, len)).into(),
    }
}

/// Runs `main` on a core of its own, as cores are.
fn on_core<R: Rt, F: Future<Output = ()>>(main: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| R::run(&CoreConfig { index: 0, cpu: None }, main()).unwrap());
    thread.join().expect("the check passes");
}

async fn whole(drives: &Rc<CoreDrives<impl Rt>>, n: u32, row: u32) -> Result<Vec<u8>, DriveError> {
    drives.read(backend(0), fragment(n), row, 0..u32::MAX).await.map(|read| read.bytes.to_vec())
}

async fn put(drives: &Rc<CoreDrives<impl Rt>>, n: u32, len: usize) {
    let receipt = drives.append(backend(0), piece(n, 0, len)).await.unwrap();
    drives.flush(backend(0), receipt).await.unwrap();
}

#[test]
fn what_was_appended_is_read_back_in_any_range() {
    fn check<R: Rt>() {
        let place = Place::new(1);
        let engine = place.open();
        on_core::<R, _>(move || async move {
            let drives = engine.core::<R>();
            let lens = [0, 1, 4096, BLOCK_BYTES, BLOCK_BYTES + 1, 65_536, 65_537, 262_144, 262_145, 1 << 20];
            for (n, len) in lens.into_iter().enumerate() {
                put(&drives, n as u32, len).await;
                let all = bytes(n as u32, len);
                for range in ranges(len as u32) {
                    let read = drives.read(backend(0), fragment(n as u32), 0, range.clone()).await.unwrap();
                    let end = range.end.min(len as u32) as usize;
                    assert!(read.bytes[..] == all[(range.start as usize).min(end)..end], "{len} {range:?}");
                    assert_eq!(read.payload_len as usize, len);
                }
                let sealed = drives.manifest(backend(0), fragment(n as u32), 0).await.unwrap();
                assert_eq!(sealed, manifest(n as u32));
            }
            assert_eq!(whole(&drives, 0, 1).await, Err(DriveError::NotFound), "another row");
            let elsewhere = drives.read(backend(7), fragment(99), 0, 0..1).await;
            assert_eq!(elsewhere.unwrap_err(), DriveError::NotFound, "another backend");
            drives.close().await;
            engine.stop();
        });
    }
    check::<UringRt>();
    check::<EpollRt>();
}

/// Edges of blocks and of the piece, and a few in between.
fn ranges(len: u32) -> Vec<Range<u32>> {
    let block = BLOCK_BYTES as u32;
    let mut edges: Vec<u32> =
        vec![0, 1, block - 1, block, block + 1, 3 * block + 7, len / 2, len.saturating_sub(1), len];
    edges.retain(|edge| *edge <= len);
    let pairs = edges.iter().flat_map(|a| edges.iter().map(move |b| *a..*b));
    pairs.filter(|range| range.start <= range.end).chain([0..u32::MAX, len..len + 5]).collect()
}

#[test]
fn a_restart_has_everything_and_reads_only_the_tail() {
    let place = Place::new(1);
    for round in 0..3u32 {
        let engine = place.open();
        on_core::<UringRt, _>(move || async move {
            let drives = engine.core::<UringRt>();
            for n in 0..round * 20 {
                assert!(whole(&drives, n, 0).await.unwrap() == bytes(n, 200_000), "{n} in round {round}");
                assert_eq!(drives.manifest(backend(0), fragment(n), 0).await.unwrap(), manifest(n));
            }
            for n in round * 20..(round + 1) * 20 {
                put(&drives, n, 200_000).await;
            }
            drives.close().await;
            engine.stop();
        });
    }
    let engine = place.open();
    let covered = engine.index.checkpoint(0).unwrap();
    let sealed =
        engine.drives[0].segments.lock().values().filter(|s| s.phase == drive::Phase::Sealed).count();
    assert_eq!(covered.len(), sealed, "a clean stop leaves nothing to scan");
}

#[test]
fn without_its_index_everything_is_found_on_the_drives() {
    let place = Place::new(2);
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..60 {
            put(&drives, n, 150_000).await;
        }
        let mut long = piece(99, 0, 150_000);
        long.fields = vec![0; 9000].into();
        assert!(matches!(drives.append(backend(0), long).await, Err(DriveError::Io { step: "append", .. })));
        for n in 0..20 {
            drives.delete(backend(0), fragment(n), 1).await.unwrap();
            assert_eq!(whole(&drives, n, 0).await, Err(DriveError::NotFound));
        }
        drives.close().await;
        engine.stop();
    });
    std::fs::remove_dir_all(place.index()).unwrap();
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..60 {
            let expected = if n < 20 { Err(DriveError::NotFound) } else { Ok(bytes(n, 150_000)) };
            assert!(whole(&drives, n, 0).await == expected, "{n}");
            if n >= 20 {
                assert_eq!(drives.manifest(backend(0), fragment(n), 0).await.unwrap(), manifest(n));
            }
        }
        engine.stop();
    });
}

#[test]
fn concurrent_appends_share_writes_and_flushes() {
    let place = Place::new(2);
    let engine = place.open();
    // The zeroed pool comes first, so that one flush covers both drives.
    wait_for(|| engine.drives.iter().all(|drive| free_segments(drive) >= 2));
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        let puts = (0..64u32).map(|n| {
            let drives = Rc::clone(&drives);
            async move {
                let to = backend(n as usize % 2);
                let receipt = drives.append(to, piece(n, 0, 4096)).await.unwrap();
                drives.flush(to, receipt).await.unwrap();
            }
        });
        futures_util::future::join_all(puts).await;
        let writes: u64 = engine.drives.iter().map(|drive| drive.stats.writes.value()).sum();
        let device = &engine.drives[0].device;
        assert!(Arc::ptr_eq(device, &engine.drives[1].device), "one device, one ticket");
        assert!(writes <= 16, "{writes} writes for 64 pieces");
        if device.any_file_covers && engine.drives[0].direct {
            let flushes = device.stats.flushes.value();
            assert!(flushes <= 8, "{flushes} flushes for 64 callers");
            assert_eq!(device.stats.callers.value(), 64);
            assert_eq!(engine.drives[0].stats.writes_unzeroed.value(), 0);
        }
        drives.close().await;
        engine.stop();
    });
}

#[test]
fn cores_have_segments_of_their_own_and_see_each_other() {
    let place = Place::new(1);
    let engine = place.open();
    let cores: Vec<_> = (0..2u32)
        .map(|core| {
            let engine = Arc::clone(&engine);
            std::thread::spawn(move || {
                let main = async move {
                    let drives = engine.core::<UringRt>();
                    for n in 0..50 {
                        put(&drives, core * 1000 + n, 30_000).await;
                    }
                    drives.close().await;
                };
                UringRt::run(&CoreConfig { index: core as usize, cpu: None }, main).unwrap();
            })
        })
        .collect();
    cores.into_iter().for_each(|core| core.join().unwrap());
    on_core::<EpollRt, _>(move || async move {
        let drives = engine.core::<EpollRt>();
        for n in (0..50).chain(1000..1050) {
            assert!(whole(&drives, n, 0).await.unwrap() == bytes(n, 30_000), "{n}");
        }
        engine.stop();
    });
}

#[test]
fn a_segment_whose_pieces_are_gone_gives_its_space_back() {
    let place = Place::new(1);
    let engine = place.open();
    let stats = Arc::clone(&engine);
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..60 {
            put(&drives, n, 250_000).await;
        }
        for n in 0..60 {
            drives.delete(backend(0), fragment(n), 1).await.unwrap();
        }
        put(&drives, 100, 250_000).await;
        drives.close().await;
    });
    wait_for(|| stats.drives[0].stats.segments_recycled.value() >= 2);
    stats.stop();
    drop(stats);
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        assert!(whole(&drives, 100, 0).await.unwrap() == bytes(100, 250_000));
        assert_eq!(whole(&drives, 1, 0).await, Err(DriveError::NotFound));
        engine.stop();
    });
}

#[test]
fn without_threads_it_does_the_same() {
    let place = Arc::new(Place::new(2));
    for round in 0..3u32 {
        let place = Arc::clone(&place);
        on_core::<EpollRt, _>(move || async move {
            let engine = place.open_with(&(Arc::new(RealHost) as Arc<dyn Host>), Starter::Tasks);
            engine.run_on::<EpollRt>();
            let drives = engine.core::<EpollRt>();
            for n in 0..round * 30 {
                let expected = if n % 3 == 0 { Err(DriveError::NotFound) } else { Ok(bytes(n, 250_000)) };
                assert!(whole(&drives, n, 0).await == expected, "{n} in round {round}");
            }
            for n in round * 30..(round + 1) * 30 {
                put(&drives, n, 250_000).await;
                if n % 3 == 0 {
                    drives.delete(backend(0), fragment(n), 1).await.unwrap();
                }
            }
            drives.close().await;
            engine.stop_on().await;
        });
    }
}

#[test]
fn a_dropped_append_disturbs_nobody() {
    let place = Place::new(1);
    let engine = place.open();
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for n in 0..50 {
            let mut given_up = Box::pin(drives.append(backend(0), piece(1000 + n, 0, 100_000)));
            std::future::poll_fn(|cx| std::task::Poll::Ready(given_up.as_mut().poll(cx).is_ready())).await;
            drop(given_up);
            put(&drives, n, 100_000).await;
        }
        for n in 0..50 {
            assert!(whole(&drives, n, 0).await.unwrap() == bytes(n, 100_000), "{n}");
            drives.delete(backend(0), fragment(1000 + n), 1).await.unwrap();
            assert_eq!(whole(&drives, 1000 + n, 0).await, Err(DriveError::NotFound));
        }
        drives.close().await;
        engine.stop();
    });
}

fn free_segments(drive: &drive::Drive) -> usize {
    drive.segments.lock().values().filter(|segment| segment.phase == drive::Phase::Free).count()
}

fn wait_for(mut what: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not happen within a minute");
}

/// Generations found in the headers of a drive's segments: none twice.
fn generations(drive: &Path) -> HashSet<u32> {
    let numbers = segment::numbers(&RealHost, drive).unwrap();
    let headers = numbers
        .into_iter()
        .filter_map(|n| segment::header_of(&*segment::open(&RealHost, drive, n).unwrap()).unwrap());
    headers.map(|header| header.generation).collect()
}

/// Figures for a person: `cargo test --release -p holdfast-dataplane --lib -- --ignored --nocapture throughput`.
#[test]
#[ignore = "measures"]
fn throughput() {
    let place = Place::new(4);
    let engine = place.open();
    wait_for(|| engine.drives.iter().all(|drive| free_segments(drive) >= 2));
    on_core::<UringRt, _>(move || async move {
        let drives = engine.core::<UringRt>();
        for (len, clients, each) in [(4096, 1, 300u32), (4096, 32, 60), (262_144, 8, 40)] {
            let began = UringRt::now();
            let flushes = engine.drives[0].device.stats.flushes.value();
            let puts = (0..clients * each).step_by(each as usize).map(|first| {
                let drives = Rc::clone(&drives);
                async move {
                    for n in first..first + each {
                        let to = backend(n as usize % 4);
                        let receipt = drives.append(to, piece(n, len as u32, len)).await.unwrap();
                        drives.flush(to, receipt).await.unwrap();
                    }
                }
            });
            futures_util::future::join_all(puts).await;
            let took = (UringRt::now() - began).as_secs_f64();
            let (count, flushed) = (clients * each, engine.drives[0].device.stats.flushes.value() - flushes);
            eprintln!(
                "{len} B, {clients} clients: {:.0} durable pieces/s, {count} pieces, {flushed} flushes",
                f64::from(count) / took
            );
        }
        drives.close().await;
        engine.stop();
    });
}
