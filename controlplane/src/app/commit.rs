//! The commit service: mutations of all nodes, merged into batches over disjoint keys (DESIGN 3.1).
//!
//! One task owns queue and locks. A batch is formed when none is in flight, so an idle system adds no wait and batches
//! grow exactly while one is. Behind a batch of several the next one keeps a small distance: there is company coming. Another
//! of the four slots is used when enough waits to be worth it, or when the batch in front takes its time: what a batch
//! costs, whatever its size, is most of the cost of a small one. A batch's locks are held until its commits may be shown to
//! everyone; what waits behind them can therefore never reveal them early. Of a change of configuration that is until no node
//! shows records by what was before; its own answer waits until none believes that either.

pub mod batch;
pub mod locks;
pub(crate) mod placements;
pub mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::wire::configure_bucket::Change;
use holdfast_common::wire::{self, mutation::Op};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::Inner;
use crate::app::sessions::NotBegun;
use crate::limits::{
    BATCH_ITEMS_MAX, BATCH_ITEMS_WORTH, BATCH_PACE, BATCH_PACE_FROM_ITEMS, BATCH_PATIENCE, BATCH_SCAN_MAX,
    BATCHES_IN_FLIGHT_MAX, COMMIT_QUEUE_MAX,
};
use crate::plan::{decide, refuse, refuse_for_now, validate};
use locks::{Lock, LockTable, locks_of};

/// A mutation, who sent it, and where its answer goes.
pub struct Work {
    pub mutation: wire::Mutation,
    /// Nil: the authority itself, at an administrator's word.
    pub session: Uuid,
    pub reply: mpsc::UnboundedSender<wire::MutationResult>,
}

/// One mutation in a batch.
pub(crate) struct Item {
    pub(crate) op_id: holdfast_common::id::OpId,
    pub(crate) mutation: wire::Mutation,
    pub(crate) session: Uuid,
    pub(crate) reply: mpsc::UnboundedSender<wire::MutationResult>,
}

/// What a batch tells the queue.
pub(crate) enum Event {
    /// The transaction has ended: its slot is free.
    Ended,
    /// Everyone knows: its locks are free.
    Released(Vec<Lock>),
}

/// Where mutations go in.
#[derive(Clone)]
pub struct Committer {
    work: mpsc::Sender<Work>,
}

impl Committer {
    /// Makes the queue; [`run`] works it off.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Work>) {
        let (work, queue) = mpsc::channel(COMMIT_QUEUE_MAX);
        (Self { work }, queue)
    }

    /// Queues a mutation; waits while the queue is full. False: the authority has stopped.
    pub async fn submit(&self, work: Work) -> bool {
        self.work.send(work).await.is_ok()
    }
}

struct Queue {
    inner: Arc<Inner>,
    waiting: VecDeque<(Item, Vec<Lock>)>,
    locks: LockTable,
    in_flight: usize,
    /// When a batch was last begun, or looked for in vain.
    formed_at: Instant,
    /// How many items that batch had.
    formed_items: usize,
    events: mpsc::UnboundedSender<Event>,
}

/// Works until every [`Committer`] is gone.
pub(crate) async fn run(inner: Arc<Inner>, mut work: mpsc::Receiver<Work>) {
    let (events, mut happened) = mpsc::unbounded_channel();
    let mut queue = Queue {
        inner,
        waiting: VecDeque::new(),
        locks: LockTable::default(),
        in_flight: 0,
        formed_at: Instant::now(),
        formed_items: 0,
        events,
    };
    let mut arrived = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(event) = happened.recv() => queue.happened(event),
            count = work.recv_many(&mut arrived, BATCH_ITEMS_MAX), if queue.waiting.len() < COMMIT_QUEUE_MAX => {
                if count == 0 {
                    return;
                }
                arrived.drain(..).for_each(|work| queue.admit(work));
            }
            () = tokio::time::sleep_until(queue.patient_until()), if queue.is_patient() => {}
        }
        while let Ok(event) = happened.try_recv() {
            queue.happened(event);
        }
        queue.start_batches();
    }
}

/// Whether this is the authority's own doing: a lost row that comes back, or how long a bucket is read without it.
fn administrators(mutation: &wire::Mutation) -> bool {
    match &mutation.op {
        Some(Op::Put(put)) => put.recovered,
        Some(Op::ConfigureBucket(configure)) => matches!(configure.change, Some(Change::StaleReadsMs(_))),
        _ => false,
    }
}

