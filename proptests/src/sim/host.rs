//! The engine's blocking side over the simulated disks: each call takes effect at once and is one I/O point.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use holdfast_dataplane::drives::host::{Host, HostFile, Lock, Space, Stat};
use holdfast_dataplane::rt::OpenOptions;

use super::disk::{Handle, Open};
use super::executor::World;

/// The machine of this thread's world.
#[derive(Clone, Copy, Debug)]
pub struct SimHost;

impl Host for SimHost {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn HostFile>> {
        let OpenOptions { direct, create, create_new, truncate, .. } = options;
        let open = Open { direct, create, create_new, truncate };
        Ok(Box::new(SimHostFile(World::current().disks.open(path, open)?)))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        Ok(World::current().disks.read_dir(dir)?.into_iter().map(OsString::from).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        World::current().disks.create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        World::current().disks.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        World::current().disks.rename(from, to)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let found = World::current().disks.look_at(path)?;
        Ok(Stat { device: found.device, inode: found.inode, is_dir: found.is_dir })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let room = World::current().disks.room(path)?;
        Ok(Space { capacity: room.capacity, free: room.free })
    }

    fn any_file_covers(&self, path: &Path) -> bool {
        World::current().disks.covers(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        World::current().disks.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let disks = &World::current().disks;
        disks.open(path, Open { create: true, ..Open::default() })?;
        if disks.lock(path) {
            Ok(Box::new(SimLock { path: path.to_owned(), life: disks.life() }))
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    fn now(&self) -> Instant {
        World::current().now()
    }

    fn unix_ms(&self) -> u64 {
        World::current().unix_ms()
    }
}

struct SimLock {
    path: PathBuf,
    life: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        World::current().disks.unlock(&self.path, self.life);
    }
}

#[derive(Debug)]
struct SimHostFile(Handle);

impl HostFile for SimHostFile {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let count = World::current().disks.read_at(&self.0, out, offset)?;
        if count == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        World::current().disks.write_at(&self.0, bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        World::current().disks.len(&self.0)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        World::current().disks.set_len(&self.0, bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        World::current().disks.allocate(&self.0, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        World::current().disks.sync(&self.0)
    }

    fn sync_all(&self) -> io::Result<()> {
        World::current().disks.sync(&self.0)
    }
}
