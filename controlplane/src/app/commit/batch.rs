//! The life of a batch: transaction, publication, acknowledgements, answers, release.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_common::wire::mutation::Op;
use holdfast_common::wire::{self, Refusal, mutation_result::Outcome};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::app::commit::locks::Lock;
use crate::app::commit::transaction::{self, Failure};
use crate::app::commit::{Event, Item, answer};
use crate::app::sessions::Begun;
use crate::app::sessions::wait::{self, Acknowledgement};
use crate::app::{Inner, config};
use crate::limits::{BATCH_RETRY_PAUSE, BATCH_RETRY_PAUSE_MAX};
use crate::plan::decide::{ConfigEffect, refused_result};
use crate::plan::{refuse, refuse_for_now};

/// A statement of a lost connection may still commit once, and then once more; beyond that it is no such thing.
const TAKEN_MAX: u32 = 5;

/// What one item came to.
pub(crate) struct Settled {
    pub(crate) result: wire::MutationResult,
    pub(crate) effect: Option<ConfigEffect>,
    /// Written by this batch, in whichever try; false: refused, or the outcome that was on record before.
    pub(crate) fresh: bool,
}

/// The key that an item changes in nodes' caches.
fn key_touched(mutation: &wire::Mutation) -> Option<(u64, Bytes)> {
    match mutation.op.as_ref()? {
        Op::Put(_) | Op::Delete(_) | Op::Copy(_) | Op::CompleteUpload(_) | Op::SetTags(_) | Op::SetAcl(_) => {
            Some((mutation.bucket_id, mutation.key.clone()))
        }
        _ => None,
    }
}

pub(crate) fn keys_touched(items: &[Item]) -> Vec<(u64, Bytes)> {
    items.iter().filter_map(|item| key_touched(&item.mutation)).collect()
}

/// Runs a batch from its transaction to its release.
pub(crate) async fn run(
    inner: Arc<Inner>,
    items: Vec<Item>,
    begun: Begun,
    locks: Vec<Lock>,
    events: mpsc::UnboundedSender<Event>,
) {
    let started = Instant::now();
    let panicked = inner.clone();
    let mut slot = Slot {
        events,
        locks,
        ended: false,
        on_panic: move || {
            panicked.sessions.end_epoch("a batch was given up in the middle");
            panicked.step_down.notify_one();
        },
    };
    let numbered: Vec<(&Item, u64)> = items.iter().zip(begun.range.clone()).collect();
    let settled = commit(&inner, &numbered, begun.epoch, false).await;
    let confirmed = settled.iter().filter(|item| item.fresh).map(|item| item.result.seq).max();
    inner.confirmed.fetch_max(confirmed.unwrap_or(0), Ordering::AcqRel);
    let acknowledgements = publish(&inner, &items, &settled, &begun);
    // The slot is free once the numbers are settled: the queue may outgrow what has been acknowledged, not order.
    slot.end();
    inner.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
    count(&inner, &settled);
    if crate::mutant!("release-before-acknowledgements") {
        inner.sessions.release(begun);
        return reply(&items, settled, &acknowledgements).await;
    }
    // Nobody else waits for what a change of configuration waits for longer: an access lease may be a day.
    let released = async {
        wait::all(acknowledgements.iter().map(Acknowledgement::of_records).collect()).await;
        inner.sessions.release(begun);
        drop(slot);
    };
    tokio::join!(reply(&items, settled, &acknowledgements), released);
}

/// A batch's place among those in flight, and its locks: given back when dropped, whatever happened. After a panic the
/// batch's outcome is not known and its numbers are never settled, so leadership ends first: every node joins again and
/// is told by the changelog.
struct Slot<F: Fn()> {
    events: mpsc::UnboundedSender<Event>,
    locks: Vec<Lock>,
    ended: bool,
    on_panic: F,
}

impl<F: Fn()> Slot<F> {
    /// The transaction has ended: another batch may begin.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            let _ = self.events.send(Event::Ended);
        }
    }
}

impl<F: Fn()> Drop for Slot<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a batch has panicked: leadership is given up");
            (self.on_panic)();
        }
        self.end();
        let _ = self.events.send(Event::Released(std::mem::take(&mut self.locks)));
    }
}

fn count(inner: &Inner, settled: &[Settled]) {
    for item in settled {
        match &item.result.outcome {
            Some(Outcome::Committed(_)) if item.fresh => inner.metrics.commits.inc(),
            Some(Outcome::Committed(_)) => inner.metrics.replays.inc(),
            _ => inner.metrics.refusals.inc(),
        };
    }
}

fn publish(inner: &Inner, items: &[Item], settled: &[Settled], begun: &Begun) -> Vec<Acknowledgement> {
    let mut keys = Vec::new();
    let mut changes = Vec::new();
    for (item, settled) in items.iter().zip(settled) {
        if !settled.fresh {
            continue;
        }
        if let Some((bucket_id, key)) = key_touched(&item.mutation) {
            keys.push(wire::InvalidatedKey { bucket_id, key, seq: settled.result.seq });
        }
        changes.extend(settled.effect.as_ref().map(|effect| config::of_effect(effect, settled.result.seq)));
    }
    inner.sessions.publish(begun, &keys, changes)
}

