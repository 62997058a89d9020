//! The kernel's questions, answered from the [`Disk`]; after the cut every answer is an error.
//!
//! The kernel's page cache writes through, so every write arrives here before its call returns. It may cache names,
//! attributes and bytes for long: nothing changes behind its back.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, SessionACL, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, Stat, Timespec, Timestamps};

use crate::disk::{Disk, Loss};
use crate::draw::Draw;
use crate::names::Kind;

const CACHED: Duration = Duration::from_secs(3600);

/// How it is mounted: for all users, with the kernel checking modes.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.mount_options =
        vec![MountOption::FSName("holdfast-power-loss".to_owned()), MountOption::DefaultPermissions];
    config.acl = SessionACL::All;
    config
}

enum Open {
    File(u64, Arc<File>),
    Directory(Vec<(OsString, u64, bool)>),
}

struct State {
    disk: Disk,
    open: HashMap<u64, Open>,
}

/// The file system; `None` once the power is off.
#[derive(Clone)]
pub(crate) struct Mounted {
    state: Arc<Mutex<Option<State>>>,
    next: Arc<AtomicU64>,
}

impl Mounted {
    pub(crate) fn new(disk: Disk) -> Self {
        let state = State { disk, open: HashMap::new() };
        Self { state: Arc::new(Mutex::new(Some(state))), next: Arc::default() }
    }

    pub(crate) fn cut(&self, draw: &mut Draw) -> io::Result<Loss> {
        let state = self.state.lock().take();
        state.ok_or_else(|| io::Error::other("the power is off already"))?.disk.cut(draw)
    }

    fn with<T>(&self, call: impl FnOnce(&mut State) -> io::Result<T>) -> Result<T, Errno> {
        let mut state = self.state.lock();
        call(state.as_mut().ok_or(Errno::EIO)?).map_err(Errno::from)
    }

    fn keep(&self, open: Open) -> Result<FileHandle, Errno> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.with(|state| Ok(state.open.insert(number, open)))?;
        Ok(FileHandle(number))
    }
}

impl State {
    fn file(&self, handle: FileHandle) -> io::Result<(u64, Arc<File>)> {
        match self.open.get(&handle.0) {
            Some(Open::File(inode, file)) => Ok((*inode, Arc::clone(file))),
            _ => Err(rustix::io::Errno::BADF.into()),
        }
    }
}

fn time(seconds: i64, nanoseconds: u64) -> SystemTime {
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
    UNIX_EPOCH + Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds)
}

fn attributes(stat: &Stat) -> FileAttr {
    let kind = match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Directory => FileType::Directory,
        _ => FileType::RegularFile,
    };
    let changed = time(stat.st_mtime, stat.st_mtime_nsec);
    FileAttr {
        ino: INodeNo(stat.st_ino),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: changed,
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        crtime: changed,
        kind,
        perm: u16::try_from(stat.st_mode & 0o7777).expect("12 bits"),
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn stamp(time: Option<TimeOrNow>) -> Timespec {
    match time {
        Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        Some(TimeOrNow::SpecificTime(time)) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            Timespec { tv_sec: seconds, tv_nsec: since.subsec_nanos().into() }
        }
        None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
    }
}

