//! What a store of its own for large pieces could win: segments beside the device itself, and reads past the page cache.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;

use holdfast_dataplane::drives::host::{Host as _, RealHost};
use holdfast_dataplane::rt::monoio::{UringFile, UringRt};
use holdfast_dataplane::rt::{AlignedBuf, CoreConfig, DiskFile as _, OpenOptions, Rt as _};

use super::sweep::{Took, append, make, on_core, open, settled, timed};

const PIECE: usize = 256 << 10;
/// Pieces made durable by one flush.
const BATCH: usize = 8;

/// Pieces of 256 KiB appended through segments, beside the same bytes written straight into slots of one file that was
/// zeroed before: no record, no checksum, no index. What segments lose to it is the most that slots could win.
pub(crate) fn slots(dir: &Path, rounds: usize, objects: u32) {
    println!(
        "pieces of 256 KiB, {BATCH} a flush: segments beside bare O_DIRECT writes into slots of one file"
    );
    println!("{:>28} {:>10} {:>14}", "", "MB/s", "CPU ms/GB");
    let count = objects.div_ceil(4).next_multiple_of(8);
    let config = make(dir, "slots", 1, None);
    let file = dir.join("slots/one-file");
    zeroed(&file, u64::from(count) * PIECE as u64);
    let mut took = [Took::default(); 3];
    for round in 0..u32::try_from(rounds).expect("few rounds") {
        let engine = open(&config);
        let (sender, figures) = mpsc::channel();
        on_core(&engine, move |drives| async move {
            settled().await;
            let first = round * count;
            let one = timed(append(&drives, first..first + count, &[0x5a; PIECE], BATCH)).await;
            sender.send(one).expect("somebody listens");
        });
        took[0] += figures.recv().expect("the core measured");
        engine.stop();
        took[1] += bare(&file, count, BATCH);
        took[2] += bare(&file, count, 1);
    }
    let bytes = f64::from(count) * rounds as f64 * PIECE as f64;
    let names = ["segments", "slots, all of a batch at once", "slots, one at a time"];
    for (name, took) in names.into_iter().zip(took) {
        print(name, bytes, took);
    }
}

fn print(name: &str, bytes: f64, took: Took) {
    let (rate, cpu) = (bytes / took.wall.as_secs_f64() / 1e6, took.cpu.as_secs_f64() * 1e12 / bytes);
    println!("{name:>28} {rate:>10.0} {cpu:>14.0}");
}

fn zeroed(path: &Path, bytes: u64) {
    let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
    let file = RealHost.open(path, options).expect("a new file");
    file.reserve(bytes).expect("there is room");
    let zeros = vec![0; 1 << 20];
    for at in (0..bytes).step_by(zeros.len()) {
        let len = zeros.len().min(usize::try_from(bytes - at).expect("small"));
        file.write_all_at(&zeros[..len], at).expect("there is room");
    }
    file.sync_all().expect("it is durable");
}

/// Runs `work` on a core of its own and gives what it took.
fn measured<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> Took {
    let core = std::thread::spawn(|| {
        UringRt::run(&CoreConfig { index: 0, cpu: None }, async { timed(work()).await })
            .expect("io_uring is there")
    });
    core.join().expect("the core ends well")
}

/// Writes all slots of the file, `at_once` in flight, a flush after each batch.
fn bare(path: &Path, count: u32, at_once: usize) -> Took {
    let path = path.to_owned();
    measured(move || async move {
        let options = OpenOptions { direct: true, write: true, ..OpenOptions::default() };
        let file = UringFile::open(&path, options).await.expect("it is there");
        let slots: Vec<u64> = (0..u64::from(count)).map(|slot| slot * PIECE as u64).collect();
        for batch in slots.chunks(BATCH) {
            for some in batch.chunks(at_once) {
                // Payloads are copied once, as they are into records.
                let writes = some.iter().map(|at| file.write_at(AlignedBuf::copy_of(&[0x5a; PIECE]), *at));
                let done = futures_util::future::join_all(writes).await;
                done.into_iter().for_each(|(written, _)| written.expect("written"));
            }
            file.fdatasync().await.expect("flushed");
        }
    })
}

/// Reads of pieces in random order, of a file that memory holds and of one that it does not: through the page cache, and
/// past it.
pub(crate) fn reads(dir: &Path, rounds: usize, objects: u32) {
    println!("reads in random order, {BATCH} at a time");
    println!("{:>28} {:>10} {:>14}", "", "MB/s", "CPU ms/GB");
    std::fs::create_dir_all(dir.join("reads")).expect("a new directory");
    let path = dir.join("reads/one-file");
    let bytes = u64::from(objects.div_ceil(4)) * PIECE as u64;
    zeroed(&path, bytes);
    for len in [4 << 10, 64 << 10, PIECE] {
        let kinds =
            [("cached, in memory", false, true), ("cached, cold", false, false), ("direct", true, false)];
        let mut took = [Took::default(); 3];
        let count = u32::try_from(bytes / len as u64).expect("few").min(objects * 4);
        for _ in 0..rounds {
            for ((_, direct, warm), took) in kinds.iter().zip(&mut took) {
                if *warm {
                    std::fs::read(&path).expect("it is there");
                } else {
                    forget(&path);
                }
                *took += read_all(&path, len, count, *direct);
            }
        }
        for ((name, ..), took) in kinds.iter().zip(took) {
            print(&format!("{} KiB, {name}", len >> 10), f64::from(count) * rounds as f64 * len as f64, took);
        }
    }
}

/// Drops the file from the page cache.
fn forget(path: &Path) {
    let file = std::fs::File::open(path).expect("it is there");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("ext4 and xfs take it");
}

fn read_all(path: &Path, len: usize, count: u32, direct: bool) -> Took {
    let path = path.to_owned();
    measured(move || async move {
        let file = UringFile::open(&path, OpenOptions { direct, ..OpenOptions::default() }).await;
        let (file, next) = (Rc::new(file.expect("it is there")), Cell::new(0));
        let blocks = file.size().await.expect("it has one") / len as u64;
        let one = || async {
            while next.get() < count {
                // A fixed permutation of sorts: an odd stride visits blocks far apart.
                let block = u64::from(next.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks;
                next.set(next.get() + 1);
                let (read, _) = file.read_at(AlignedBuf::with_capacity(len), block * len as u64, len).await;
                assert_eq!(read.expect("read"), len, "every byte came");
            }
        };
        futures_util::future::join_all((0..BATCH).map(|_| one())).await;
    })
}
