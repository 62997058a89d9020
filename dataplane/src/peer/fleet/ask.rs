//! One request to one node: the ticket it needs, the connection it goes over, and what its answer must be.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::ticket::Leave;
use holdfast_protocol::peer::{Answer, Denial, Holding, Request, Spot};

use super::super::client::{Lane, Node, Reply};
use super::super::permit::is_own;
use super::super::seen::standing;
use super::super::warnings::Warning;
use super::super::{PeerError, error_of};
use super::Others;
use crate::drives::{DriveError, Held, PieceFacts, PieceRead, Receipt};
use crate::limits::{PEER_READ_DEADLINE, PEER_WRITE_DEADLINE};
use crate::link::Link;
use crate::rt::{Chunk, Rt};

/// A blob, and what leave is needed for it.
type Wanted = Option<(OpId, Leave)>;

impl<L: Link, R: Rt> Others<L, R> {
    /// A node of the view.
    pub(super) fn node(&self, name: &Arc<str>) -> Result<Rc<Node>, PeerError> {
        if let Some(node) = self.nodes.borrow().get(name) {
            return Ok(Rc::clone(node));
        }
        let id = name.parse().map_err(|_| PeerError::Away("its id is none".to_owned()))?;
        let node = Node::new(id, Arc::clone(name), Arc::clone(&self.peers), Rc::clone(&self.numbers));
        self.nodes.borrow_mut().insert(Arc::clone(name), Rc::clone(&node));
        Ok(node)
    }

    /// Asks once, and once more when the ticket was refused that had been good before, or one is needed after all.
    async fn ask(
        &self,
        name: &Arc<str>,
        lane: Lane,
        wanted: Wanted,
        make: impl Fn(Vec<u8>) -> Request,
        payload: Option<Chunk>,
    ) -> Result<(u64, Reply), PeerError> {
        let node = self.node(name)?;
        let without = self.needs_none(name, wanted);
        let first = self.ask_once(&node, lane, wanted.filter(|_| !without), &make, payload.clone()).await;
        let stale = match first {
            Err(PeerError::Denied(Denial::TicketExpired | Denial::TicketForged | Denial::NotReady)) => true,
            Err(PeerError::Denied(Denial::NoTicket)) => without,
            _ => false,
        };
        let outcome = match wanted {
            Some((blob, leave)) if stale => {
                self.tickets.forget(name, blob, leave);
                self.ask_once(&node, lane, wanted, &make, payload).await
            }
            _ => first,
        };
        match &outcome {
            Err(PeerError::Denied(denial)) => node.warn(Warning::WasRefused(*denial)),
            Err(PeerError::Lied(what)) => node.warn(Warning::Lied(what)),
            _ => {}
        }
        outcome
    }

    /// What is appended to a young blob of this node's needs no ticket, unless the other has wanted one before.
    fn needs_none(&self, name: &Arc<str>, wanted: Wanted) -> bool {
        let view = self.seen.view();
        let now_ms = view.authority_ms(R::boottime_ms());
        wanted.is_some_and(|(blob, leave)| {
            leave == Leave::Append
                && is_own(blob, view.node_number.into(), now_ms)
                && !self.tickets.holds(name, blob, leave)
        })
    }

    async fn ask_once(
        &self,
        node: &Rc<Node>,
        lane: Lane,
        wanted: Wanted,
        make: &impl Fn(Vec<u8>) -> Request,
        payload: Option<Chunk>,
    ) -> Result<(u64, Reply), PeerError> {
        let view = self.seen.view();
        let peer = standing(&view, node.id).map_err(|denial| PeerError::Away(denial.to_string()))?;
        if peer.addr.is_empty() {
            return Err(PeerError::Away("it has no address".to_owned()));
        }
        let ticket = match wanted {
            Some((blob, leave)) => {
                let now_ms = view.authority_ms(R::boottime_ms());
                self.tickets.ticket(&node.name, blob, leave, now_ms).await?.to_vec()
            }
            None => Vec::new(),
        };
        let sent = payload.as_ref().map_or(0, |payload| payload.len());
        let asked = async {
            let link = node.link::<R>(lane, &peer.addr, view.heard_of(&node.name)).await?;
            let reply = link.ask::<R>(&make(ticket), payload, patience(lane)).await?;
            Ok((link.number, reply))
        };
        let outcome = asked.await;
        node.asked.count(sent, outcome.as_ref().map(|(_, reply)| reply));
        outcome
    }

    pub(super) async fn appended(
        &self,
        node: &Arc<str>,
        blob: OpId,
        make: impl Fn(Vec<u8>) -> Request,
        payload: Chunk,
    ) -> Result<Receipt, PeerError> {
        let asked = self.ask(node, Lane::Write, Some((blob, Leave::Append)), make, Some(payload));
        match asked.await? {
            (connection, (Answer::Appended { failures }, _)) => Ok(Receipt::over(connection, failures)),
            _ => Err(OTHER),
        }
    }

    /// Asks for something that is simply done.
    pub(super) async fn done(
        &self,
        node: &Arc<str>,
        wanted: Wanted,
        make: impl Fn(Vec<u8>) -> Request,
    ) -> Result<(), PeerError> {
        is_done(&self.ask(node, Lane::Write, wanted, make, None).await?.1)
    }

