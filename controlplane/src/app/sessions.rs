//! Sessions: what every node is told, in order, what it has acknowledged, and which commits may be shown (DESIGN 3.2).
//!
//! A session has two leases. Under its *record lease* a node shows records of its cache: commits wait for it. Under its *access
//! lease* it believes the keys, policies and buckets that it was told of: changes of those wait for it. Who is late with its
//! acknowledgements gets no record lease and asks before it answers, so that one slow node cannot stall writers.
//!
//! One lock over all of it, held for microseconds: publishing a batch, settling its sequence numbers and handing the
//! messages to every session's queue is one step, so "everything up to the watermark stood before this message" holds.
//!
//! Every connected session gets every invalidation; interest only decides whose acknowledgement a commit waits for.
//! That costs messages and buys simplicity: interest declared later needs no catching up.

pub mod access;
pub mod clock;
mod hub;
pub mod signal;
#[cfg(test)]
mod tests;
pub mod wait;

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::wire::{self, session_down::Message};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::sequence::Sequence;
use crate::limits::{CLOCK_MARGIN, INTEREST_MAX, LEASE_MS_MIN};
use access::{Debt, Lengths, Owed, Unacknowledged};
use clock::Clock;
use hub::{Heed, Hub, Session, goodbye};
use wait::{Acknowledgement, Lease, Progress};

pub struct Sessions {
    lengths: Lengths,
    /// What terms are measured on; leases and acknowledgements are waited for on tokio's.
    clock: Clock,
    hub: Mutex<Hub>,
}

/// A session that was just admitted.
pub struct Admitted {
    pub epoch: u64,
    pub watermark: u64,
    pub assigned: u64,
    pub queue: mpsc::UnboundedReceiver<wire::SessionDown>,
}

/// What `status` shows of a session.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    pub node_id: Uuid,
    pub node_name: String,
    pub build: String,
    pub connected: bool,
    /// Records of its cache may be shown.
    pub lease_live: bool,
    /// Keys, policies and buckets may be believed: with a stream and no record lease it is late.
    pub access_live: bool,
    pub ordinal_sent: u64,
    pub ordinal_acknowledged: u64,
}

/// The first ordinal of every session is its replay, reserved before anything else can be queued.
pub const REPLAY_ORDINAL: u64 = 1;

/// Why a batch was not begun.
#[derive(Debug, PartialEq, Eq)]
pub enum NotBegun {
    NotLeading,
    /// It has mutations of these sessions, whose nodes are revoked.
    Revoked(HashSet<Uuid>),
}

/// A batch that was begun: its sequence numbers, and the end of its pending time.
pub struct Begun {
    pub epoch: u64,
    pub range: Range<u64>,
    keys: Vec<(u64, Bytes)>,
    released: signal::Sender<bool>,
}

impl Sessions {
    #[must_use]
    pub fn new(lengths: Lengths) -> Self {
        Self { lengths, clock: Clock::default(), hub: Mutex::default() }
    }

    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Now, on the clock that terms are measured on.
    #[must_use]
    pub fn term_now(&self) -> Instant {
        self.clock.now()
    }

    // ---------------------------------------------------------------------------------------- leadership

    /// Begins to lead: no session of before counts but for what is owed of its access lease, sequences start over under the
    /// new epoch.
    pub fn begin_epoch(&self, epoch: u64, term_until: Instant, owed: Owed) {
        let mut hub = self.hub.lock();
        hub.close_all("another leader has begun", false);
        hub.epoch = epoch;
        hub.term_until = Some(term_until);
        (hub.leases_until, hub.access_until) = (None, None);
        hub.debt = Debt::new(owed, Instant::now());
        hub.revoked.clear();
        hub.sequence = Sequence::of_epoch(epoch);
        hub.admitted.clear();
        hub.heard_at = Some(Instant::now());
    }

    pub fn prolong_term(&self, epoch: u64, term_until: Instant) {
        let mut hub = self.hub.lock();
        if hub.epoch == epoch && hub.term_until.is_some() {
            hub.term_until = Some(term_until);
        }
    }

    /// Ends leadership; sessions are told goodbye. Returns how long their leases may still run, but for access leases that
    /// outlive the term: whoever leads next waits for those.
    pub fn end_epoch(&self, reason: &str) -> Duration {
        self.end(reason, true)
    }

    /// The same where the history that the caches are of counts no more: their leases end with the goodbye.
    pub fn end_history(&self, reason: &str) {
        self.end(reason, false);
    }

