//! Which node has a backend, as the view says.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_common::id::BackendId;

use super::Others;
use crate::link::Link;
use crate::link::state::View;
use crate::rt::Rt;

/// Backends of other nodes; this node's are not in it.
#[derive(Default)]
pub(super) struct Routes {
    /// Of the view it was made from; `None`: never.
    generation: Option<u64>,
    nodes: HashMap<u32, Arc<str>>,
}

impl Routes {
    fn of(generation: u64, view: &View, this: &str) -> Self {
        // One name for all backends of a node.
        let mut names: HashMap<&str, Arc<str>> = HashMap::new();
        let mut nodes = HashMap::new();
        let others =
            view.backends.values().filter(|backend| !backend.node_id.is_empty() && backend.node_id != this);
        for backend in others {
            let name = names.entry(&backend.node_id).or_insert_with(|| backend.node_id.as_str().into());
            nodes.insert(backend.backend_id, Arc::clone(name));
        }
        Self { generation: Some(generation), nodes }
    }
}

/// Another node as a search meets it.
pub(super) struct Other {
    pub(super) name: Arc<str>,
    /// Its backends.
    pub(super) backends: Vec<BackendId>,
}

impl<L: Link, R: Rt> Others<L, R> {
    /// The node that has a backend; `None`: this one, or nobody.
    pub(super) fn owner(&self, backend: BackendId) -> Option<Arc<str>> {
        self.fresh_routes();
        self.routes.borrow().nodes.get(&backend.0).cloned()
    }

    /// The nodes that may have fragments: those with an address or a backend, and none that is revoked.
    pub(super) fn all(&self) -> Vec<Other> {
        self.fresh_routes();
        let (view, routes) = (self.seen.view(), self.routes.borrow());
        let this = self.peers.identity.node.to_string();
        let peers = view.peers.values().filter(|peer| peer.node_id != this && peer.state != "revoked");
        let others = peers.map(|peer| {
            let its = routes.nodes.iter().filter(|(_, node)| ***node == *peer.node_id);
            let backends: Vec<BackendId> = its.map(|(backend, _)| BackendId(*backend)).collect();
            (Other { name: peer.node_id.as_str().into(), backends }, !peer.addr.is_empty())
        });
        others
            .filter(|(other, reachable)| *reachable || !other.backends.is_empty())
            .map(|(other, _)| other)
            .collect()
    }

    fn fresh_routes(&self) {
        let generation = self.seen.generation();
        if self.routes.borrow().generation != Some(generation) {
            let this = self.peers.identity.node.to_string();
            *self.routes.borrow_mut() = Routes::of(generation, &self.seen.view(), &this);
        }
    }
}
