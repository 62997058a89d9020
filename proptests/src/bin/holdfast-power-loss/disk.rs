//! The disk under the mount: the backing directory, what of it is not durable, and the cut.
//!
//! `BACKING/live` is what programs see. What they removed waits in `BACKING/removed` until its removal is durable.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

use crate::data::Unsynced;
use crate::draw::Draw;
use crate::names::{Change, Changes, Kind, Place, Undo};

/// The root's number, whatever its backing has.
pub(crate) const ROOT: u64 = 1;
/// Stands for `BACKING/removed`; no program sees it.
const REMOVED: u64 = 0;

struct Node {
    /// Opened with `O_PATH`: finds it by any name, and keeps its number from being used again.
    handle: Arc<OwnedFd>,
    lookups: u64,
}

pub(crate) struct Disk {
    nodes: HashMap<u64, Node>,
    removed: Arc<OwnedFd>,
    removed_next: u64,
    root_inode: u64,
    unsynced: HashMap<u64, Unsynced>,
    changes: Changes,
    lies: bool,
}

/// What a cut took.
pub(crate) struct Loss {
    percent: u64,
    names: (usize, usize),
    files: usize,
    sectors: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, at_risk) = self.names;
        write!(
            f,
            "{names} of {at_risk} changes of names and {} sectors of {} files lost, each survived with {} %",
            self.sectors, self.files, self.percent
        )
    }
}

impl Disk {
    pub(crate) fn open(backing: &Path, lies: bool) -> io::Result<Self> {
        let (live, removed) = (backing.join("live"), backing.join("removed"));
        fs::create_dir_all(&live)?;
        // What an earlier power cycle had removed is gone.
        let _ = fs::remove_dir_all(&removed);
        fs::create_dir_all(&removed)?;
        let root = Arc::new(path_handle(CWD, live.as_os_str())?);
        let root_inode = rustix::fs::fstat(&*root)?.st_ino;
        let nodes = HashMap::from([(ROOT, Node { handle: root, lookups: 1 })]);
        let removed = Arc::new(path_handle(CWD, removed.as_os_str())?);
        let (unsynced, changes) = (HashMap::new(), Changes::default());
        Ok(Self { nodes, removed, removed_next: 0, root_inode, unsynced, changes, lies })
    }

    fn handle(&self, inode: u64) -> io::Result<&Arc<OwnedFd>> {
        self.nodes.get(&inode).map(|node| &node.handle).ok_or_else(|| rustix::io::Errno::STALE.into())
    }

    fn place(&self, directory: u64, name: &OsStr) -> io::Result<Place> {
        Ok(Place::in_directory(self.handle(directory)?, directory, name))
    }

    /// A name for something that is being removed.
    fn removed_place(&mut self) -> Place {
        self.removed_next += 1;
        Place::in_directory(&self.removed, REMOVED, OsStr::new(&self.removed_next.to_string()))
    }