    fn end(&self, reason: &str, untouched: bool) -> Duration {
        let mut hub = self.hub.lock();
        hub.term_until = None;
        let now = Instant::now();
        hub.close_all(reason, untouched);
        hub.leases_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// False once [`Self::end_epoch`] was called.
    #[must_use]
    pub fn reigns(&self, epoch: u64) -> bool {
        let hub = self.hub.lock();
        hub.epoch == epoch && hub.term_until.is_some()
    }

    /// The epoch, while this process leads within its confirmed term.
    #[must_use]
    pub fn leading(&self) -> Option<u64> {
        let hub = self.hub.lock();
        hub.term_live(self.term_now()).then_some(hub.epoch)
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.hub.lock().epoch
    }

    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.hub.lock().sequence.watermark()
    }

    #[must_use]
    pub fn assigned(&self) -> u64 {
        self.hub.lock().sequence.assigned()
    }

    // ------------------------------------------------------------------------------------------- sessions

    /// Admits a session, in place of any earlier one of its node: by its hello the node has given up that lease.
    /// `None`: not leading.
    pub fn admit(
        &self,
        id: Uuid,
        node_id: Uuid,
        node_name: &str,
        build: &str,
        covered_from: Option<u64>,
        interest: &[u64],
    ) -> Option<Admitted> {
        let mut hub = self.hub.lock();
        if !hub.term_live(self.term_now()) {
            return None;
        }
        hub.sessions.retain(|_, session| {
            if session.node_id == node_id {
                session.say(0, goodbye("the node has said hello again"));
                session.progress.send_modify(|progress| progress.void = true);
            }
            session.node_id != node_id
        });
        hub.admitted.insert(node_id);
        if hub.debt.as_mut().is_some_and(|debt| !debt.settle(node_id)) {
            hub.debt = None;
        }
        hub.heard_at = Some(Instant::now());
        let (sender, queue) = mpsc::unbounded_channel();
        let assigned = hub.sequence.assigned();
        let session = Session {
            node_id,
            node_name: node_name.to_owned(),
            build: build.to_owned(),
            queue: Some(sender),
            next_ordinal: REPLAY_ORDINAL + 1,
            unacknowledged: VecDeque::from([Unacknowledged {
                ordinal: REPLAY_ORDINAL,
                sent: Instant::now(),
                configuration: false,
            }]),
            interest: interest.iter().copied().take(INTEREST_MAX).collect(),
            covered_from: covered_from.unwrap_or(assigned),
            query_after: 0,
            progress: signal::Sender::new(Progress::default()),
        };
        hub.sessions.insert(id, session);
        Some(Admitted { epoch: hub.epoch, watermark: hub.sequence.watermark(), assigned, queue })
    }

    /// Whether this node was admitted in this epoch.
    #[must_use]
    pub fn was_admitted(&self, node_id: Uuid) -> bool {
        self.hub.lock().admitted.contains(&node_id)
    }

