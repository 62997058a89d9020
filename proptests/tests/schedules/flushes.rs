//! Flush tickets: nobody is told "durable" by a flush that began before his write ended, and who appended before a
//! failure learns of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use shuttle::future;

use crate::drives::flush::Device;
use crate::rt::{DiskFile, Rt};
use crate::sync::Mutex;

/// The device: what was written to it, what of that is durable, and which of its flushes fail.
#[derive(Default)]
struct Disk {
    written: BTreeSet<u32>,
    durable: BTreeSet<u32>,
    flushes: u32,
    fails: Option<u32>,
}

struct File(Arc<Mutex<Disk>>);
struct Core;

impl Rt for Core {
    type File = File;

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        drop(future::spawn_local(task));
    }
}

impl DiskFile for File {
    async fn fdatasync(&self) -> io::Result<()> {
        let (covered, fails) = {
            let mut disk = self.0.lock();
            disk.flushes += 1;
            let fails = disk.fails == Some(disk.flushes);
            let covered = disk.written.clone();
            if fails {
                // The kernel drops what it could not write and would say yes the next time.
                disk.written.clear();
            }
            (covered, fails)
        };
        future::yield_now().await;
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

fn cores(fails: Option<u32>) {
    let disk = Arc::new(Mutex::<Disk>::default());
    disk.lock().fails = fails;
    let device = Arc::new(Device::new(1, true));
    let threads: Vec<_> = (0..3)
        .map(|core| {
            let (disk, device) = (Arc::clone(&disk), Arc::clone(&device));
            shuttle::thread::spawn(move || {
                future::block_on(async {
                    for number in [core * 10, core * 10 + 1] {
                        if append(&device, &disk, number).await {
                            assert!(disk.lock().durable.contains(&number), "{number} was called durable");
                        } else {
                            assert!(fails.is_some(), "{number} failed on a good device");
                        }
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn durable_means_a_flush_that_began_after_the_write() {
    crate::explore(|| cores(None));
}

#[test]
fn a_failed_flush_is_seen_by_all_who_appended_before() {
    crate::explore(|| cores(Some(1)));
    crate::explore(|| cores(Some(2)));
}
