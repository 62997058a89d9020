//! Who runs the worker: a thread, or a task and everyone who may not wait for it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::worker::{Job, Worker};
use crate::limits::{INDEX_CHECKPOINT_EVERY, INDEX_GATHER};
use crate::rt::{Rt, receive_within};

/// The thread: jobs as they come, counting while there are none, a checkpoint now and then.
pub(super) fn thread(mut worker: Worker, inbox: &flume::Receiver<Job>) {
    let (mut checkpointed, mut can_count) = (Instant::now(), true);
    while !worker.stopped() {
        let counting = can_count && worker.counting();
        let job = match counting {
            true => inbox.try_recv().ok(),
            false => match inbox.recv_timeout(INDEX_CHECKPOINT_EVERY) {
                Ok(job) => Some(job),
                Err(flume::RecvTimeoutError::Timeout) => None,
                Err(flume::RecvTimeoutError::Disconnected) => Some(Job::Stop),
            },
        };
        if matches!(job, Some(Job::Insert { .. })) && inbox.is_empty() {
            // Readers find what is queued in the overlay. Others are on their way, and need not wake this thread again.
            std::thread::sleep(INDEX_GATHER);
        }
        worker.turn(job, inbox);
        if counting {
            can_count = worker.count_some();
        }
        if checkpointed.elapsed() >= INDEX_CHECKPOINT_EVERY {
            checkpointed = Instant::now();
            worker.tick();
        }
    }
}

/// The worker where there are no threads.
#[derive(Clone)]
pub(super) struct Inline {
    worker: Arc<Mutex<Worker>>,
    inbox: flume::Receiver<Job>,
}

impl Inline {
    pub(super) fn new(worker: Worker, inbox: flume::Receiver<Job>) -> Self {
        Self { worker: Arc::new(Mutex::new(worker)), inbox }
    }

    /// Serves everything that waits, here and now.
    pub(super) fn pump(&self) {
        let mut worker = self.worker.lock();
        while !self.inbox.is_empty() {
            worker.turn(None, &self.inbox);
        }
    }

    /// Serves what waits and counts a stretch; false when there is nothing to count, or it cannot be.
    pub(super) fn count(&self) -> bool {
        self.pump();
        let mut worker = self.worker.lock();
        worker.counting() && worker.count_some()
    }

    /// Serves jobs as they come until it is stopped.
    pub(super) async fn run<R: Rt>(self) {
        let mut can_count = true;
        loop {
            if self.worker.lock().stopped() {
                return;
            }
            if can_count && self.worker.lock().counting() {
                can_count = self.count();
                R::yield_now().await;
                continue;
            }
            match receive_within::<R, _>(&self.inbox, INDEX_CHECKPOINT_EVERY).await {
                Ok(job) => self.worker.lock().turn(Some(job), &self.inbox),
                Err(flume::RecvTimeoutError::Timeout) => self.worker.lock().tick(),
                Err(flume::RecvTimeoutError::Disconnected) => {
                    self.worker.lock().turn(Some(Job::Stop), &self.inbox);
                }
            }
        }
    }
}
