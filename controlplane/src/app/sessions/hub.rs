//! What stands behind the one lock of [`super::Sessions`]: the sessions, the sequence, and how messages go to all.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytes::Bytes;
use holdfast_common::wire::{self, session_down::Message};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::signal;
use super::wait::{Acknowledgement, Progress};
use crate::app::sequence::Sequence;
use crate::limits::{CLOCK_MARGIN, SESSION_QUEUE_MAX};

#[derive(Default)]
pub(super) struct Hub {
    pub(super) epoch: u64,
    /// Until when this process may serve as leader, by [`super::clock`]; `None`: it may not.
    pub(super) term_until: Option<Instant>,
    /// When the last lease granted in this epoch runs out.
    pub(super) leases_until: Option<Instant>,
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
    /// `None`: the stream is gone, the lease may still run.
    pub(super) queue: Option<mpsc::UnboundedSender<wire::SessionDown>>,
    pub(super) next_ordinal: u64,
    pub(super) unacknowledged: VecDeque<(u64, Instant)>,
    pub(super) interest: HashSet<u64>,
    /// Everything later than this was or will be told to this session.
    pub(super) covered_from: u64,
    /// Its queries are answered once it has acknowledged this ordinal.
    pub(super) query_after: u64,
    pub(super) progress: signal::Sender<Progress>,
}

impl Hub {
    pub(super) fn term_live(&self, now: Instant) -> bool {
        self.term_until.is_some_and(|until| now + CLOCK_MARGIN < until)
    }

    /// Queues ordered messages to all; returns those whose acknowledgement counts: with a `grace` (configuration) all.
    /// Else a session that holds no lease serves nothing from its cache and is not waited for.
    pub(super) fn tell_all(
        &mut self,
        messages: &[Message],
        grace: Option<Instant>,
        counts: impl Fn(&Session) -> bool,
    ) -> Vec<Acknowledgement> {
        let now = Instant::now();
        if messages.is_empty() {
            return Vec::new();
        }
        let mut waits = Vec::new();
        for (id, session) in &mut self.sessions {
            for message in messages {
                let ordinal = session.next_ordinal;
                session.next_ordinal += 1;
                session.unacknowledged.push_back((ordinal, now));
                session.say(ordinal, message.clone());
            }
            if session.unacknowledged.len() > SESSION_QUEUE_MAX {
                tracing::warn!(node = %session.node_name, "a session does not keep up and is ended");
                session.queue = None;
            }
            if grace.is_some() || counts(session) {
                let ordinal = session.next_ordinal - 1;
                let grace_until = grace.filter(|_| session.queue.is_some());
                waits.push(Acknowledgement {
                    session: *id,
                    ordinal,
                    grace_until,
                    progress: session.progress.subscribe(),
                });
            }
        }
        // Leadership has ended, nobody is told here any more, but leases that were granted run on.
        if self.term_until.is_none() && self.leases_until.is_some_and(|until| until > now) {
            let last = Progress { lease_until: self.leases_until, ..Progress::default() };
            let (session, progress) = (Uuid::nil(), signal::Sender::new(last).subscribe());
            waits.push(Acknowledgement { session, ordinal: u64::MAX, grace_until: None, progress });
        }
        waits
    }

    pub(super) fn close_all(&mut self, reason: &str, leader: Option<&str>) {
        for session in std::mem::take(&mut self.sessions).into_values() {
            session.say(0, goodbye(reason, leader));
        }
    }
}

impl Session {
    pub(super) fn say(&self, ordinal: u64, message: Message) -> bool {
        let down = wire::SessionDown { ordinal, message: Some(message) };
        self.queue.as_ref().is_some_and(|queue| queue.send(down).is_ok())
    }

    pub(super) fn lease_live(&self, now: Instant) -> bool {
        self.progress.borrow().lease_until.is_some_and(|until| until > now)
    }
}

pub(crate) fn goodbye(reason: &str, leader: Option<&str>) -> Message {
    let leader = leader.unwrap_or_default().to_owned();
    Message::Goodbye(wire::Goodbye { reason: reason.to_owned(), permanent: false, leader })
}
