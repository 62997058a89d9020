//! What a crash leaves behind.

use super::super::executor::World;
use super::super::rng::Rng;
use super::content::Pending;
use super::tree::apply;
use super::{Disk, Disks};

/// What went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The process alone: the kernel has what was written, and will write it some day.
    Process,
    /// The machine: what was not flushed is lost in part.
    Power,
}

impl Disks {
    /// After the node's tasks are gone: the disks as the next start finds them. The seed chooses.
    pub fn come_back(&self, outage: Outage) {
        let world = World::current();
        world.chance(|rng| {
            for disk in self.disks.borrow_mut().values_mut() {
                match outage {
                    Outage::Process => disk.process_gone(rng),
                    Outage::Power => disk.power_lost(rng),
                }
            }
        });
        self.locks.borrow_mut().clear();
        self.life.set(self.life.get() + 1);
        self.crash_at.set(None);
        self.off.set(false);
    }
}

impl Disk {
    /// The kernel ends what it was given, or never got it.
    fn process_gone(&mut self, rng: &mut Rng) {
        for (_, inode, write) in std::mem::take(&mut self.flying) {
            if let Some(file) = self.files.get_mut(&inode)
                && rng.chance(1, 2)
            {
                file.push(write);
            }
        }
        self.drop_unnamed();
    }

    fn power_lost(&mut self, rng: &mut Rng) {
        let flying = std::mem::take(&mut self.flying);
        for (inode, file) in &mut self.files {
            let own: Vec<Pending> =
                flying.iter().filter(|(_, of, _)| of == inode).map(|(.., write)| write.clone()).collect();
            file.crash(&own, rng);
        }
        // Names are journaled in order.
        let pending = std::mem::take(&mut self.pending_names);
        let kept = rng.index(pending.len() + 1);
        for change in &pending[..kept] {
            apply(&mut self.durable_names, change);
        }
        self.names = self.durable_names.clone();
        self.drop_unnamed();
    }
}
