//! The sweeps, each a table.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::id::{BackendId, DriveId, FragmentId, OpId};
use holdfast_dataplane::blob::{Blobs, NewBlob, cpu_features};
use holdfast_dataplane::drives::host::RealHost;
use holdfast_dataplane::drives::{CoreDrives, Drives, Engine, EngineConfig, Piece, format};
use holdfast_dataplane::rt::monoio::UringRt;
use holdfast_dataplane::rt::{AlignedBuf, CoreConfig, Rt};
use holdfast_protocol::erasure::{Coders, Coding, choose};
use holdfast_protocol::placement::Placement;
use holdfast_protocol::quorum::write_quorum;
use holdfast_protocol::record::{PieceCoding, PieceScheme};

const CLUSTER: [u8; 16] = [7; 16];
const CLIENTS: usize = 16;

pub(crate) type Core = Rc<Rc<CoreDrives<UringRt>>>;

fn backend(n: usize) -> BackendId {
    BackendId(u32::try_from(n).expect("few drives") + 1)
}

fn op(n: u32) -> OpId {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    OpId::new(1_700_000_000_000 + u64::from(n), random)
}

fn config(home: &Path, drives: usize, segment_bytes: Option<u64>) -> EngineConfig {
    EngineConfig {
        drives: (0..drives).map(|n| home.join(format!("drive{n}"))).collect(),
        index: home.join("index"),
        cluster: CLUSTER,
        segment_bytes,
    }
}

/// Formats drives in a new directory under `dir`.
pub(crate) fn make(dir: &Path, name: &str, drives: usize, segment_bytes: Option<u64>) -> EngineConfig {
    let home = dir.join(name);
    let config = config(&home, drives, segment_bytes);
    for (n, path) in config.drives.iter().enumerate() {
        let id = DriveId([u8::try_from(n).expect("few drives") + 1; 16]);
        format::format(&RealHost, path, CLUSTER, id).expect("a new directory becomes a drive");
    }
    config
}

pub(crate) fn open(config: &EngineConfig) -> Arc<Engine> {
    let opened = Engine::open(config).expect("the drives open");
    assert!(opened.refused.is_empty(), "{:?}", opened.refused);
    for (n, drive) in opened.engine.drives().iter().enumerate() {
        opened.engine.bind(drive.id(), backend(n));
    }
    opened.engine
}

