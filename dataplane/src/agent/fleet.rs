//! The drives as background work sees them: who answers, who may take fragments, who is away and for how long. Of this node
//! every drive; of the other nodes what concerns blobs that spread over nodes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use holdfast_common::id::BackendId;

use super::stock::Stock;
use crate::drives::{DriveState, DriveStatus};
use crate::limits::AGENT_SILENCE_REMEMBERED;
use crate::link::state::View;

/// The drives at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fleet {
    /// Drives of this node. They answer, and what they hold counts.
    pub(super) here: Vec<BackendId>,
    /// Of these: they take new fragments.
    pub(super) writable: Vec<BackendId>,
    /// Of those here: they are to be emptied.
    pub(super) draining: Vec<BackendId>,
    /// So is this node.
    pub(super) leaving: bool,
    /// Some node was to be emptied once: blobs of its drives may lie on other nodes.
    pub(super) scattered: bool,
    /// This one was.
    pub(super) own_scattered: bool,
    /// Nodes that are neither to be emptied nor revoked.
    pub(super) staying: BTreeSet<Arc<str>>,
    /// They do not answer and may come back: what they hold must not be forgotten.
    pub(super) silent: Vec<BackendId>,
    /// Of the silent: not for so long that what they hold counts as missing.
    pub(super) in_grace: Vec<BackendId>,
    /// Of all nodes: the administrator says that they never come back with what they held.
    pub(super) gone: Vec<BackendId>,
    /// Drives that take fragments of blobs over nodes, of all nodes.
    pub(super) writable_everywhere: Vec<BackendId>,
    /// Nodes that were silent when they were asked last, and may come back.
    pub(super) silent_nodes: Vec<Arc<str>>,
    /// Of these: not for so long that what they hold counts as missing.
    pub(super) nodes_in_grace: Vec<Arc<str>>,
    /// Drives of other nodes that those have no more, as the authority says, and that may come back: who answers for such a
    /// node says nothing of them.
    pub(super) silent_abroad: Vec<BackendId>,
    /// Of these: not for so long that what they hold counts as missing.
    pub(super) abroad_in_grace: Vec<BackendId>,
    /// Whose each drive is.
    nodes: HashMap<BackendId, Arc<str>>,
}

impl Fleet {
    /// Whether two drives may not each hold a fragment of this blob.
    pub(super) fn is_together(&self, stock: &Stock, a: BackendId, b: BackendId) -> bool {
        let same_node = || self.nodes.get(&a).is_some_and(|node| self.nodes.get(&b) == Some(node));
        a == b || (stock.spans && same_node())
    }

    /// Whether `backend`, or its node where that counts, holds a fragment of the blob other than `index`.
    pub(super) fn has_sibling(&self, stock: &Stock, backend: BackendId, index: u8) -> bool {
        let sibling = |at: BackendId, other: u8| other != index && self.is_together(stock, at, backend);
        stock.held.iter().any(|(at, held)| sibling(*at, held.fragment.index))
    }

    /// Of the fragments that are held or on their way, how many would share a drive or node with one on `backend`.
    pub(super) fn company(&self, stock: &Stock, backend: BackendId, taken: &[(u8, BackendId)]) -> usize {
        let held = stock.held.iter().map(|(at, _)| *at);
        let taken = taken.iter().map(|(_, at)| *at);
        held.chain(taken).filter(|at| self.is_together(stock, *at, backend)).count()
    }

    /// Drives that take fragments of this blob now.
    pub(super) fn takers(&self, stock: &Stock) -> Vec<BackendId> {
        match (&stock.seat, stock.spans, stock.everywhere) {
            (_, true, _) => self.writable_everywhere.clone(),
            (Some(seat), false, _) => self.writable_on(seat),
            (None, false, true) => Vec::new(),
            (None, false, false) => self.writable.clone(),
        }
    }

    /// Drives of one node that take fragments now.
    pub(super) fn writable_on(&self, node: &str) -> Vec<BackendId> {
        let its = |backend: &BackendId| self.nodes.get(backend).is_some_and(|owner| **owner == *node);
        self.writable_everywhere.iter().copied().filter(its).collect()
    }

    /// Nodes that take fragments now.
    pub(super) fn nodes_writable(&self) -> usize {
        let owners = self.writable_everywhere.iter().filter_map(|backend| self.nodes.get(backend));
        owners.collect::<BTreeSet<_>>().len()
    }

    pub(super) fn node_of(&self, backend: BackendId) -> Option<&Arc<str>> {
        self.nodes.get(&backend)
    }

    /// Something that may hold fragments of this blob is away for a moment.
    pub(super) fn is_waiting(&self, stock: &Stock) -> bool {
        !self.in_grace.is_empty() || (stock.everywhere && self.waits_for_others())
    }

    /// Another node, or a drive of one, is away for a moment.
    pub(super) fn waits_for_others(&self) -> bool {
        !self.nodes_in_grace.is_empty() || !self.abroad_in_grace.is_empty()
    }

    /// Something that may hold fragments of a blob, which may lie `everywhere` or not, does not answer, and may yet come back.
    pub(super) fn is_silent(&self, everywhere: bool) -> bool {
        let others = || !self.silent_nodes.is_empty() || !self.silent_abroad.is_empty();
        !self.silent.is_empty() || (everywhere && others())
    }