    /// For how long no node has been heard; `None`: this process does not lead.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        let hub = self.hub.lock();
        hub.heard_at.filter(|_| hub.term_until.is_some()).map(|at| at.elapsed())
    }

    /// Ends the streams of all but one node. Their leases run on until they say hello again, or run out.
    pub fn dismiss(&self, reason: &str, all_but: Uuid) {
        for session in self.hub.lock().sessions.values_mut().filter(|session| session.node_id != all_but) {
            session.say(0, goodbye(reason));
            session.queue = None;
        }
    }

    /// The cache of this session starts empty: what it has heard since it was admitted is what counts.
    pub fn cover_from(&self, id: Uuid, covered_from: u64) {
        if let Some(session) = self.hub.lock().sessions.get_mut(&id) {
            session.covered_from = covered_from;
        }
    }

    /// The stream ended. The leases run on: the node may not have noticed.
    pub fn disconnect(&self, id: Uuid) {
        let mut hub = self.hub.lock();
        if let Some(session) = hub.sessions.get_mut(&id) {
            session.queue = None;
            let leased = session.access_live(Instant::now());
            if !leased || crate::mutant!("wait-for-connected-sessions-only") {
                hub.sessions.remove(&id);
            }
        }
    }

    /// Ends a node's sessions for good. Their leases run on, for the node may not have heard of it, and are waited for; they
    /// are not prolonged.
    pub fn revoke(&self, node_id: Uuid) {
        let mut hub = self.hub.lock();
        let Hub { sessions, revoked, .. } = &mut *hub;
        for (id, session) in sessions.iter_mut().filter(|(_, session)| session.node_id == node_id) {
            let reason = "this node is revoked".to_owned();
            let bye = wire::Goodbye { reason, permanent: true, ..Default::default() };
            session.say(0, Message::Goodbye(bye));
            session.queue = None;
            revoked.insert(*id);
        }
    }

    /// Forgets sessions whose stream and leases are all gone.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.hub.lock().sessions.retain(|_, session| session.queue.is_some() || session.access_live(now));
    }

    #[must_use]
    pub fn is_connected(&self, id: Uuid) -> bool {
        self.hub.lock().sessions.get(&id).is_some_and(|session| session.queue.is_some())
    }

    /// Answers none of this session's queries until it has acknowledged up to here.
    pub fn hold_queries(&self, id: Uuid, ordinal: u64) {
        if let Some(session) = self.hub.lock().sessions.get_mut(&id) {
            session.query_after = session.query_after.max(ordinal);
        }
    }

    /// False while [`Self::hold_queries`] holds.
    #[must_use]
    pub fn may_query(&self, session_id: &[u8]) -> bool {
        let hub = self.hub.lock();
        let session = Uuid::from_slice(session_id).ok().and_then(|id| hub.sessions.get(&id));
        session.is_none_or(|session| session.progress.borrow().acknowledged >= session.query_after)
    }

    /// Whose session this is, while it is connected.
    #[must_use]
    pub fn node_of(&self, id: Uuid) -> Option<Uuid> {
        let hub = self.hub.lock();
        hub.sessions.get(&id).filter(|session| session.queue.is_some()).map(|session| session.node_id)
    }

    /// Grants leases, those of records within the confirmed term: no record lease if the node is late with its
    /// acknowledgements, no access lease if it is late with one of configuration.
    pub fn renew(&self, id: Uuid, nonce: u64) -> bool {
        let mut hub = self.hub.lock();
        let now = Instant::now();
        let Some(term_until) = hub.term_until else { return false };
        hub.heard_at = Some(now);
        let watermark = hub.sequence.watermark();
        let room = term_until.saturating_duration_since(self.term_now()).saturating_sub(CLOCK_MARGIN);
        let mut room_ms = u64::try_from(room.as_millis()).unwrap_or(u64::MAX);
        if crate::mutant!("lease-beyond-the-term") {
            room_ms = u64::MAX;
        }
        let mut lease_ms = self.lengths.lease_ms.min(room_ms);
        let Some(session) = hub.sessions.get_mut(&id).filter(|session| session.queue.is_some()) else {
            return false;
        };
        let (no_records, no_access) = access::refused(&session.unacknowledged, now);
        if no_access || lease_ms < LEASE_MS_MIN.min(self.lengths.lease_ms) {
            return false;
        }
        let access_ms = self.lengths.access_within(room_ms);
        let ends = |lease: Duration| now + lease + access::margin(lease);
        let access_until = Some(ends(Duration::from_millis(access_ms)));
        let mut lease_until = Some(ends(Duration::from_millis(lease_ms)));
        if no_records {
            (lease_ms, lease_until) = (0, None);
        }
        session.progress.send_modify(|progress| {
            progress.lease_until = progress.lease_until.max(lease_until);
            progress.access_until = progress.access_until.max(access_until);
        });
        let granted = wire::LeaseGranted { nonce, lease_ms, watermark, access_ms: Some(access_ms) };
        let said = session.say(0, Message::Lease(granted));
        let ends_with_the_term = self.lengths.owed_ms() == 0;
        let within_the_term = if ends_with_the_term { access_until } else { lease_until };
        hub.leases_until = hub.leases_until.max(within_the_term);
        hub.access_until = hub.access_until.max(access_until);
        said
    }

    pub fn acknowledge(&self, id: Uuid, ordinal: u64) {
        let mut hub = self.hub.lock();
        let Some(session) = hub.sessions.get_mut(&id) else { return };
        let ordinal = ordinal.min(session.next_ordinal - 1);
        while session.unacknowledged.front().is_some_and(|message| message.ordinal <= ordinal) {
            session.unacknowledged.pop_front();
        }
        if ordinal > session.progress.borrow().acknowledged {
            session.progress.send_modify(|progress| progress.acknowledged = ordinal);
        }
    }

    /// Adds and removes buckets that this session caches from, and tells it from when.
    pub fn interest(&self, id: Uuid, change: &wire::Interest) {
        let mut hub = self.hub.lock();
        let Some(session) = hub.sessions.get_mut(&id) else { return };
        for bucket in &change.remove {
            session.interest.remove(bucket);
        }
        let room = INTEREST_MAX.saturating_sub(session.interest.len());
        let added: Vec<u64> = change.add.iter().copied().take(room).collect();
        if !crate::mutant!("interest-not-recorded") {
            session.interest.extend(&added);
        }
        if !added.is_empty() {
            let watermark = session.covered_from;
            session.say(0, Message::Interest(wire::InterestGranted { buckets: added, watermark }));
        }
    }

    // -------------------------------------------------------------------------------------------- commits

    /// Begins a batch of mutations of these sessions: numbers for them, and their keys pending from now on.
    ///
    /// # Errors
    /// [`NotBegun`]; nothing has happened then.
    pub fn begin(
        &self,
        senders: impl ExactSizeIterator<Item = Uuid> + Clone,
        keys: Vec<(u64, Bytes)>,
    ) -> Result<Begun, NotBegun> {
        let mut hub = self.hub.lock();
        if !hub.term_live(self.term_now()) {
            return Err(NotBegun::NotLeading);
        }
        // Under the same lock that gives the numbers: what a revocation finds assigned is all there will be of its node.
        if !hub.revoked.is_empty() {
            let revoked: HashSet<Uuid> = senders.clone().filter(|id| hub.revoked.contains(id)).collect();
            if !revoked.is_empty() {
                return Err(NotBegun::Revoked(revoked));
            }
        }
        let range = hub.sequence.assign(senders.len());
        let (released, pending) = signal::channel(false);
        for key in &keys {
            hub.pending.insert(key.clone(), pending.clone());
        }
        Ok(Begun { epoch: hub.epoch, range, keys, released })
    }

    /// Tells every session what a batch has changed and settles its numbers. Returns what to wait for.
    pub fn publish(
        &self,
        begun: &Begun,
        keys: &[wire::InvalidatedKey],
        changes: Vec<wire::ConfigChange>,
    ) -> Vec<Acknowledgement> {
        let mut hub = self.hub.lock();
        hub.sequence.settle(&begun.range);
        let watermark = hub.sequence.watermark();
        let mut messages = Vec::with_capacity(changes.len() + 1);
        if !keys.is_empty() {
            messages.push(Message::Invalidate(wire::Invalidate { watermark, keys: keys.to_vec() }));
        }
        let configured = !changes.is_empty();
        messages.extend(changes.into_iter().map(Message::Config));
        let heed = configured.then(|| self.heed(Lease::Access));
        hub.tell_all(&messages, heed, |session| {
            keys.iter().any(|key| session.interest.contains(&key.bucket_id))
        })
    }

    /// Configuration that changed outside a batch.
    pub fn publish_config(&self, change: wire::ConfigChange) -> Vec<Acknowledgement> {
        self.hub.lock().tell_all(&[Message::Config(change)], Some(self.heed(Lease::Access)), |_| true)
    }

    /// A placement that is new: nothing that was believed before is wrong now, so a node that is cut off holds nobody up for
    /// longer than it may show records.
    pub fn publish_placement(&self, change: wire::ConfigChange) -> Vec<Acknowledgement> {
        self.hub.lock().tell_all(&[Message::Config(change)], Some(self.heed(Lease::Records)), |_| true)
    }

    /// How a change of configuration is waited for.
    fn heed(&self, lease: Lease) -> Heed {
        Heed { lease, grace: Instant::now() + Duration::from_millis(self.lengths.lease_ms) }
    }

    /// Everyone has acknowledged the batch, or cannot serve from its cache: it may be shown.
    pub fn release(&self, begun: Begun) {
        let mut hub = self.hub.lock();
        for key in &begun.keys {
            if hub.pending.get(key).is_some_and(|pending| pending.same_channel(&begun.released.subscribe())) {
                hub.pending.remove(key);
            }
        }
        drop(hub);
        begun.released.send_replace(true);
    }

    /// What an answer about this key has to wait for.
    #[must_use]
    pub fn pending_key(&self, bucket: u64, key: &Bytes) -> Option<signal::Receiver<bool>> {
        self.hub.lock().pending.get(&(bucket, key.clone())).cloned()
    }

    /// What an answer about this range of keys (`from` inclusive, `until` exclusive) has to wait for.
    #[must_use]
    pub fn pending_range(&self, bucket: u64, from: &[u8], until: &[u8]) -> Vec<signal::Receiver<bool>> {
        if from >= until {
            return Vec::new();
        }
        let from = (bucket, Bytes::copy_from_slice(from));
        let until = (bucket, Bytes::copy_from_slice(until));
        let hub = self.hub.lock();
        hub.pending.range(from..until).map(|(_, pending)| pending.clone()).collect()
    }

    #[must_use]
    pub fn facts(&self) -> Vec<SessionFacts> {
        let now = Instant::now();
        let hub = self.hub.lock();
        hub.sessions
            .values()
            .map(|session| SessionFacts {
                node_id: session.node_id,
                node_name: session.node_name.clone(),
                build: session.build.clone(),
                connected: session.queue.is_some(),
                lease_live: session.lease_live(now),
                access_live: session.access_live(now),
                ordinal_sent: session.next_ordinal - 1,
                ordinal_acknowledged: session.progress.borrow().acknowledged,
            })
            .collect()
    }
}
