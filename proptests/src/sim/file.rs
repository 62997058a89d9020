//! A file of the simulation as a core uses it: operations take virtual time, and each lands on its own.

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use holdfast_dataplane::rt::{AlignedBuf, DiskFile, OpenOptions};

use super::disk::{Handle, Open};
use super::executor::World;

/// See the module.
pub struct SimFile(Handle);

impl SimFile {
    /// Tens of microseconds, now and then some milliseconds, and what the disk's stall adds.
    async fn latency(disk: &str) {
        let world = World::current();
        let micros = world
            .chance(|rng| if rng.chance(1, 20) { rng.within(2_000..20_000) } else { rng.within(20..400) });
        let stall = world.disks.stall(disk);
        world.sleep(Duration::from_micros(micros) + stall).await;
    }
}

impl DiskFile for SimFile {
    async fn open(path: &Path, options: OpenOptions) -> io::Result<Self> {
        let OpenOptions { direct, create, create_new, truncate, .. } = options;
        Self::latency("").await;
        World::current().disks.open(path, Open { direct, create, create_new, truncate }).map(Self)
    }

    async fn read_at(&self, mut buf: AlignedBuf, offset: u64, len: usize) -> (io::Result<usize>, AlignedBuf) {
        Self::latency(&self.0.disk).await;
        let read = World::current().disks.read_at(&self.0, &mut buf.space()[..len], offset);
        buf.set_len(*read.as_ref().unwrap_or(&0));
        (read, buf)
    }

    async fn write_at(&self, buf: AlignedBuf, offset: u64) -> (io::Result<()>, AlignedBuf) {
        let world = World::current();
        let token = match world.disks.begin_write(&self.0, &buf, offset) {
            Ok(token) => token,
            Err(error) => return (Err(error), buf),
        };
        Self::latency(&self.0.disk).await;
        (world.disks.end_write(&self.0, token), buf)
    }

    async fn fdatasync(&self) -> io::Result<()> {
        // What was written before the call is what it promises; writes that land meanwhile may come along.
        Self::latency(&self.0.disk).await;
        let done = World::current().disks.sync(&self.0);
        Self::latency(&self.0.disk).await;
        done
    }

    async fn fallocate(&self, len: u64) -> io::Result<()> {
        Self::latency(&self.0.disk).await;
        World::current().disks.allocate(&self.0, len)
    }

    async fn size(&self) -> io::Result<u64> {
        World::current().disks.len(&self.0)
    }

    fn raw_fd(&self) -> RawFd {
        -1
    }
}
