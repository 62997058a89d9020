//! Flushes shared by everyone who needs one: a ticket per device.
//!
//! Who finds no flush running starts one; who comes while one runs waits for the next, because his writes may have
//! completed after the running one began. On ext4 and xfs an `fdatasync` of any file whose writes were pure overwrites
//! ends in one cache flush of the whole device, so all zeroed segments of all drives on it share a ticket; a file
//! that still changes metadata has a ticket of its own.
//!
//! A failed flush is never tried again: the kernel may have dropped what it could not write and would then report
//! success. Everyone whose append began before the failure fails, now or later ([`Receipt`] carries the count), and
//! every segment that was open then is sealed.

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::FutureExt;

use super::stats::FlushStats;
use super::{DriveError, Receipt};
use crate::rt::{DiskFile, Rt};
use crate::sync::{AtomicU64, Mutex, Ordering, oneshot};

/// A device as its drives share it.
#[derive(Debug)]
pub struct Device {
    /// `st_dev`.
    pub number: u64,
    /// One file's `fdatasync` covers all overwritten files.
    pub any_file_covers: bool,
    pub ticket: Arc<Ticket>,
    pub stats: Arc<FlushStats>,
    failures: Arc<AtomicU64>,
}

impl Device {
    pub fn new(number: u64, any_file_covers: bool) -> Self {
        let (stats, failures) = (Arc::<FlushStats>::default(), Arc::<AtomicU64>::default());
        let ticket = Arc::new(Ticket::new(Arc::clone(&stats), Arc::clone(&failures)));
        Self { number, any_file_covers, ticket, stats, failures }
    }

    /// A ticket for one file that no other covers.
    pub fn file_ticket(&self) -> Arc<Ticket> {
        Arc::new(Ticket::new(Arc::clone(&self.stats), Arc::clone(&self.failures)))
    }

    /// What an append that begins now is handed.
    pub fn receipt(&self) -> Receipt {
        Receipt::after(self.failures.load(Ordering::Acquire))
    }

    /// A flush outside of the tickets failed.
    pub fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
        self.stats.failures.add(1);
    }
}

type Answer = Result<(), DriveError>;

/// Gathers callers of one flush.
#[derive(Debug)]
pub struct Ticket {
    state: Mutex<State>,
    stats: Arc<FlushStats>,
    failures: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// Flushes begun.
    rounds: u64,
    /// Callers of the flush under way.
    flying: Vec<oneshot::Sender<Answer>>,
    /// Callers of the next one.
    waiting: Vec<oneshot::Sender<Answer>>,
}

impl Ticket {
    fn new(stats: Arc<FlushStats>, failures: Arc<AtomicU64>) -> Self {
        Self { state: Mutex::default(), stats, failures }
    }

    /// Resolves after a flush that began after this call. `file` is what this core would flush, were it the one.
    pub async fn flush<R: Rt>(self: &Arc<Self>, file: Rc<R::File>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let lead = {
            let mut state = self.state.lock();
            state.waiting.push(answer);
            !std::mem::replace(&mut state.running, true)
        };
        if lead {
            R::spawn(Lead { ticket: Arc::clone(self), done: false }.run::<R>(file));
        }
        answered.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Which flush is under way.
    pub(super) fn under_way(&self) -> Option<u64> {
        let state = self.state.lock();
        state.running.then_some(state.rounds)
    }

    /// The flush under way hangs: it counts as failed, and nobody waits any more. Should it come back after all, nobody
    /// hears of it.
    pub(super) fn give_up(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
        self.stats.failures.add(1);
        let mut state = self.state.lock();
        let State { flying, waiting, .. } = &mut *state;
        for answer in flying.drain(..).chain(waiting.drain(..)) {
            let _ = answer.send(Err(hung()));
        }
    }
}

fn hung() -> DriveError {
    DriveError::Io { step: "flush", error: "it hangs".into() }
}

fn ended() -> DriveError {
    DriveError::Io { step: "flush", error: "the core that flushed has stopped".into() }
}

/// The one who flushes, until nobody waits. If its core stops half-way, those who wait are told.
struct Lead {
    ticket: Arc<Ticket>,
    done: bool,
}

impl Lead {
    async fn run<R: Rt>(mut self, file: Rc<R::File>) {
        loop {
            let callers = {
                let mut state = self.ticket.state.lock();
                if state.waiting.is_empty() {
                    state.running = false;
                    self.done = true;
                    return;
                }
                state.rounds += 1;
                state.flying = std::mem::take(&mut state.waiting);
                state.flying.len()
            };
            let began = R::now();
            let mut result = file.fdatasync().map(|done| done.map_err(|error| io("flush", &error))).await;
            if crate::mutant!("retry-failed-flush") && result.is_err() {
                result = file.fdatasync().map(|done| done.map_err(|error| io("flush", &error))).await;
            }
            self.ticket.count(callers, R::now() - began, &result);
            let flying = std::mem::take(&mut self.ticket.state.lock().flying);
            for answer in flying {
                // Who dropped his receiver no longer wants to know.
                let _ = answer.send(result.clone());
            }
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.ticket.state.lock();
        let State { running, flying, waiting, .. } = &mut *state;
        *running = false;
        for answer in flying.drain(..).chain(waiting.drain(..)) {
            let _ = answer.send(Err(ended()));
        }
    }
}

impl Ticket {
    fn count(&self, callers: usize, took: std::time::Duration, result: &Answer) {
        self.stats.flushes.add(1);
        self.stats.callers.add(callers as u64);
        self.stats.micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if result.is_err() {
            self.failures.fetch_add(1, Ordering::AcqRel);
            self.stats.failures.add(1);
        }
    }
}

/// A typed error for a failed step.
pub(super) fn io(step: &'static str, error: &std::io::Error) -> DriveError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DriveError::Full,
        ErrorKind::ReadOnlyFilesystem => DriveError::ReadOnly,
        _ => DriveError::Io { step, error: error.to_string() },
    }
}