impl Queue {
    fn admit(&mut self, work: Work) {
        // A node that has said hello anew sends again, marked, what it has no answer to. What it sent before must not
        // come after that: it would not look for the outcome that the node was told meanwhile.
        if !work.session.is_nil() && !self.inner.sessions.is_connected(work.session) {
            let refused = refuse_for_now(wire::Refusal::Unavailable, "the session has ended");
            let outcome = Some(wire::mutation_result::Outcome::Refused(refused));
            answer(&work.reply, wire::MutationResult { op_id: work.mutation.op_id, seq: 0, outcome });
            return;
        }
        let validated = match administrators(&work.mutation) == work.session.is_nil() {
            true => validate::validate(&work.mutation, self.inner.truth.now_ms()),
            false => {
                Err(refuse(wire::Refusal::Malformed, "this is asked for by administrators, not by nodes"))
            }
        };
        match validated {
            Ok(op_id) => {
                let locks = locks_of(&work.mutation);
                let Work { mutation, session, reply } = work;
                self.waiting.push_back((Item { op_id, mutation, session, reply }, locks));
            }
            Err(refused) => {
                let outcome = Some(wire::mutation_result::Outcome::Refused(refused));
                answer(&work.reply, wire::MutationResult { op_id: work.mutation.op_id, seq: 0, outcome });
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Ended => self.in_flight -= 1,
            Event::Released(locks) => self.locks.release(&locks),
        }
    }

    /// Something waits although there is a slot for it: for the batch in flight, or for company.
    fn is_patient(&self) -> bool {
        (self.in_flight > 0 || self.formed_items >= BATCH_PACE_FROM_ITEMS)
            && self.in_flight < BATCHES_IN_FLIGHT_MAX
            && !self.waiting.is_empty()
    }

    /// Until when what waits is not yet worth a batch, unless more comes.
    fn patient_until(&self) -> Instant {
        let patience = if self.in_flight > 0 {
            BATCH_PATIENCE
        } else if self.formed_items >= BATCH_PACE_FROM_ITEMS {
            BATCH_PACE
        } else {
            Duration::ZERO
        };
        self.formed_at + patience
    }

    fn is_worth_a_batch(&self) -> bool {
        self.waiting.len() >= BATCH_ITEMS_WORTH || Instant::now() >= self.patient_until()
    }

    fn start_batches(&mut self) {
        while self.in_flight < BATCHES_IN_FLIGHT_MAX && !self.waiting.is_empty() && self.is_worth_a_batch() {
            let (items, locks) = self.form();
            self.formed_at = Instant::now();
            self.formed_items = items.len();
            if items.is_empty() {
                return;
            }
            let keys = batch::keys_touched(&items);
            let begun = match self.inner.sessions.begin(items.iter().map(|item| item.session), keys) {
                Ok(begun) => begun,
                Err(why) => {
                    self.locks.release(&locks);
                    self.not_begun(items, &why);
                    continue;
                }
            };
            self.inner.metrics.batch_items.observe(items.len() as f64);
            self.in_flight += 1;
            tokio::spawn(batch::run(self.inner.clone(), items, begun, locks, self.events.clone()));
        }
    }

    /// Refuses what cannot be begun; the rest goes back to the front, in its order.
    fn not_begun(&mut self, items: Vec<Item>, why: &NotBegun) {
        for item in items.into_iter().rev() {
            let refused = match why {
                NotBegun::NotLeading => {
                    refuse_for_now(wire::Refusal::NotLeader, "this control plane is not the leader")
                }
                NotBegun::Revoked(sessions) if sessions.contains(&item.session) => {
                    refuse(wire::Refusal::Unavailable, "this node is revoked")
                }
                NotBegun::Revoked(_) => {
                    let locks = locks_of(&item.mutation);
                    self.waiting.push_front((item, locks));
                    continue;
                }
            };
            answer(&item.reply, decide::refused_result(item.op_id, refused));
        }
    }

    /// Takes what can run from the front of the queue. Something that cannot keeps its place: whoever is behind it and
    /// wants the same waits too, so a bucket's deletion is not starved by its writers.
    fn form(&mut self) -> (Vec<Item>, Vec<Lock>) {
        let mut items = Vec::new();
        let mut taken = Vec::new();
        let mut wanted = LockTable::default();
        let mut kept = VecDeque::new();
        let mut scanned = 0;
        while let Some((item, locks)) = self.waiting.pop_front() {
            if self.locks.free(&locks) && wanted.free(&locks) {
                self.locks.take(&locks);
                taken.extend(locks);
                items.push(item);
            } else {
                wanted.want(&locks);
                kept.push_back((item, locks));
            }
            scanned += 1;
            if items.len() == BATCH_ITEMS_MAX || scanned == BATCH_SCAN_MAX {
                break;
            }
        }
        while let Some(back) = kept.pop_back() {
            self.waiting.push_front(back);
        }
        (items, taken)
    }
}

/// Answers; a node that has gone asks again with the retry mark. The queue is unbounded because the stream bounds what
/// it accepts (`grpc/commit`).
pub(crate) fn answer(reply: &mpsc::UnboundedSender<wire::MutationResult>, result: wire::MutationResult) {
    if reply.send(result).is_err() {
        tracing::debug!("an answer found nobody to take it");
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
