//! Names: directories and files of a disk, and the calls that change them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::content::{File, Pending};
use super::{Disk, Disks, Room, powerless};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir(u64),
    File(u64),
}

impl Node {
    fn inode(self) -> u64 {
        match self {
            Self::Dir(inode) | Self::File(inode) => inode,
        }
    }
}

/// A change of names that no sync of a directory has made durable.
#[derive(Clone, Debug)]
pub(super) enum NameOp {
    Link(String, Node),
    Unlink(String),
    Rename(String, String),
}

pub(super) fn apply(names: &mut BTreeMap<String, Node>, change: &NameOp) {
    match change {
        NameOp::Link(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameOp::Unlink(name) => {
            names.remove(name);
        }
        NameOp::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open {
    pub create: bool,
    pub create_new: bool,
    pub truncate: bool,
    pub direct: bool,
}

/// An open file of one life of the node.
#[derive(Clone, Debug)]
pub struct Handle {
    pub disk: String,
    pub(super) inode: u64,
    pub(super) direct: bool,
    pub(super) life: u64,
}

/// What stands under a name.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub is_dir: bool,
    pub device: u64,
    pub inode: u64,
    pub len: u64,
}

/// `/sim/NAME/rest` as name and rest.
pub(super) fn split(path: &Path) -> io::Result<(String, String)> {
    let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    let inside = text.strip_prefix("/sim/").ok_or(io::ErrorKind::NotFound)?;
    let (name, rest) = inside.split_once('/').unwrap_or((inside, ""));
    Ok((name.to_owned(), rest.trim_end_matches('/').to_owned()))
}

impl Disk {
    fn change(&mut self, change: NameOp) {
        apply(&mut self.names, &change);
        self.pending_names.push(change);
    }

    /// Files that no name leads to, now or after any crash, are forgotten.
    pub(super) fn drop_unnamed(&mut self) {
        let Self { files, names, durable_names, .. } = self;
        let named =
            |inode: u64| names.values().chain(durable_names.values()).any(|node| node.inode() == inode);
        files.retain(|inode, _| named(*inode));
    }

    fn settle_names(&mut self) {
        for change in std::mem::take(&mut self.pending_names) {
            apply(&mut self.durable_names, &change);
        }
    }
}

impl Disks {
    /// Opens or makes a file.
    pub fn open(&self, path: &Path, open: Open) -> io::Result<Handle> {
        self.point("open")?;
        let fresh = self.number();
        self.disk(path, |disk, name| {
            if disk.faults.gone {
                return Err(io::ErrorKind::NotFound.into());
            }
            let inode = match disk.names.get(name) {
                Some(_) if open.create_new => return Err(io::ErrorKind::AlreadyExists.into()),
                Some(Node::File(inode)) => *inode,
                Some(Node::Dir(inode)) => *inode,
                None if open.create || open.create_new => {
                    if disk.faults.full {
                        return Err(io::ErrorKind::StorageFull.into());
                    }
                    disk.files.insert(fresh, File::default());
                    disk.change(NameOp::Link(name.to_owned(), Node::File(fresh)));
                    fresh
                }
                None => return Err(io::ErrorKind::NotFound.into()),
            };
            if open.truncate
                && let Some(file) = disk.files.get_mut(&inode)
            {
                file.push(Pending::Size(0));
            }
            Ok((inode, split(path)?.0))
        })
        .map(|(inode, disk)| Handle { disk, inode, direct: open.direct, life: self.life.get() })
    }

    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.point("mkdir")?;
        let fresh = self.number();
        self.disk(path, |disk, name| {
            if disk.faults.gone {
                return Err(io::ErrorKind::NotFound.into());
            }
            if !disk.names.contains_key(name) {
                disk.change(NameOp::Link(name.to_owned(), Node::Dir(fresh)));
            }
            Ok(())
        })
    }

    /// Names in a directory, sorted.
    pub fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.point("readdir")?;
        self.disk(path, |disk, name| {
            if disk.faults.gone || !disk.names.contains_key(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let prefix = if name.is_empty() { String::new() } else { format!("{name}/") };
            let inside = disk.names.keys().filter_map(|other| other.strip_prefix(&prefix));
            Ok(inside.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned).collect())
        })
    }

    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.point("unlink")?;
        self.disk(path, |disk, name| {
            disk.faults.write()?;
            match disk.names.get(name) {
                Some(Node::File(_)) => disk.change(NameOp::Unlink(name.to_owned())),
                _ => return Err(io::ErrorKind::NotFound.into()),
            }
            Ok(())
        })
    }

    /// Both on one disk.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point("rename")?;
        let (_, to) = split(to)?;
        self.disk(from, |disk, from| {
            disk.faults.write()?;
            if !disk.names.contains_key(from) {
                return Err(io::ErrorKind::NotFound.into());
            }
            disk.change(NameOp::Rename(from.to_owned(), to));
            Ok(())
        })
    }

    /// Makes names durable.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.point("sync_dir")?;
        if path == Path::new("/sim") {
            return Ok(());
        }
        self.disk(path, |disk, _| {
            disk.faults.sync()?;
            disk.settle_names();
            Ok(())
        })
    }

    pub fn look_at(&self, path: &Path) -> io::Result<Found> {
        if self.is_off() {
            return Err(powerless());
        }
        self.disk(path, |disk, name| {
            let node = disk.names.get(name).filter(|_| !disk.faults.gone).ok_or(io::ErrorKind::NotFound)?;
            let len = disk.files.get(&node.inode()).map_or(0, |file| file.now.len);
            Ok(Found { is_dir: matches!(node, Node::Dir(_)), device: disk.device, inode: node.inode(), len })
        })
    }

    pub fn room(&self, path: &Path) -> io::Result<Room> {
        self.disk(path, |disk, _| {
            if disk.faults.gone {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(Room { capacity: disk.capacity, free: disk.free() })
        })
    }

    /// Whether one file's flush covers all overwrites.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        self.disk(path, |disk, _| Ok(disk.covers)).unwrap_or(false)
    }

    /// Takes the lock of a file, or says that another has it.
    #[must_use]
    pub fn lock(&self, path: &Path) -> bool {
        self.locks.borrow_mut().insert(path.display().to_string())
    }

    pub fn unlock(&self, path: &Path, life: u64) {
        if life == self.life.get() {
            self.locks.borrow_mut().remove(&path.display().to_string());
        }
    }

    /// The number of this life.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.life.get()
    }
}
