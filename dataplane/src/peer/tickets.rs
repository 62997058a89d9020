//! Tickets that one core has: each is asked for once, and again shortly before it ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use holdfast_common::id::OpId;
use holdfast_common::ticket::Leave;
use holdfast_common::wire::{self, answer, query};

use super::PeerError;
use crate::limits::{PEER_TICKET_MARGIN_MS, PEER_TICKETS_MAX};
use crate::link::Link;

/// Whose drives, which blob, and what leave.
type Name = (Arc<str>, OpId, Leave);

/// A ticket and when it ends, by the authority's clock.
type Given = Result<(Rc<[u8]>, u64), PeerError>;

pub(super) struct Tickets<L> {
    authority: L,
    /// Who comes second waits for what the first has asked.
    held: RefCell<HashMap<Name, Shared<LocalBoxFuture<'static, Given>>>>,
}

impl<L: Link> Tickets<L> {
    pub(super) fn new(authority: L) -> Self {
        Self { authority, held: RefCell::default() }
    }

    /// A ticket of `blob` for `node`. `now_ms` is the authority's clock.
    ///
    /// # Errors
    /// `NoTicket`, with the authority's reason, or that it cannot be reached.
    pub(super) async fn ticket(
        &self,
        node: &Arc<str>,
        blob: OpId,
        leave: Leave,
        now_ms: u64,
    ) -> Result<Rc<[u8]>, PeerError> {
        let name = (Arc::clone(node), blob, leave);
        let known = self.held.borrow().get(&name).cloned();
        let asked = match known.filter(|known| known.peek().is_none_or(|given| is_good(given, now_ms))) {
            Some(asked) => asked,
            None => self.ask(name, now_ms),
        };
        asked.await.map(|(ticket, _)| ticket)
    }

    /// Whether one was given, or is on its way.
    pub(super) fn holds(&self, node: &Arc<str>, blob: OpId, leave: Leave) -> bool {
        let held = self.held.borrow();
        let asked = held.get(&(Arc::clone(node), blob, leave));
        asked.is_some_and(|asked| asked.peek().is_none_or(Result::is_ok))
    }

    fn ask(&self, name: Name, now_ms: u64) -> Shared<LocalBoxFuture<'static, Given>> {
        let (node, blob, leave) = &name;
        let asked = self.authority.query(query::Query::Ticket(wire::TicketQuery {
            node_id: node.to_string(),
            op_ids: vec![blob.to_wire()],
            leave: (*leave).into(),
        }));
        let given = async move {
            let none = |why: String| PeerError::NoTicket(why);
            match asked.await.map_err(|error| none(error.to_string()))?.answer {
                Some(answer::Answer::Ticket(given)) => Ok((given.ticket.as_ref().into(), given.expires_ms)),
                Some(answer::Answer::Refused(refused)) => Err(none(refused.detail)),
                _ => Err(none("the authority answered something else".to_owned())),
            }
        };
        let asked = given.boxed_local().shared();
        let mut held = self.held.borrow_mut();
        if held.len() >= PEER_TICKETS_MAX {
            held.retain(|_, asked| asked.peek().is_none_or(|given| is_good(given, now_ms)));
        }
        if held.len() >= PEER_TICKETS_MAX {
            held.clear();
        }
        held.insert(name, asked.clone());
        asked
    }

    /// It was refused: the next one is asked for.
    pub(super) fn forget(&self, node: &Arc<str>, blob: OpId, leave: Leave) {
        self.held.borrow_mut().remove(&(Arc::clone(node), blob, leave));
    }
}

fn is_good(given: &Given, now_ms: u64) -> bool {
    matches!(given, Ok((_, expires_ms)) if now_ms + PEER_TICKET_MARGIN_MS < *expires_ms)
}
