//! Flush tickets: nobody is told "durable" by a flush that began before his write ended, and who appended before a
//! failure learns of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use shuttle::future;

use super::flush::Device;
use crate::rt::{DiskFile, Rt};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The device: what was written to it, what of that is durable, and which of its flushes fail.
#[derive(Default)]
struct Disk {
    written: BTreeSet<u32>,
    durable: BTreeSet<u32>,
    flushes: u32,
    fails: Option<u32>,
    /// This one hangs until it is let go, and then says yes.
    hangs: Option<u32>,
    let_go: bool,
}

struct File(Arc<Mutex<Disk>>);
struct Core;

const CORES: u64 = 3;

impl Rt for Core {
    type File = File;

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        drop(future::spawn_local(task));
    }
}

impl DiskFile for File {
    async fn fdatasync(&self) -> io::Result<()> {
        let (covered, fails, hangs) = {
            let mut disk = self.0.lock();
            disk.flushes += 1;
            let fails = disk.fails == Some(disk.flushes);
            let covered = disk.written.clone();
            if fails {
                // The kernel drops what it could not write and would say yes the next time.
                disk.written.clear();
            }
            (covered, fails, disk.hangs == Some(disk.flushes))
        };
        future::yield_now().await;
        while hangs && !self.0.lock().let_go {
            future::yield_now().await;
        }
        if fails {
            return Err(io::Error::other("no"));
        }
        self.0.lock().durable.extend(covered);
        Ok(())
    }
}

/// Appends and flushes as `drives/writer.rs` does; true when told that it is durable.
async fn append(device: &Device, disk: &Arc<Mutex<Disk>>, number: u32) -> bool {
    let receipt = device.receipt();
    future::yield_now().await;
    disk.lock().written.insert(number);
    let flushed = device.ticket.flush::<Core>(Rc::new(File(Arc::clone(disk)))).await;
    flushed.is_ok() && device.receipt() == receipt
}

fn cores(fails: Option<u32>, hangs: Option<u32>) {
    let disk = Arc::new(Mutex::<Disk>::default());
    (disk.lock().fails, disk.lock().hangs) = (fails, hangs);
    let device = Arc::new(Device::new(1, true));
    let done = Arc::new(AtomicU64::new(0));
    let keeper = hangs.map(|round| {
        let (device, done) = (Arc::clone(&device), Arc::clone(&done));
        shuttle::thread::spawn(move || keep(&device, u64::from(round), &done))
    });
    let threads: Vec<_> = (0..u32::try_from(CORES).expect("few"))
        .map(|core| {
            let (disk, device, done) = (Arc::clone(&disk), Arc::clone(&device), Arc::clone(&done));
            shuttle::thread::spawn(move || {
                future::block_on(async {
                    for number in [core * 10, core * 10 + 1] {
                        if append(&device, &disk, number).await {
                            assert!(disk.lock().durable.contains(&number), "{number} was called durable");
                        } else {
                            assert!(fails.or(hangs).is_some(), "{number} failed on a good device");
                        }
                    }
                });
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    for thread in threads.into_iter().chain(keeper) {
        thread.join().expect("no panic");
    }
    disk.lock().let_go = true;
}

/// A keeper's watch: the flush that hangs is given up, again for those who came since, until everybody was answered.
fn keep(device: &Device, round: u64, done: &AtomicU64) {
    while done.load(Ordering::SeqCst) < CORES {
        if device.ticket.under_way() == Some(round) {
            device.ticket.give_up();
        }
        shuttle::thread::yield_now();
    }
}

#[test]
fn durable_means_a_flush_that_began_after_the_write() {
    crate::explore(|| cores(None, None));
}

#[test]
fn a_failed_flush_is_seen_by_all_who_appended_before() {
    crate::explore(|| cores(Some(1), None));
    crate::explore(|| cores(Some(2), None));
}

#[test]
fn a_flush_that_hangs_keeps_nobody_waiting() {
    crate::explore(|| cores(None, Some(1)));
    crate::explore(|| cores(None, Some(2)));
}
