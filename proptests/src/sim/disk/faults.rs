//! What can go wrong with a disk without a crash.

use std::io;
use std::time::Duration;

use super::super::executor::World;
use super::Disks;

/// The faults of one disk, all off at first.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Reads, writes, flushes that fail: so many of 100.
    pub read_errors: u64,
    pub write_errors: u64,
    pub sync_errors: u64,
    /// The directory cannot be found any more.
    pub gone: bool,
    /// No byte is free; overwriting and deleting work.
    pub full: bool,
    /// What every operation of a core takes longer.
    pub stall: Duration,
    /// Writes that are acknowledged and never happen: so many of 100.
    pub lies: u64,
}

impl Faults {
    fn strikes(&self, of_100: u64) -> io::Result<()> {
        let strikes = self.gone || (of_100 > 0 && World::current().chance(|rng| rng.chance(of_100, 100)));
        if strikes { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    pub(super) fn read(&self) -> io::Result<()> {
        self.strikes(self.read_errors)
    }

    pub(super) fn write(&self) -> io::Result<()> {
        self.strikes(self.write_errors)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.strikes(self.sync_errors)
    }

    pub(super) fn lie(&self) -> bool {
        self.lies > 0 && World::current().chance(|rng| rng.chance(self.lies, 100))
    }
}

impl Disks {
    /// Changes the faults of the disk at `/sim/NAME`.
    pub fn fault(&self, name: &str, change: impl FnOnce(&mut Faults)) {
        change(&mut self.disks.borrow_mut().get_mut(name).expect("a disk of this world").faults);
    }

    /// How long the next operation on this disk takes longer.
    #[must_use]
    pub fn stall(&self, name: &str) -> Duration {
        self.disks.borrow().get(name).map_or(Duration::ZERO, |disk| disk.faults.stall)
    }

    /// Files of a disk with their sizes.
    #[must_use]
    pub fn files(&self, name: &str) -> Vec<(String, u64)> {
        let disks = self.disks.borrow();
        let disk = disks.get(name).expect("a disk of this world");
        let file = |(path, node): (&String, &super::tree::Node)| match node {
            super::tree::Node::File(inode) => disk.files.get(inode).map(|file| (path.clone(), file.now.len)),
            super::tree::Node::Dir(_) => None,
        };
        disk.names.iter().filter_map(file).filter(|(path, _)| path.ends_with(".seg")).collect()
    }

    /// Flips bits of one byte.
    pub fn rot(&self, name: &str, file: &str, at: u64) {
        let mut disks = self.disks.borrow_mut();
        let disk = disks.get_mut(name).expect("a disk of this world");
        if let Some(super::tree::Node::File(inode)) = disk.names.get(file)
            && let Some(file) = disk.files.get_mut(inode)
            && at < file.now.len
        {
            file.rot(at);
        }
    }

    /// Everything on it is lost; a new, empty disk takes its place.
    pub fn replace(&self, name: &str) {
        let mut disks = self.disks.borrow_mut();
        let disk = disks.get_mut(name).expect("a disk of this world");
        disk.files.clear();
        disk.flying.clear();
        disk.pending_names.clear();
        disk.names.retain(|path, _| path.is_empty());
        disk.durable_names = disk.names.clone();
        disk.faults = Faults::default();
    }
}