/// Runs `main` on a core over an open engine, and stops both as a node does.
pub(crate) fn on_core<F: Future<Output = ()>>(
    engine: &Arc<Engine>,
    main: impl FnOnce(Core) -> F + Send + 'static,
) {
    let engine = Arc::clone(engine);
    let core = std::thread::spawn(move || {
        let run = async {
            let drives: Core = Rc::new(engine.core::<UringRt>());
            main(Rc::clone(&drives)).await;
            drives.close().await;
        };
        UringRt::run(&CoreConfig { index: 0, cpu: None }, run).expect("io_uring is there");
    });
    core.join().expect("the core ends well");
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// What a stretch of work took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl std::ops::AddAssign for Took {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

pub(crate) async fn timed(work: impl Future<Output = ()>) -> Took {
    let (began, spent) = (Instant::now(), cpu());
    work.await;
    Took { wall: began.elapsed(), cpu: cpu() - spent }
}

/// Gives spare segments time to be zeroed, so that the first rounds are like the later ones.
pub(crate) async fn settled() {
    UringRt::sleep(Duration::from_secs(2)).await;
}

fn placement(coding: Coding) -> Placement {
    Placement {
        coding,
        backends: (0..coding.fragments()).map(backend).collect(),
        writable: (1 << coding.fragments()) - 1,
        quorum: write_quorum(coding.data(), coding.parity()),
    }
}

/// Durable PUTs of objects `first..first + count`, [`CLIENTS`] at a time; gives their rows.
async fn put(
    blobs: &Blobs<Rc<CoreDrives<UringRt>>, UringRt>,
    coding: Coding,
    size: usize,
    first: u32,
    count: u32,
) {
    let body = vec![0x5a; size];
    let next = std::cell::Cell::new(first);
    let one = || async {
        while next.get() < first + count {
            let op_id = op(next.get());
            next.set(next.get() + 1);
            let blob = NewBlob { op_id, attempt: 0, class_id: 0, size: Some(size as u64) };
            let mut writer = blobs.write(blob, &placement(coding));
            writer.push(&body).await.expect("drives take it");
            writer.finish().await.expect("it is durable");
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(|_| one())).await;
}

async fn get(
    blobs: &Blobs<Rc<CoreDrives<UringRt>>, UringRt>,
    coding: Coding,
    size: usize,
    first: u32,
    count: u32,
) {
    let next = std::cell::Cell::new(first);
    let one = || async {
        while next.get() < first + count {
            let blob = holdfast_common::wire::Blob {
                op_id: op(next.get()).to_wire(),
                size: size as u64,
                coding: Some(coding.to_wire()),
                proven: (1 << coding.fragments()) - 1,
                ..Default::default()
            };
            next.set(next.get() + 1);
            let backends: Vec<BackendId> = (0..coding.fragments()).map(backend).collect();
            let mut reader = blobs.read(&blob, &backends, 0..size as u64).expect("a good record");
            let mut got = 0;
            while let Some(chunk) = reader.next().await.expect("it is there") {
                got += chunk.len();
            }
            assert_eq!(got, size, "every byte came");
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(|_| one())).await;
}

/// Where whole copies cost less than an erasure code: tolerance 2 on four drives, as `holdfast dev` has it.
pub(crate) fn copies(dir: &Path, rounds: usize, objects: u32) {
    println!(
        "copies (3 whole) against Reed-Solomon 2+2, durable PUT and warm GET, {CLIENTS} at a time, four drives"
    );
    println!(
        "{:>8} {:>10} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "bytes", "coding", "PUT/s", "PUT/CPU-s", "GET/s", "GET/CPU-s", "drive B/B"
    );
    let config = make(dir, "copies", 4, None);
    let engine = open(&config);
    let counted = Arc::clone(&engine);
    on_core(&engine, move |drives| async move {
        let blobs = Blobs::<Rc<CoreDrives<UringRt>>, UringRt>::new(
            drives,
            Rc::new(Coders::new(choose(cpu_features()))),
        );
        settled().await;
        let mut first = 0;
        for size in [1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10] {
            let piece = 256 << 10;
            let codings = [
                ("copies", Coding::copies(2, piece).expect("legal")),
                ("RS 2+2", Coding::reed_solomon(2, 2, piece).expect("legal")),
            ];
            let mut took = [(Took::default(), Took::default(), 0u64); 2];
            for _ in 0..rounds {
                for ((_, coding), took) in codings.iter().zip(&mut took) {
                    let written = || {
                        counted.drives().iter().map(|drive| drive.stats.bytes_written.value()).sum::<u64>()
                    };
                    let before = written();
                    took.0 += timed(put(&blobs, *coding, size, first, objects)).await;
                    took.2 += written() - before;
                    took.1 += timed(get(&blobs, *coding, size, first, objects)).await;
                    first += objects;
                }
            }
            let count = f64::from(objects) * rounds as f64;
            for ((name, _), (put, get, bytes)) in codings.iter().zip(took) {
                let rate = |took: Duration| count / took.as_secs_f64();
                let (puts, gets) = ((rate(put.wall), rate(put.cpu)), (rate(get.wall), rate(get.cpu)));
                let amplified = bytes as f64 / (count * size as f64);
                println!(
                    "{size:>8} {name:>10} {:>12.0} {:>12.0} {:>12.0} {:>12.0} {amplified:>10.2}",
                    puts.0, puts.1, gets.0, gets.1
                );
            }
        }
    });
    engine.stop();
}

fn piece(n: u32, payload: &[u8]) -> Piece {
    Piece {
        id: FragmentId { blob: op(n), index: 0, attempt: 0 },
        row: 0,
        coding: PieceCoding { scheme: PieceScheme::Copies, data: 1, parity: 2, piece_bytes: 1 << 18 },
        class_id: 0,
        blob_size: payload.len() as u64,
        fields: bytes::Bytes::new(),
        payload: AlignedBuf::copy_of(payload).into(),
    }
}

/// Appends pieces `range`, a flush after each `batch` of them.
pub(crate) async fn append(drives: &Core, range: std::ops::Range<u32>, payload: &[u8], batch: usize) {
    let numbers: Vec<u32> = range.collect();
    for some in numbers.chunks(batch) {
        let appended = some.iter().map(|n| drives.append(backend(0), piece(*n, payload)));
        let receipts = futures_util::future::join_all(appended).await;
        let first = receipts.into_iter().map(|receipt| receipt.expect("appended")).min().expect("not empty");
        drives.flush(backend(0), first).await.expect("flushed");
    }
}

/// Sizes of segments: what a larger one saves in begins and seals, and costs at a start after a kill.
pub(crate) fn segments(dir: &Path, rounds: usize, objects: u32) {
    println!("segment sizes, one drive: pieces of 256 KiB (8 a flush) and of 4 KiB (64 a flush)");
    println!("{:>10} {:>14} {:>14} {:>12}", "MiB", "MB/s of 256 K", "4 K pieces/s", "segments");
    let sizes = [4u64, 16, 64, 256];
    let configs: Vec<EngineConfig> =
        sizes.iter().map(|mib| make(dir, &format!("segments-{mib}"), 1, Some(mib << 20))).collect();
    let mut took = vec![(Took::default(), Took::default(), 0u64); sizes.len()];
    let (large, small) = (objects.div_ceil(4), objects * 2);
    for round in 0..u32::try_from(rounds).expect("few rounds") {
        for (config, took) in configs.iter().zip(&mut took) {
            let engine = open(config);
            let (sender, figures) = std::sync::mpsc::channel();
            on_core(&engine, move |drives| async move {
                settled().await;
                let first = round * (large + small);
                let one = timed(append(&drives, first..first + large, &[0x5a; 256 << 10], 8)).await;
                let first = first + large;
                let two = timed(append(&drives, first..first + small, &[0x5a; 4 << 10], 64)).await;
                sender.send((one, two)).expect("somebody listens");
            });
            let (one, two) = figures.recv().expect("the core measured");
            took.0 += one;
            took.1 += two;
            took.2 += engine.drives()[0].stats.segments_taken.value();
            engine.stop();
        }
    }
    for (mib, (one, two, taken)) in sizes.iter().zip(took) {
        let bytes = f64::from(large) * rounds as f64 * f64::from(256 << 10);
        let pieces = f64::from(small) * rounds as f64;
        println!(
            "{mib:>10} {:>14.0} {:>14.0} {taken:>12}",
            bytes / one.wall.as_secs_f64() / 1e6,
            pieces / two.wall.as_secs_f64()
        );
    }
}

/// How long a drive with `pieces` fragments takes from `open` to serving: after a clean stop, and with its index deleted.
pub(crate) fn startup(dir: &Path, pieces: u32) {
    println!("time to ready with {pieces} fragments of 512 bytes on one drive");
    let config = make(dir, "startup", 1, None);
    let engine = open(&config);
    on_core(&engine, move |drives| async move {
        append(&drives, 0..pieces, &[0x5a; 512], 4096).await;
    });
    engine.stop();
    drop(engine);
    let ready = |what: &str| {
        let began = Instant::now();
        let engine = open(&config);
        let took = began.elapsed();
        on_core(&engine, move |drives| async move {
            for n in (0..pieces).step_by(997) {
                let id = FragmentId { blob: op(n), index: 0, attempt: 0 };
                let read = drives.read(backend(0), id, 0, 0..512).await;
                assert_eq!(read.map(|read| read.bytes.len()), Ok(512), "fragment {n} is there");
            }
        });
        engine.stop();
        println!("{what:>24} {:>10.3} s", took.as_secs_f64());
    };
    ready("after a clean stop");
    std::fs::remove_dir_all(&config.index).expect("the index was there");
    ready("with the index deleted");
    ready("after a clean stop");
}
