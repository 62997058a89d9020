//! Simulated disks: what is written is there at once, what survives a crash is what was flushed, and of the rest a part
//! that the seed chooses.
//!
//! Each drive directory is a file system of its own on a device that several may share. A write that is not flushed may be
//! lost, whole or torn at sectors; so may a size, a creation, a rename, a removal whose file or directory was not synced.
//! On devices like ext4's, flushing one file also flushes the overwrites that others sent past the page cache, but
//! never anything that changed a file's metadata (a first write to a reserved block does). Every call is a numbered *I/O point*, and the
//! power can go off at any of them. The order of overlapping writes is kept, as real devices do.

mod content;
mod crash;
mod faults;
mod tree;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use content::{Data, File, Pending};
pub use crash::Outage;
pub use faults::Faults;
pub use tree::{Found, Handle, Open};
use tree::{NameOp, Node, split};

use super::executor::World;

/// All disks of a world. They outlive every node.
#[derive(Default)]
pub struct Disks {
    disks: RefCell<BTreeMap<String, Disk>>,
    off: Cell<bool>,
    points: Cell<u64>,
    crash_at: Cell<Option<u64>>,
    /// Raised at every outage: handles of an earlier life do nothing.
    life: Cell<u64>,
    next: Cell<u64>,
    locks: RefCell<BTreeSet<String>>,
}

/// One file system.
struct Disk {
    device: u64,
    /// One file's flush covers overwrites of all.
    covers: bool,
    capacity: u64,
    files: BTreeMap<u64, File>,
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
    pending_names: Vec<NameOp>,
    /// Writes under way: token, file, where, what.
    flying: Vec<(u64, u64, Pending)>,
    faults: Faults,
}

/// Room on a file system, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub capacity: u64,
    pub free: u64,
}

/// How a disk is made.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    pub device: u64,
    pub covers: bool,
    pub capacity: u64,
}

impl Disks {
    /// A new, empty disk at `/sim/NAME`.
    pub fn add(&self, name: &str, make: Make) {
        let root = Node::Dir(self.number());
        let names = BTreeMap::from([(String::new(), root)]);
        let disk = Disk {
            device: make.device,
            covers: make.covers,
            capacity: make.capacity,
            files: BTreeMap::new(),
            durable_names: names.clone(),
            names,
            pending_names: Vec::new(),
            flying: Vec::new(),
            faults: Faults::default(),
        };
        self.disks.borrow_mut().insert(name.to_owned(), disk);
    }