/// Answers with what a call returns, or its error.
macro_rules! answer {
    ($reply:ident, $result:expr, $value:pat => $good:expr) => {
        match $result {
            Ok($value) => $good,
            Err(error) => $reply.error(error),
        }
    };
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.with(|state| state.disk.lookup(parent.0, name)),
            stat => reply.entry(&CACHED, &attributes(&stat), Generation(0)));
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        // Once the power is off there is nothing to forget.
        let _ = self.with(|state| {
            state.disk.forget(ino.0, lookups);
            Ok(())
        });
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.with(|state| state.disk.stat(ino.0)), stat => reply.attr(&CACHED, &attributes(&stat)));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.with(|state| {
            let path = state.disk.path(ino.0)?;
            if uid.is_some() || gid.is_some() {
                std::os::unix::fs::chown(&path, uid, gid)?;
            }
            if let Some(mode) = mode {
                rustix::fs::chmod(&path, Mode::from_raw_mode(mode & 0o7777))?;
            }
            if let Some(size) = size {
                state.disk.resize(ino.0, size)?;
            }
            if atime.is_some() || mtime.is_some() {
                let times = Timestamps { last_access: stamp(atime), last_modification: stamp(mtime) };
                rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty())?;
            }
            state.disk.stat(ino.0)
        });
        answer!(reply, changed, stat => reply.attr(&CACHED, &attributes(&stat)));
    }

    fn mkdir(
        &self,
        asker: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let owner = (asker.uid(), asker.gid());
        answer!(reply, self.with(|state| state.disk.make_directory(parent.0, name, mode & !umask, owner)),
            stat => reply.entry(&CACHED, &attributes(&stat), Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.with(|state| state.disk.remove(parent.0, name, Kind::Remove)), () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.with(|state| state.disk.remove(parent.0, name, Kind::RemoveDirectory)), () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            return reply.error(Errno::EINVAL);
        }
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        answer!(reply, self.with(|state| state.disk.rename((parent.0, name), (newparent.0, newname), replace)),
            () => reply.ok());
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.with(|state| state.disk.link(ino.0, newparent.0, newname)),
            stat => reply.entry(&CACHED, &attributes(&stat), Generation(0)));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.with(|state| state.disk.open_file(ino.0));
        answer!(reply, opened.and_then(|file| self.keep(Open::File(ino.0, file))),
            handle => reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE));
    }

    fn create(
        &self,
        asker: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.with(|state| {
            let stat = state.disk.create(parent.0, name, mode & !umask, (asker.uid(), asker.gid()))?;
            Ok((stat, state.disk.open_file(stat.st_ino)?))
        });
        let kept = made.and_then(|(stat, file)| Ok((stat, self.keep(Open::File(stat.st_ino, file))?)));
        answer!(reply, kept, (stat, handle) => {
            reply.created(&CACHED, &attributes(&stat), Generation(0), handle, FopenFlags::FOPEN_KEEP_CACHE);
        });
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.with(|state| {
            let (_, file) = state.file(fh)?;
            let mut bytes = vec![0; size as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        });
        answer!(reply, read, bytes => reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.with(|state| {
            let (inode, file) = state.file(fh)?;
            state.disk.will_write(inode, &file, offset, data.len() as u64)?;
            file.write_all_at(data, offset)?;
            if OFlags::from_bits_retain(flags.0.cast_unsigned()).intersects(OFlags::SYNC | OFlags::DSYNC) {
                state.disk.sync(inode)?;
            }
            Ok(u32::try_from(data.len()).expect("the kernel's own bound"))
        });
        answer!(reply, written, len => reply.written(len));
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        // Holes and the like are not for those who can do without.
        if mode & !1 != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let done = self.with(|state| {
            let (inode, file) = state.file(fh)?;
            state.disk.allocate(inode, &file, offset, length, mode == 1)
        });
        answer!(reply, done, () => reply.ok());
    }

    /// On `close`: nothing is promised by it.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        answer!(reply, self.with(|state| Ok(state.open.remove(&fh.0))), _ => reply.ok());
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.with(|state| state.disk.sync(ino.0)), () => reply.ok());
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let listed = self.with(|state| state.disk.list(ino.0));
        answer!(reply, listed.and_then(|names| self.keep(Open::Directory(names))),
            handle => reply.opened(handle, FopenFlags::empty()));
    }

    fn readdir(&self, _: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let filled = self.with(|state| {
            let Some(Open::Directory(names)) = state.open.get(&fh.0) else {
                return Err(rustix::io::Errno::BADF.into());
            };
            let dots = [(OsString::from("."), ino.0, true), (OsString::from(".."), ino.0, true)];
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            for (at, (name, inode, is_directory)) in dots.iter().chain(names).enumerate().skip(from) {
                let kind = if *is_directory { FileType::Directory } else { FileType::RegularFile };
                if reply.add(INodeNo(*inode), at as u64 + 1, kind, name) {
                    break;
                }
            }
            Ok(())
        });
        answer!(reply, filled, () => reply.ok());
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        answer!(reply, self.with(|state| Ok(state.open.remove(&fh.0))), _ => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.with(|state| state.disk.sync(ino.0)), () => reply.ok());
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        let found = self.with(|state| Ok(rustix::fs::statvfs(state.disk.path(ino.0)?)?));
        answer!(reply, found, s => reply.statfs(
            s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree,
            u32::try_from(s.f_bsize).unwrap_or(4096), 255, u32::try_from(s.f_frsize).unwrap_or(4096),
        ));
    }
}
