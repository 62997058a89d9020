//! The authority's view as one core holds it: fetched again only when it has changed.

use std::cell::RefCell;
use std::sync::Arc;

use holdfast_common::wire;
use holdfast_protocol::peer::Denial;
use uuid::Uuid;

use crate::link::state::{NodeState, View};

/// A core's copy of the view.
pub(super) struct Seen {
    pub(super) state: Arc<NodeState>,
    held: RefCell<(u64, Arc<View>)>,
}

impl Seen {
    pub(super) fn new(state: Arc<NodeState>) -> Self {
        let held = RefCell::new((state.view_generation(), state.view()));
        Self { state, held }
    }

    /// Its number, which changes whenever it does.
    pub(super) fn generation(&self) -> u64 {
        self.state.view_generation()
    }

    pub(super) fn view(&self) -> Arc<View> {
        let generation = self.state.view_generation();
        let mut held = self.held.borrow_mut();
        if held.0 != generation {
            *held = (generation, self.state.view());
        }
        Arc::clone(&held.1)
    }
}

/// A node of the view, unless nobody may deal with it.
///
/// # Errors
/// `UnknownNode`, `RevokedNode`.
pub(super) fn standing(view: &View, node: Uuid) -> Result<&Arc<wire::Peer>, Denial> {
    let mut name = Uuid::encode_buffer();
    let name: &str = node.hyphenated().encode_lower(&mut name);
    match view.peers.get(name) {
        None => Err(Denial::UnknownNode),
        Some(peer) if peer.state == "revoked" => Err(Denial::RevokedNode),
        Some(peer) => Ok(peer),
    }
}