    /// The nodes and the drives of nodes that are away.
    pub(super) fn away(&self) -> (Vec<Arc<str>>, Vec<BackendId>) {
        (self.silent_nodes.clone(), self.silent_abroad.clone())
    }

    /// A drive of another node that is away and that a blob over nodes was put on; `homes` is `None` where that is not known.
    /// A fragment that was moved there later is not thought of: one drive that is gone would stop every deletion.
    pub(super) fn silent_home(&self, homes: Option<&[u32]>) -> Option<BackendId> {
        let is_home = |backend: &BackendId| homes.is_none_or(|homes| homes.contains(&backend.0));
        self.silent_abroad.iter().copied().find(is_home)
    }
}

/// Since when each silent drive has been silent, and each node, and when a node was last found to be.
#[derive(Default)]
pub(super) struct Silence {
    drives: HashMap<BackendId, Instant>,
    nodes: HashMap<Arc<str>, (Instant, Instant)>,
}

impl Silence {
    /// All nodes were asked, and these did not answer.
    pub(super) fn heard(&mut self, silent: &[Arc<str>], now: Instant) {
        self.nodes.retain(|node, _| silent.contains(node));
        for node in silent {
            let (since, last) = self.nodes.entry(node.clone()).or_insert((now, now));
            // Nobody asked for a while: it may have been here in between.
            if now.duration_since(*last) > AGENT_SILENCE_REMEMBERED {
                *since = now;
            }
            *last = now;
        }
    }

    /// Sorts the drives of `node_id`; those in `view` that are not open are silent. `reachable` are drives of other nodes
    /// that take fragments.
    pub(super) fn look(
        &mut self,
        view: &View,
        node_id: &Arc<str>,
        statuses: &[DriveStatus],
        reachable: &[BackendId],
        grace: Duration,
        now: Instant,
    ) -> Fleet {
        let mut fleet = Fleet::default();
        self.look_at_nodes(&mut fleet, view, grace, now);
        let takes = |node: &str| view.peers.get(node).is_none_or(|peer| peer.state == "active");
        let own = view.peers.get(&**node_id);
        fleet.leaving = own.is_some_and(|own| own.state == "draining");
        fleet.own_scattered = own.is_some_and(|own| own.scattered);
        fleet.scattered = view.peers.values().any(|peer| peer.scattered);
        let others = view.peers.values().map(|peer| peer.node_id.as_str()).chain([&**node_id]);
        fleet.staying = others.filter(|node| takes(node)).map(Arc::from).collect();
        let mut all: Vec<_> = view.backends.values().collect();
        all.sort_by_key(|backend| backend.backend_id);
        for backend in all {
            let id = BackendId(backend.backend_id);
            fleet.nodes.insert(id, backend.node_id.as_str().into());
            let revoked =
                view.peers.get(backend.node_id.as_str()).is_some_and(|peer| peer.state == "revoked");
            if revoked || matches!(backend.state.as_str(), "replaced" | "drained") {
                fleet.gone.push(id);
                continue;
            }
            if *backend.node_id != **node_id {
                // One without a node is nobody's.
                let open = matches!(backend.state.as_str(), "active" | "full" | "draining");
                if open || backend.node_id.is_empty() {
                    self.drives.remove(&id);
                } else {
                    fleet.silent_abroad.push(id);
                    if self.in_grace(id, grace, now) {
                        fleet.abroad_in_grace.push(id);
                    }
                }
                if backend.state == "active" && reachable.contains(&id) && takes(&backend.node_id) {
                    fleet.writable_everywhere.push(id);
                }
                continue;
            }
            let state = statuses.iter().find(|status| status.backend == Some(id)).map(|status| &status.state);
            if let Some(DriveState::Active | DriveState::Full) = state {
                self.drives.remove(&id);
                fleet.here.push(id);
                if backend.state == "draining" || fleet.leaving {
                    fleet.draining.push(id);
                } else if backend.state == "active" && state == Some(&DriveState::Active) {
                    fleet.writable.push(id);
                    fleet.writable_everywhere.push(id);
                }
                continue;
            }
            fleet.silent.push(id);
            if self.in_grace(id, grace, now) {
                fleet.in_grace.push(id);
            }
        }
        fleet
    }

    /// Whether a silent drive has been so for less than `grace`.
    fn in_grace(&mut self, backend: BackendId, grace: Duration, now: Instant) -> bool {
        now.duration_since(*self.drives.entry(backend).or_insert(now)) < grace
    }

    fn look_at_nodes(&self, fleet: &mut Fleet, view: &View, grace: Duration, now: Instant) {
        let revoked = |node: &str| view.peers.get(node).is_some_and(|peer| peer.state == "revoked");
        for (node, (since, _)) in self.nodes.iter().filter(|(node, _)| !revoked(node)) {
            fleet.silent_nodes.push(node.clone());
            if now.duration_since(*since) < grace {
                fleet.nodes_in_grace.push(node.clone());
            }
        }
        fleet.silent_nodes.sort();
        fleet.nodes_in_grace.sort();
    }
}
