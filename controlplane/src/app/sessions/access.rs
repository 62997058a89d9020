//! Access leases: for how long a node may believe the keys, policies and buckets that it was told of.
//!
//! One that is no longer than a term ends with the term that it was granted in, as record leases do. A longer one outlives its
//! leader; so the leadership row says until when any may run, and who begins to lead owes a wait: what it changes in the
//! configuration is known everywhere once that moment has come, or once every node that may hold such a lease has said hello to
//! it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::signal;
use super::wait::{Acknowledgement, Lease, Progress};
use crate::limits::{ACK_LATE, CLOCK_DRIFT, CLOCK_MARGIN, TERM};

/// How long a node's leases are.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    pub lease_ms: u64,
    /// At least `lease_ms`.
    pub access_ms: u64,
}

impl Lengths {
    /// Whether access leases run on when the term they were granted in has ended.
    fn outlive_the_term(self) -> bool {
        Duration::from_millis(self.access_ms) > TERM
    }

    /// Of an access lease granted now, with so much left of the term, milliseconds.
    pub(super) fn access_within(self, room_ms: u64) -> u64 {
        if self.outlive_the_term() { self.access_ms } else { self.access_ms.min(room_ms) }
    }

    /// From now, how far the access leases reach that may be granted within the term that begins now, milliseconds; 0: no
    /// further than the term.
    #[must_use]
    pub fn owed_ms(self) -> u64 {
        if !self.outlive_the_term() {
            return 0;
        }
        let access = Duration::from_millis(self.access_ms);
        u64::try_from((TERM + access + margin(access)).as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is added to a lease that is waited for: the clock it is counted on may run slower.
pub(super) fn margin(lease: Duration) -> Duration {
    CLOCK_MARGIN + lease / CLOCK_DRIFT
}

/// A message that was not acknowledged yet.
pub(super) struct Unacknowledged {
    pub(super) ordinal: u64,
    pub(super) sent: Instant,
    pub(super) configuration: bool,
}

/// Which leases are refused to a session for what it has not acknowledged: record lease, access lease.
pub(super) fn refused(unacknowledged: &VecDeque<Unacknowledged>, now: Instant) -> (bool, bool) {
    // The oldest comes first.
    let mut late =
        unacknowledged.iter().take_while(|message| now.duration_since(message.sent) > ACK_LATE).peekable();
    (late.peek().is_some(), late.any(|message| message.configuration))
}

/// What earlier leaders have granted beyond their terms.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    /// How long access leases of theirs may run on; zero: there are none.
    pub left: Duration,
    /// The nodes that may hold one.
    pub nodes: HashSet<Uuid>,
}

/// The same, counted down.
pub(super) struct Debt {
    nodes: HashSet<Uuid>,
    progress: signal::Sender<Progress>,
}

impl Debt {
    pub(super) fn new(owed: Owed, now: Instant) -> Option<Self> {
        if owed.left.is_zero() || owed.nodes.is_empty() {
            return None;
        }
        let access_until = Some(now + owed.left + margin(owed.left));
        let progress = signal::Sender::new(Progress { access_until, ..Progress::default() });
        Some(Self { nodes: owed.nodes, progress })
    }

    /// By its hello this node has given up what it held. False: it was the last.
    pub(super) fn settle(&mut self, node_id: Uuid) -> bool {
        self.nodes.remove(&node_id);
        if self.nodes.is_empty() {
            self.progress.send_modify(|progress| progress.void = true);
        }
        !self.nodes.is_empty()
    }

    /// What a change of configuration waits for beside the sessions.
    pub(super) fn wait(&self) -> Acknowledgement {
        Acknowledgement {
            session: Uuid::nil(),
            ordinal: u64::MAX,
            lease: Lease::Access,
            grace_until: None,
            progress: self.progress.subscribe(),
        }
    }
}
