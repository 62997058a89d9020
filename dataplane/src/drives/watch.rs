//! Writes and flushes that do not come back, or late: a drive that hangs is taken out of the write set, and nobody waits
//! for it; one that is slow ([`super::pace`]) is left alone for a while.
//!
//! While a core has something under way on a drive, a task of it looks every [`DRIVE_TICK`]. What it sees so many times
//! hangs. Looks are counted, not seconds: a machine that was suspended has healthy drives.

use std::future::Future;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::DriveState;
use super::drive::Drive;
use super::writer::Writer;
use crate::limits::{DRIVE_HUNG_TICKS, DRIVE_TICK};
use crate::rt::{Rt, within};

impl<R: Rt> Writer<R> {
    /// Looks after what is under way until nothing is.
    pub(super) fn watch(self: &Rc<Self>) {
        if !self.watched.replace(true) {
            R::spawn(watch(Rc::downgrade(self)));
        }
    }

    /// Holds the drive against its siblings.
    fn compare(&self, under_way: Duration) {
        let drive = &self.drive;
        if drive.state() != DriveState::Active {
            return;
        }
        if let Some(sentence) = drive.paces.is_slow(drive.slot, under_way, R::now()) {
            drive.set_slow(Some(sentence));
        }
    }

    /// Takes the drive out, for good.
    fn hangs(&self, what: &str) {
        self.drive.fail(sentence(what));
        self.give_up();
    }
}

/// Holds no writer between its looks: a core that has ended lets go of its drives at once.
async fn watch<R: Rt>(writer: Weak<Writer<R>>) {
    let (mut write, mut flush) = (Sight::default(), Sight::default());
    loop {
        R::sleep(DRIVE_TICK).await;
        let Some(writer) = writer.upgrade() else { return };
        let ticket = writer.ticket();
        let flushing = ticket.as_ref().and_then(|ticket| ticket.under_way());
        if !writer.running.get() && flushing.is_none() {
            writer.watched.set(false);
            return;
        }
        if write.again(writer.writing_since.get()) {
            writer.hangs("write");
        }
        if let Some(ticket) = ticket.filter(|_| flush.again(flushing)) {
            ticket.give_up();
            writer.hangs("flush");
        }
        let writing = writer.writing_since.get().map_or(Duration::ZERO, |since| R::now() - since);
        writer.compare(writing.max(flush.times * DRIVE_TICK));
    }
}

/// Waits for something that a drive's keeper does; `None` when the keeper hangs in its disk, and then the drive has failed.
/// One that is busy with other things is waited for.
pub(super) async fn patiently<R: Rt, T>(drive: &Drive, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut turn = Sight::default();
    loop {
        if let Some(done) = within::<R, _>(work.as_mut(), DRIVE_TICK).await {
            return Some(done);
        }
        if turn.again(Some(drive.turns.value())) {
            drive.fail(sentence("call of the file system"));
            return None;
        }
    }
}

fn sentence(what: &str) -> String {
    let seconds = DRIVE_HUNG_TICKS * DRIVE_TICK.as_secs() as u32;
    format!("a {what} has not come back for {seconds} s; `dmesg` says more")
}

/// How often in a row the same thing was seen.
struct Sight<T> {
    last: Option<T>,
    times: u32,
}

impl<T> Default for Sight<T> {
    fn default() -> Self {
        Self { last: None, times: 0 }
    }
}

impl<T: PartialEq> Sight<T> {
    /// Says whether this has been seen too often, once.
    fn again(&mut self, seen: Option<T>) -> bool {
        self.times = if seen.is_some() && seen == self.last { self.times + 1 } else { 0 };
        self.last = seen;
        self.times == DRIVE_HUNG_TICKS
    }
}