    /// I/O points passed so far.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.points.get()
    }

    /// The power goes off at I/O point `at`, before it has an effect.
    pub fn crash_at(&self, at: Option<u64>) {
        self.crash_at.set(at);
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off.get()
    }

    pub fn power_off(&self) {
        self.off.set(true);
    }

    /// Counts an I/O point.
    fn point(&self, what: &'static str) -> io::Result<()> {
        if self.off.get() {
            return Err(powerless());
        }
        let number = self.points.get();
        if self.crash_at.get() == Some(number) {
            self.power_off();
            return Err(powerless());
        }
        self.points.set(number + 1);
        let world = World::current();
        world.note(what.len() as u64 ^ number << 8);
        tracing::trace!(number, what, micros = world.elapsed().as_micros() as u64, "io");
        Ok(())
    }

    fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    fn disk<T>(&self, path: &Path, act: impl FnOnce(&mut Disk, &str) -> io::Result<T>) -> io::Result<T> {
        let (name, rest) = split(path)?;
        let mut disks = self.disks.borrow_mut();
        let disk = disks.get_mut(&name).ok_or(io::ErrorKind::NotFound)?;
        act(disk, &rest)
    }

    fn file<T>(
        &self,
        handle: &Handle,
        act: impl FnOnce(&mut Disk, &mut File) -> io::Result<T>,
    ) -> io::Result<T> {
        if handle.life != self.life.get() {
            return Err(powerless());
        }
        let mut disks = self.disks.borrow_mut();
        let disk = disks.get_mut(&handle.disk).ok_or(io::ErrorKind::NotFound)?;
        // Out and in again, so that the file and its disk can both be changed.
        let mut file = disk.files.remove(&handle.inode).ok_or(io::ErrorKind::NotFound)?;
        let out = act(disk, &mut file);
        disk.files.insert(handle.inode, file);
        out
    }

    /// Reads what is there now. The count is short only at the end of the file.
    pub fn read_at(&self, handle: &Handle, out: &mut [u8], at: u64) -> io::Result<usize> {
        self.point("read")?;
        self.file(handle, |disk, file| {
            disk.faults.read()?;
            Ok(file.now.read(out, at))
        })
    }

    /// Writes; visible at once, durable by a flush.
    pub fn write_at(&self, handle: &Handle, bytes: &[u8], at: u64) -> io::Result<()> {
        let token = self.begin_write(handle, bytes, at)?;
        self.end_write(handle, token)
    }

    /// Begins a write: until its end it is not visible, but a crash may already find it, or a part of it.
    pub fn begin_write(&self, handle: &Handle, bytes: &[u8], at: u64) -> io::Result<u64> {
        if self.off.get() {
            return Err(powerless());
        }
        let token = self.number();
        self.file(handle, |disk, file| {
            if handle.direct && (!at.is_multiple_of(512) || !bytes.len().is_multiple_of(512)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let pure = file.is_overwrite(at, bytes.len());
            let write = Pending::Write { at, data: Data::of(bytes), covered: handle.direct && pure };
            disk.flying.push((token, handle.inode, write));
            Ok(token)
        })
    }

    /// Ends a write.
    pub fn end_write(&self, handle: &Handle, token: u64) -> io::Result<()> {
        self.point("write")?;
        self.file(handle, |disk, file| {
            let at = disk.flying.iter().position(|(own, ..)| *own == token).ok_or(io::ErrorKind::Other)?;
            let (_, _, write) = disk.flying.swap_remove(at);
            disk.faults.write()?;
            if disk.faults.lie() {
                return Ok(());
            }
            disk.fits(file, write.end())?;
            file.push(write);
            Ok(())
        })
    }

    /// Sets the size.
    pub fn set_len(&self, handle: &Handle, len: u64) -> io::Result<()> {
        self.point("set_len")?;
        self.file(handle, |disk, file| {
            disk.faults.write()?;
            disk.fits(file, len)?;
            file.push(Pending::Size(len));
            Ok(())
        })
    }

    /// Reserves `len` bytes from the start.
    pub fn allocate(&self, handle: &Handle, len: u64) -> io::Result<()> {
        let now = self.len(handle)?;
        if now >= len { Ok(()) } else { self.set_len(handle, len) }
    }

    pub fn len(&self, handle: &Handle) -> io::Result<u64> {
        if self.off.get() {
            return Err(powerless());
        }
        self.file(handle, |_, file| Ok(file.now.len))
    }

    /// Makes the file durable, and with it what its device's flush covers.
    pub fn sync(&self, handle: &Handle) -> io::Result<()> {
        self.point("sync")?;
        let (device, covers) = self.file(handle, |disk, file| {
            if let Err(error) = disk.faults.sync() {
                file.forget_unsynced();
                return Err(error);
            }
            file.settle();
            Ok((disk.device, disk.covers))
        })?;
        if covers {
            let mut disks = self.disks.borrow_mut();
            let shared = disks.values_mut().filter(|disk| disk.device == device);
            shared.flat_map(|disk| disk.files.values_mut()).for_each(File::settle_covered);
        }
        Ok(())
    }
}

impl Disk {
    /// Whether `file` may grow to `len`.
    fn fits(&self, file: &File, len: u64) -> io::Result<()> {
        let grows = len.saturating_sub(file.now.len);
        let room = grows == 0 || (!self.faults.full && self.used() + file.now.len + grows <= self.capacity);
        if room { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.now.len).sum()
    }

    fn free(&self) -> u64 {
        if self.faults.full { 0 } else { self.capacity.saturating_sub(self.used()) }
    }
}

/// What every call says once the power is off.
fn powerless() -> io::Error {
    io::Error::other("the power is off")
}

#[cfg(test)]
mod tests;