/// Answers each writer when every *other* session has acknowledged: to its own node the answer is the invalidation.
/// Whoever changed configuration waits for its own node too, because the client's next request needs it there, and for every
/// node that may still believe what was before.
async fn reply(items: &[Item], settled: Vec<Settled>, acknowledgements: &[Acknowledgement]) {
    let mut waiting = Vec::new();
    for (item, settled) in items.iter().zip(settled) {
        let waits = settled.fresh
            && acknowledgements.iter().any(|wait| wait.session != item.session || settled.effect.is_some());
        if waits {
            waiting.push((item, settled));
        } else {
            answer(&item.reply, settled.result);
        }
    }
    // Per writer: usually there is one or a few, and sessions acknowledge in order.
    let mut writers: Vec<(Uuid, bool)> =
        waiting.iter().map(|(item, settled)| (item.session, settled.effect.is_some())).collect();
    writers.sort_unstable();
    writers.dedup();
    let answers = writers.into_iter().map(|(writer, configured)| {
        let mut others: Vec<Acknowledgement> = match configured {
            true => acknowledgements.to_vec(),
            false => {
                let others = acknowledgements.iter().filter(|wait| wait.session != writer);
                others.map(Acknowledgement::of_records).collect()
            }
        };
        if crate::mutant!("acknowledge-before-the-last-session") {
            others.pop();
        }
        let mine: Vec<&(&Item, Settled)> = waiting
            .iter()
            .filter(|(item, settled)| item.session == writer && settled.effect.is_some() == configured)
            .collect();
        async move {
            wait::all(others).await;
            for (item, settled) in mine {
                answer(&item.reply, settled.result.clone());
            }
        }
    });
    futures_util::future::join_all(answers).await;
}

/// Runs the transaction until its outcome is known for every item. A batch that aborts for its content is cut in half.
/// With `again` recorded outcomes are read first.
async fn commit(inner: &Inner, items: &[(&Item, u64)], epoch: u64, mut again: bool) -> Vec<Settled> {
    let mut pause = BATCH_RETRY_PAUSE;
    let mut taken = 0;
    loop {
        match transaction::run(inner, items, epoch, again).await {
            Ok(settled) => return settled,
            Err(Failure::Fenced) => {
                // A try before this one may have committed what nobody was told of: its nodes join anew, and are told by
                // whoever leads now. In any case this process does not.
                inner.sessions.end_epoch("another control plane leads");
                inner.step_down.notify_one();
                return refuse_all(items, Refusal::NotLeader, "another control plane leads");
            }
            Err(Failure::Taken(_)) if taken < TAKEN_MAX => {
                again = true;
                taken += 1;
                inner.metrics.reruns.inc();
            }
            Err(Failure::Content(error) | Failure::Taken(error)) => {
                inner.metrics.bisections.inc();
                return bisect(inner, items, epoch, &error).await;
            }
            Err(Failure::Unsettled(error)) => {
                // Perhaps committed, perhaps not: the same op ids go again and read their outcomes first.
                again = true;
                tracing::warn!(%error, items = items.len(), "a batch is run again");
                inner.metrics.reruns.inc();
                if inner.sessions.leading() != Some(epoch) {
                    // Perhaps committed, and nobody was told: every node has to join again and be replayed the
                    // changelog, even if this process should lead on.
                    inner.sessions.end_epoch("the outcome of a commit is not known");
                    inner.step_down.notify_one();
                    return refuse_all(items, Refusal::Unavailable, "the database cannot be asked");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BATCH_RETRY_PAUSE_MAX).max(Duration::from_millis(1));
            }
        }
    }
}

fn refuse_all(items: &[(&Item, u64)], reason: Refusal, detail: &str) -> Vec<Settled> {
    let settle = |(item, _): &(&Item, u64)| Settled {
        result: refused_result(item.op_id, refuse_for_now(reason, detail)),
        effect: None,
        fresh: false,
    };
    items.iter().map(settle).collect()
}

async fn bisect(inner: &Inner, items: &[(&Item, u64)], epoch: u64, error: &str) -> Vec<Settled> {
    if let [(item, _)] = items {
        tracing::error!(op = %item.op_id, error, "one mutation cannot be stored");
        let refused = refuse(Refusal::Malformed, format!("the database refuses it: {error}"));
        return vec![Settled { result: refused_result(item.op_id, refused), effect: None, fresh: false }];
    }
    let (left, right) = items.split_at(items.len() / 2);
    let mut settled = Box::pin(commit(inner, left, epoch, true)).await;
    settled.extend(Box::pin(commit(inner, right, epoch, true)).await);
    settled
}

#[cfg(test)]
mod tests {
    use super::{Event, Slot};
    use crate::app::commit::locks::{Mode, Thing};
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::mpsc;

    #[test]
    fn a_panic_gives_slot_and_locks_back_after_leadership() {
        let (events, mut happened) = mpsc::unbounded_channel();
        let stepped_down = AtomicBool::new(false);
        let batch = std::panic::AssertUnwindSafe(|| {
            let _slot = Slot {
                events: events.clone(),
                locks: vec![(Thing::BucketNames, Mode::Shared)],
                ended: false,
                on_panic: || stepped_down.store(true, Ordering::SeqCst),
            };
            panic!("a mistake of ours");
        });
        assert!(std::panic::catch_unwind(batch).is_err());
        assert!(stepped_down.load(Ordering::SeqCst));
        assert!(matches!(happened.try_recv(), Ok(Event::Ended)));
        assert!(matches!(happened.try_recv(), Ok(Event::Released(locks)) if locks.len() == 1));
        assert!(happened.try_recv().is_err());
    }
}
