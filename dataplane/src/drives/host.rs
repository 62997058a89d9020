//! The machine as the engine's blocking side sees it: files, directories, room, locks, clocks.
//!
//! Everything in [`super`] that blocks goes through here: opening and formatting drives, recovery, and the keepers. What
//! cores do without blocking goes through [`crate::rt::Rt`]. A simulator implements both over the same disks; tests wrap
//! the real one to make it fail.

use std::any::Any;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Instant;

use crate::limits::DRIVE_RESERVE_BYTES_MAX;
use crate::rt::OpenOptions;

/// What the engine needs of a machine. Every call may block, but for the clocks.
pub trait Host: Debug + Send + Sync {
    /// Opens or creates a file for reading, and for writing if asked.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn HostFile>>;

    /// Names in a directory, in any order, without `.` and `..`.
    ///
    /// # Errors
    /// The system's.
    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// # Errors
    /// The system's.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// # Errors
    /// The system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// # Errors
    /// The system's.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Room on the file system that holds `path`.
    ///
    /// # Errors
    /// The system's.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Whether `fdatasync` of one overwritten file flushes the device for all files of `path`'s file system.
    fn any_file_covers(&self, path: &Path) -> bool;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file, which it creates if need be, for this process until the answer is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another holds it; else the system's.
    fn lock(&self, path: &Path) -> io::Result<Lock>;

    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// Milliseconds since 1970, as the system believes.
    fn unix_ms(&self) -> u64;
}

/// A lock, held until it is dropped.
pub type Lock = Box<dyn Any + Send + Sync>;

/// An open file.
pub trait HostFile: Debug + Send + Sync {
    /// # Errors
    /// `UnexpectedEof` at the end of the file; else the system's.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;

    /// # Errors
    /// The system's; nothing is then known about the range.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Bytes.
    ///
    /// # Errors
    /// The system's.
    fn size(&self) -> io::Result<u64>;

    /// Cuts or grows it.
    ///
    /// # Errors
    /// The system's.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Reserves blocks for the first `bytes` and makes the size at least that.
    ///
    /// # Errors
    /// `Unsupported` where the file system cannot; else the system's.
    fn reserve(&self, bytes: u64) -> io::Result<()>;

    /// Makes written bytes durable, with what is needed to read them back.
    ///
    /// # Errors
    /// The system's; it must not be tried again.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`HostFile::sync_data`], with all metadata.
    ///
    /// # Errors
    /// The system's; it must not be tried again.
    fn sync_all(&self) -> io::Result<()>;
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub is_dir: bool,
}

/// Room on a file system, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space {
    pub capacity: u64,
    pub free: u64,
}

impl Space {
    /// Bytes that new fragments leave alone.
    #[must_use]
    pub fn reserve(&self) -> u64 {
        (self.capacity / 20).min(DRIVE_RESERVE_BYTES_MAX)
    }
}

/// The machine itself.
#[derive(Clone, Copy, Debug)]
pub struct RealHost;

impl Host for RealHost {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn HostFile>> {
        let OpenOptions { direct, create, create_new, write, truncate } = options;
        let mut how = File::options();
        how.read(true).write(write).create(create).create_new(create_new).truncate(truncate).mode(0o600);
        how.custom_flags(if direct { libc::O_DIRECT } else { 0 });
        Ok(Box::new(how.open(path)?))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let found = fs::metadata(path)?;
        Ok(Stat { device: found.dev(), inode: found.ino(), is_dir: found.is_dir() })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            capacity: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    /// True for ext4 and xfs.
    fn any_file_covers(&self, path: &Path) -> bool {
        const EXT4: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        rustix::fs::statfs(path).is_ok_and(|found| matches!(u64::try_from(found.f_type), Ok(EXT4 | XFS)))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut how = File::options();
        let file = how.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> u64 {
        crate::rt::unix_ms()
    }
}

impl HostFile for File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|found| found.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, bytes)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }
}