    /// A path to what `inode` is, however it is called.
    pub(crate) fn path(&self, inode: u64) -> io::Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/self/fd/{}", self.handle(inode)?.as_raw_fd())))
    }

    pub(crate) fn stat(&self, inode: u64) -> io::Result<Stat> {
        Ok(self.numbered(rustix::fs::fstat(&**self.handle(inode)?)?))
    }

    fn numbered(&self, mut stat: Stat) -> Stat {
        if stat.st_ino == self.root_inode {
            stat.st_ino = ROOT;
        }
        stat
    }

    /// Finds a name, and counts that the kernel knows it.
    pub(crate) fn lookup(&mut self, directory: u64, name: &OsStr) -> io::Result<Stat> {
        let handle = path_handle(&**self.handle(directory)?, name)?;
        let stat = self.numbered(rustix::fs::fstat(&handle)?);
        let node = Node { handle: Arc::new(handle), lookups: 0 };
        self.nodes.entry(stat.st_ino).or_insert(node).lookups += 1;
        Ok(stat)
    }

    pub(crate) fn forget(&mut self, inode: u64, lookups: u64) {
        if let Some(node) = self.nodes.get_mut(&inode).filter(|_| inode != ROOT) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 {
                self.nodes.remove(&inode);
            }
        }
    }

    pub(crate) fn open_file(&self, inode: u64) -> io::Result<Arc<File>> {
        Ok(Arc::new(fs::OpenOptions::new().read(true).write(true).open(self.path(inode)?)?))
    }

    pub(crate) fn create(
        &mut self,
        directory: u64,
        name: &OsStr,
        mode: u32,
        owner: (u32, u32),
    ) -> io::Result<Stat> {
        let place = self.place(directory, name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::openat(&*place.handle, name, flags, Mode::from_raw_mode(mode & 0o7777))?;
        self.made(place, mode, owner, AtFlags::empty())
    }

    pub(crate) fn make_directory(
        &mut self,
        directory: u64,
        name: &OsStr,
        mode: u32,
        owner: (u32, u32),
    ) -> io::Result<Stat> {
        let place = self.place(directory, name)?;
        rustix::fs::mkdirat(&*place.handle, name, Mode::from_raw_mode(mode & 0o7777))?;
        self.made(place, mode, owner, AtFlags::REMOVEDIR)
    }

    fn made(&mut self, place: Place, mode: u32, owner: (u32, u32), undo: AtFlags) -> io::Result<Stat> {
        let inode = self.lookup(place.directory, &place.name)?.st_ino;
        let path = self.path(inode)?;
        std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1))?;
        rustix::fs::chmod(&path, Mode::from_raw_mode(mode & 0o7777))?;
        let undo = vec![Undo::Unlink(place.clone(), undo)];
        self.changes.push(Change::new(Kind::Create, inode, &[&place], undo, None));
        self.stat(inode)
    }

    pub(crate) fn link(&mut self, inode: u64, directory: u64, name: &OsStr) -> io::Result<Stat> {
        let place = self.place(directory, name)?;
        rustix::fs::linkat(CWD, self.path(inode)?, &*place.handle, name, AtFlags::SYMLINK_FOLLOW)?;
        let undo = vec![Undo::Unlink(place.clone(), AtFlags::empty())];
        self.changes.push(Change::new(Kind::Link, inode, &[&place], undo, None));
        self.lookup(directory, name)
    }

    pub(crate) fn remove(&mut self, directory: u64, name: &OsStr, kind: Kind) -> io::Result<()> {
        let place = self.place(directory, name)?;
        let (inode, is_directory) = self.is(&place)?;
        let flags = removal(is_directory);
        match (kind == Kind::RemoveDirectory, is_directory) {
            (true, false) => return Err(rustix::io::Errno::NOTDIR.into()),
            (false, true) => return Err(rustix::io::Errno::ISDIR.into()),
            (true, true) if !self.is_empty(&place)? => return Err(rustix::io::Errno::NOTEMPTY.into()),
            _ => {}
        }
        let removed = self.removed_place();
        rename(&place, &removed)?;
        let undo = vec![Undo::Move { from: removed.clone(), to: place.clone() }];
        self.changes.push(Change::new(kind, inode, &[&place], undo, Some((removed, flags))));
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), replace: bool) -> io::Result<()> {
        let (from, to) = (self.place(from.0, from.1)?, self.place(to.0, to.1)?);
        let (inode, _) = self.is(&from)?;
        let target = match self.is(&to) {
            Ok((other, _)) if other == inode => return Ok(()),
            Ok(_) if !replace => return Err(rustix::io::Errno::EXIST.into()),
            Ok((_, true)) if !self.is_empty(&to)? => return Err(rustix::io::Errno::NOTEMPTY.into()),
            Ok((_, is_directory)) => Some((self.removed_place(), removal(is_directory))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut undo = vec![Undo::Move { from: to.clone(), to: from.clone() }];
        if let Some((removed, _)) = &target {
            rename(&to, removed)?;
            undo.push(Undo::Move { from: removed.clone(), to: to.clone() });
        }
        rename(&from, &to)?;
        self.changes.push(Change::new(Kind::Rename, inode, &[&from, &to], undo, target));
        Ok(())
    }

    fn is(&self, place: &Place) -> io::Result<(u64, bool)> {
        let stat = rustix::fs::statat(&*place.handle, &*place.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((stat.st_ino, FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
    }

    fn is_empty(&self, place: &Place) -> io::Result<bool> {
        let path = format!("/proc/self/fd/{}", place.handle.as_raw_fd());
        Ok(fs::read_dir(Path::new(&path).join(&place.name))?.next().is_none())
    }

    /// Names, numbers and whether they are directories.
    pub(crate) fn list(&self, directory: u64) -> io::Result<Vec<(OsString, u64, bool)>> {
        let entries = fs::read_dir(self.path(directory)?)?.map(|entry| {
            let entry = entry?;
            let is_directory = entry.file_type()?.is_dir();
            Ok((entry.file_name(), std::os::unix::fs::DirEntryExt::ino(&entry), is_directory))
        });
        entries.collect()
    }

    /// Before the first change of a file's bytes or size.
    fn unsynced(&mut self, inode: u64, file: &Arc<File>) -> io::Result<&mut Unsynced> {
        match self.unsynced.entry(inode) {
            std::collections::hash_map::Entry::Occupied(found) => Ok(found.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                Ok(place.insert(Unsynced::new(Arc::clone(file))?))
            }
        }
    }

    pub(crate) fn will_write(&mut self, inode: u64, file: &Arc<File>, at: u64, len: u64) -> io::Result<()> {
        self.unsynced(inode, file)?.will_write(at, len)
    }

    pub(crate) fn resize(&mut self, inode: u64, len: u64) -> io::Result<()> {
        let file = self.open_file(inode)?;
        self.unsynced(inode, &file)?.will_resize(len)?;
        file.set_len(len)
    }

    /// Reserves space; `keep_size` as `FALLOC_FL_KEEP_SIZE`.
    pub(crate) fn allocate(
        &mut self,
        inode: u64,
        file: &Arc<File>,
        at: u64,
        len: u64,
        keep_size: bool,
    ) -> io::Result<()> {
        let flags = match keep_size {
            true => rustix::fs::FallocateFlags::KEEP_SIZE,
            false => rustix::fs::FallocateFlags::empty(),
        };
        let end = at + len;
        if !keep_size && end > file.metadata()?.len() {
            self.unsynced(inode, file)?.will_resize(end)?;
        }
        Ok(rustix::fs::fallocate(&**file, flags, at, len)?)
    }

    /// `fsync` or `fdatasync` of a file, `fsync` of a directory.
    pub(crate) fn sync(&mut self, inode: u64) -> io::Result<()> {
        if self.lies {
            return Ok(());
        }
        self.unsynced.remove(&inode);
        self.changes.sync(inode)
    }

    /// The power is cut.
    pub(crate) fn cut(&mut self, draw: &mut Draw) -> io::Result<Loss> {
        let percent = [0, 10, 50, 50, 90, 100][usize::try_from(draw.below(6)).expect("below 6")];
        let names = self.changes.lose(draw, percent)?;
        let mut unsynced: Vec<_> = self.unsynced.drain().collect();
        unsynced.sort_by_key(|(inode, _)| *inode);
        let files = unsynced.len();
        let mut sectors = 0;
        for (_, file) in unsynced {
            sectors += file.lose(draw, percent)?;
        }
        Ok(Loss { percent, names, files, sectors })
    }
}

fn removal(is_directory: bool) -> AtFlags {
    if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() }
}

fn rename(from: &Place, to: &Place) -> io::Result<()> {
    Ok(rustix::fs::renameat(&*from.handle, &*from.name, &*to.handle, &*to.name)?)
}

fn path_handle(directory: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}