    pub(super) async fn read(
        &self,
        node: &Arc<str>,
        spot: Spot,
        range: Range<u32>,
    ) -> Result<PieceRead, PeerError> {
        let (start, end) = (range.start, range.end);
        self.reads(node, spot.id.blob);
        let make = |ticket| Request::Read { spot, start, end, ticket };
        let reply = self.ask(node, Lane::Read, Some((spot.id.blob, Leave::Read)), make, None).await?.1;
        piece(reply, range)
    }

    pub(super) async fn read_here(&self, node: &Arc<str>, spot: Spot) -> Result<PieceRead, PeerError> {
        let make = |ticket| Request::ReadHere { spot, ticket };
        let reply = self.ask(node, Lane::Read, Some((spot.id.blob, Leave::Read)), make, None).await?.1;
        piece(reply, 0..u32::MAX)
    }

    pub(super) async fn facts(&self, node: &Arc<str>, spot: Spot) -> Result<PieceFacts, PeerError> {
        let make = |ticket| Request::Facts { spot, ticket };
        match self.ask(node, Lane::Read, Some((spot.id.blob, Leave::Read)), make, None).await?.1 {
            (Answer::Facts { coding, class_id, blob_size, payload_len }, _) => {
                Ok(PieceFacts { coding, class_id, blob_size, payload_len })
            }
            _ => Err(OTHER),
        }
    }

    pub(super) async fn manifest(&self, node: &Arc<str>, spot: Spot) -> Result<Option<Bytes>, PeerError> {
        let make = |ticket| Request::Manifest { spot, ticket };
        match self.ask(node, Lane::Read, Some((spot.id.blob, Leave::Read)), make, None).await?.1 {
            (Answer::Manifest { sealed }, _) => {
                Ok(Some(sealed).filter(|sealed| !sealed.is_empty()).map(Bytes::from))
            }
            _ => Err(OTHER),
        }
    }

    /// What a node holds of a blob, with the numbers of its backends.
    pub(super) async fn find(&self, node: &Arc<str>, blob: OpId) -> Result<Vec<(u32, Held)>, PeerError> {
        let make = |ticket| Request::Find { blob, ticket };
        match self.ask(node, Lane::Read, Some((blob, Leave::Read)), make, None).await?.1 {
            (Answer::Found { held }, _) => Ok(held.into_iter().map(of_wire).collect()),
            _ => Err(OTHER),
        }
    }

    /// Tells a node that it need not keep all it has of a blob.
    pub(super) async fn superseded(&self, node: &Arc<str>, blob: OpId) -> Result<(), PeerError> {
        let make = |ticket| Request::Superseded { blob, ticket };
        is_done(&self.ask(node, Lane::Write, Some((blob, Leave::Append)), make, None).await?.1)
    }

    /// Backends that could not forget the blob.
    pub(super) async fn delete_blob(
        &self,
        node: &Arc<str>,
        blob: OpId,
    ) -> Result<Vec<(u32, DriveError)>, PeerError> {
        let make = |ticket| Request::DeleteBlob { blob, ticket };
        match self.ask(node, Lane::Write, Some((blob, Leave::Delete)), make, None).await?.1 {
            (Answer::Deleted { failed }, _) => {
                Ok(failed.into_iter().map(|(backend, fault)| (backend, error_of(fault))).collect())
            }
            _ => Err(OTHER),
        }
    }

    pub(super) async fn writable(&self, node: &Arc<str>) -> Result<Vec<u32>, PeerError> {
        match self.ask(node, Lane::Read, None, |_| Request::Writable, None).await?.1 {
            (Answer::Writable { backends }, _) => Ok(backends),
            _ => Err(OTHER),
        }
    }

    /// Asks a node to keep a blob from being deleted for a while.
    pub(super) async fn pin(&self, node: &Arc<str>, blob: OpId) -> Result<(), PeerError> {
        let make = |ticket| Request::Pin { blob, ticket };
        is_done(&self.ask(node, Lane::Read, Some((blob, Leave::Read)), make, None).await?.1)
    }

    pub(super) async fn unpin(&self, node: &Arc<str>, blob: OpId) -> Result<(), PeerError> {
        is_done(&self.ask(node, Lane::Read, None, |_| Request::Unpin { blob }, None).await?.1)
    }
}

const OTHER: PeerError = PeerError::Lied("an answer to something else");

fn patience(lane: Lane) -> Duration {
    match lane {
        Lane::Write => PEER_WRITE_DEADLINE,
        Lane::Read => PEER_READ_DEADLINE,
    }
}

pub(super) fn is_done(reply: &Reply) -> Result<(), PeerError> {
    if reply.0 == Answer::Done { Ok(()) } else { Err(OTHER) }
}

/// A piece that has the length it should: the range, cut at the piece's end.
fn piece(reply: Reply, range: Range<u32>) -> Result<PieceRead, PeerError> {
    let (Answer::Piece { payload_len }, payload) = reply else { return Err(OTHER) };
    let bytes = payload.unwrap_or_else(|| Chunk::from(bytes::Bytes::new()));
    let expected = range.end.min(payload_len).saturating_sub(range.start);
    if bytes.len() != expected as usize {
        return Err(PeerError::Lied("a piece of another length than it says"));
    }
    Ok(PieceRead { bytes, payload_len })
}

fn of_wire(held: Holding) -> (u32, Held) {
    let Holding { backend, fragment, last_row, pieces, bytes } = held;
    (backend, Held { fragment, last_row, pieces, bytes })
}
