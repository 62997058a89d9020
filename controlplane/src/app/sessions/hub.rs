//! What stands behind the one lock of [`super::Sessions`]: the sessions, the sequence, and how messages go to all.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::Bytes;
use holdfast_common::wire::{self, session_down::Message};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::access::{Debt, Unacknowledged};
use super::signal;
use super::wait::{Acknowledgement, Lease, Progress};
use crate::app::sequence::Sequence;
use crate::limits::{CLOCK_MARGIN, SESSION_QUEUE_MAX};

#[derive(Default)]
pub(super) struct Hub {
    pub(super) epoch: u64,
    /// Until when this process may serve as leader, by [`super::clock`]; `None`: it may not.
    pub(super) term_until: Option<Instant>,
    /// When the last lease granted in this epoch runs out, but for access leases that outlive the term.
    pub(super) leases_until: Option<Instant>,
    /// When the last access lease granted in this epoch runs out.
    pub(super) access_until: Option<Instant>,
    /// Access leases of earlier epochs that may still run.
    pub(super) debt: Option<Debt>,
    pub(super) sequence: Sequence,
    /// Nodes that were admitted in this epoch.
    pub(super) admitted: HashSet<Uuid>,
    /// When a node was last heard, or the epoch began.
    pub(super) heard_at: Option<Instant>,
    pub(super) sessions: BTreeMap<Uuid, Session>,
    /// Sessions of this epoch whose node was thrown out: what they still have queued is refused.
    pub(super) revoked: HashSet<Uuid>,
    /// Keys whose commit may be in the database but may not be shown yet.
    pub(super) pending: BTreeMap<(u64, Bytes), signal::Receiver<bool>>,
}

pub(super) struct Session {
    pub(super) node_id: Uuid,
    pub(super) node_name: String,
    pub(super) build: String,
    /// `None`: the stream is gone, leases may still run.
    pub(super) queue: Option<mpsc::UnboundedSender<wire::SessionDown>>,
    pub(super) next_ordinal: u64,
    pub(super) unacknowledged: VecDeque<Unacknowledged>,
    pub(super) interest: HashSet<u64>,
    /// Everything later than this was or will be told to this session.
    pub(super) covered_from: u64,
    /// Its queries are answered once it has acknowledged this ordinal.
    pub(super) query_after: u64,
    pub(super) progress: signal::Sender<Progress>,
}

/// How a change of configuration is waited for: by every session, until this lease of it has run out; by a connected one that
/// has none until `grace`.
#[derive(Clone, Copy)]
pub(super) struct Heed {
    pub(super) lease: Lease,
    pub(super) grace: Instant,
}

impl Hub {
    pub(super) fn term_live(&self, now: Instant) -> bool {
        self.term_until.is_some_and(|until| now + CLOCK_MARGIN < until)
    }

    /// Queues ordered messages to all; returns those whose acknowledgement counts: with `heed` (configuration) all.
    /// Else a session that holds no record lease shows nothing of its cache and is not waited for.
    pub(super) fn tell_all(
        &mut self,
        messages: &[Message],
        heed: Option<Heed>,
        counts: impl Fn(&Session) -> bool,
    ) -> Vec<Acknowledgement> {
        let now = Instant::now();
        if messages.is_empty() {
            return Vec::new();
        }
        let lease = heed.map_or(Lease::Records, |heed| heed.lease);
        let mut waits = Vec::new();
        for (id, session) in &mut self.sessions {
            for message in messages {
                session.tell(message, now);
            }
            if session.unacknowledged.len() > SESSION_QUEUE_MAX {
                tracing::warn!(node = %session.node_name, "a session does not keep up and is ended");
                session.queue = None;
            }
            if heed.is_some() || counts(session) {
                let ordinal = session.next_ordinal - 1;
                let grace_until = heed.filter(|_| session.queue.is_some()).map(|heed| heed.grace);
                waits.push(Acknowledgement {
                    session: *id,
                    ordinal,
                    lease,
                    grace_until,
                    progress: session.progress.subscribe(),
                });
            }
        }
        if lease == Lease::Access {
            waits.extend(self.debt.as_ref().map(Debt::wait));
        }
        // Leadership has ended, nobody is told here any more, but leases that were granted run on.
        if self.term_until.is_none() && self.leases_until.max(self.access_until) > Some(now) {
            let last = Progress {
                lease_until: self.leases_until,
                access_until: self.access_until,
                ..Progress::default()
            };
            let (session, progress) = (Uuid::nil(), signal::Sender::new(last).subscribe());
            waits.push(Acknowledgement { session, ordinal: u64::MAX, lease, grace_until: None, progress });
        }
        waits
    }

    /// Says goodbye to all. `untouched`: their leases run on, and are waited for.
    pub(super) fn close_all(&mut self, reason: &str, untouched: bool) {
        for session in std::mem::take(&mut self.sessions).into_values() {
            let bye =
                wire::Goodbye { reason: reason.to_owned(), lease_untouched: untouched, ..Default::default() };
            session.say(0, Message::Goodbye(bye));
        }
    }
}

impl Session {
    /// Queues an ordered message. One whose stream is gone will never acknowledge it.
    fn tell(&mut self, message: &Message, now: Instant) {
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        if self.queue.is_none() {
            return;
        }
        let configuration = matches!(message, Message::Config(_));
        self.unacknowledged.push_back(Unacknowledged { ordinal, sent: now, configuration });
        self.say(ordinal, message.clone());
    }

    pub(super) fn say(&self, ordinal: u64, message: Message) -> bool {
        let down = wire::SessionDown { ordinal, message: Some(message) };
        self.queue.as_ref().is_some_and(|queue| queue.send(down).is_ok())
    }

    pub(super) fn lease_live(&self, now: Instant) -> bool {
        self.progress.borrow().lease_until > Some(now)
    }

    pub(super) fn access_live(&self, now: Instant) -> bool {
        let progress = self.progress.borrow();
        progress.access_until.max(progress.lease_until) > Some(now)
    }
}

/// To one whose leases end with this.
pub(super) fn goodbye(reason: &str) -> Message {
    Message::Goodbye(wire::Goodbye { reason: reason.to_owned(), ..Default::default() })
}
