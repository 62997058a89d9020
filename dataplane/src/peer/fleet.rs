//! The drives of all nodes as one: a backend of this node goes straight to its drive, another's to the node that has it.
//!
//! A node without a certificate, or without others, pays one comparison a call. Where fragments are follows from the view
//! (`Backend.node_id`, `Peer.addr`); a read whose fragment is not where it should be asks the other nodes, because a repair may
//! have made it elsewhere.

mod ask;
mod everywhere;
mod found;
mod look;
mod reach;
mod routes;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::id::{BackendId, FragmentId, OpId};
use holdfast_common::ticket::Leave;
use holdfast_protocol::peer::{Request, Spot};

pub(super) use reach::Reach;
use routes::Routes;

use super::client::{Lane, Node};
use super::seen::Seen;
use super::tickets::Tickets;
use super::{PeerError, Peers};
use crate::drives::{
    DriveError, DriveStatus, Drives, Everywhere, Held, Piece, PieceFacts, PieceRead, Receipt, Verified,
    VerifyCursor,
};
use crate::limits::PEER_WRITE_DEADLINE;
use crate::link::Link;
use crate::link::state::NodeState;
use crate::rt::Rt;

/// One core's view of all nodes' drives.
pub struct Fleet<D, L, R> {
    local: Rc<D>,
    /// `None`: this node talks to no other.
    others: Option<Rc<Others<L, R>>>,
}

/// The other nodes.
pub(super) struct Others<L, R> {
    peers: Arc<Peers>,
    seen: Seen,
    tickets: Tickets<L>,
    nodes: RefCell<HashMap<Arc<str>, Rc<Node>>>,
    /// Connections made by this core.
    numbers: Rc<Cell<u64>>,
    routes: RefCell<Routes>,
    found: found::Found,
    look: look::Look,
    /// Blobs that are read from other nodes, and whether those were asked to keep them.
    reading: RefCell<HashMap<(Arc<str>, OpId), bool>>,
    runtime: PhantomData<fn() -> R>,
}

impl<D: Drives, L: Link, R: Rt> Fleet<D, L, R> {
    /// This node's drives alone.
    #[must_use]
    pub fn alone(local: Rc<D>) -> Self {
        Self { local, others: None }
    }

    /// This node's drives and those of the nodes that the view of `state` names; `authority` gives the tickets.
    #[must_use]
    pub fn new(local: Rc<D>, peers: Arc<Peers>, state: Arc<NodeState>, authority: L) -> Self {
        let others = Others {
            peers,
            seen: Seen::new(state),
            tickets: Tickets::new(authority),
            nodes: RefCell::default(),
            numbers: Rc::default(),
            routes: RefCell::default(),
            found: found::Found::default(),
            look: look::Look::default(),
            reading: RefCell::default(),
            runtime: PhantomData,
        };
        Self { local, others: Some(Rc::new(others)) }
    }

    /// This node's own drives.
    #[must_use]
    pub fn local(&self) -> &Rc<D> {
        &self.local
    }

    /// The node that has a backend, if it is another.
    #[allow(clippy::type_complexity, reason = "a pair")]
    fn elsewhere(&self, backend: BackendId) -> Option<(&Rc<Others<L, R>>, Arc<str>)> {
        let others = self.others.as_ref()?;
        Some((others, others.owner(backend)?))
    }
}

/// One row of a fragment on a backend, as the wire has it.
fn spot(backend: BackendId, id: FragmentId, row: u32) -> Spot {
    Spot { backend: backend.0, id, row }
}

impl<D: Drives, L: Link, R: Rt> Drives for Fleet<D, L, R> {
    async fn append(&self, backend: BackendId, piece: Piece) -> Result<Receipt, DriveError> {
        match self.elsewhere(backend) {
            None => self.local.append(backend, piece).await,
            Some((others, node)) => others.append(&node, backend, piece).await.map_err(|e| e.of_drive(&node)),
        }
    }

    async fn flush(&self, backend: BackendId, first: Receipt) -> Result<(), DriveError> {
        match self.elsewhere(backend) {
            None if first.connection() == 0 => self.local.flush(backend, first).await,
            // The backend changed its node meanwhile.
            None => Err(DriveError::Failed),
            Some((others, node)) => others.flush(&node, backend, first).await.map_err(|e| e.of_drive(&node)),
        }
    }

    async fn read(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        if let Some(read) = self.read_moved(id, row, range.clone()).await {
            return Ok(read);
        }
        let owner = self.elsewhere(backend);
        let read = match &owner {
            None => self.local.read(backend, id, row, range.clone()).await,
            Some((others, node)) => {
                let read = others.read(node, spot(backend, id, row), range.clone()).await;
                read.map_err(|error| error.of_drive(node))
            }
        };
        let (Err(error), Some(_)) = (&read, &self.others) else { return read };
        tracing::debug!(%backend, ?id, row, %error, "a piece is not where it should be; the other nodes are asked");
        self.read_elsewhere(owner.map(|(_, node)| node), id, row, range).await.map_or(read, Ok)
    }

    async fn read_here(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceRead, DriveError> {
        match self.elsewhere(backend) {
            None => self.local.read_here(backend, id, row).await,
            Some((others, node)) => {
                let read = others.read_here(&node, spot(backend, id, row)).await;
                read.map_err(|error| error.of_drive(&node))
            }
        }
    }

    async fn persist(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        let Some((others, node)) = self.elsewhere(backend) else {
            return self.local.persist(backend, id, rows).await;
        };
        let spot = spot(backend, id, rows);
        let make = |ticket| Request::Persist { spot, ticket };
        let done = others.done(&node, Some((id.blob, Leave::Read)), make).await;
        done.map_err(|error| error.of_drive(&node))
    }

    async fn delete(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        let Some((others, node)) = self.elsewhere(backend) else {
            return self.local.delete(backend, id, rows).await;
        };
        let spot = spot(backend, id, rows);
        let make = |ticket| Request::Delete { spot, ticket };
        let done = others.done(&node, Some((id.blob, Leave::Delete)), make).await;
        done.map_err(|error| error.of_drive(&node))
    }

    async fn supersede(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        match self.elsewhere(backend) {
            None => self.local.delete(backend, id, rows).await,
            Some((others, node)) => others.superseded(&node, id.blob).await.map_err(|e| e.of_drive(&node)),
        }
    }

    async fn delete_blob(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        self.local.delete_blob(blob).await
    }

    async fn find(&self, blob: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        self.local.find(blob).await
    }

    async fn survey(
        &self,
        backend: BackendId,
        after: Option<FragmentId>,
        max: usize,
    ) -> Result<Vec<Held>, DriveError> {
        self.local.survey(backend, after, max).await
    }

    async fn facts(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceFacts, DriveError> {
        match self.elsewhere(backend) {
            None => self.local.facts(backend, id, row).await,
            Some((others, node)) => {
                others.facts(&node, spot(backend, id, row)).await.map_err(|error| error.of_drive(&node))
            }
        }
    }

    async fn manifest(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
    ) -> Result<Option<Bytes>, DriveError> {
        match self.elsewhere(backend) {
            None => self.local.manifest(backend, id, row).await,
            Some((others, node)) => {
                others.manifest(&node, spot(backend, id, row)).await.map_err(|error| error.of_drive(&node))
            }
        }
    }

    async fn verify(
        &self,
        backend: BackendId,
        from: VerifyCursor,
        bytes_max: u64,
    ) -> Result<Verified, DriveError> {
        self.local.verify(backend, from, bytes_max).await
    }

    async fn find_everywhere(&self, blob: OpId) -> Result<Everywhere, DriveError> {
        self.search(blob).await
    }

    async fn delete_everywhere(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        self.forget(blob).await
    }

    fn reachable(&self) -> Vec<BackendId> {
        self.others.as_ref().map(|others| others.peers.reach.all()).unwrap_or_default()
    }

    async fn look_again(&self) -> bool {
        match &self.others {
            Some(others) => others.look_again().await,
            None => false,
        }
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        self.local.statuses()
    }

    fn writable(&self) -> Vec<BackendId> {
        self.local.writable()
    }
}

impl<L: Link, R: Rt> Others<L, R> {
    async fn append(&self, node: &Arc<str>, backend: BackendId, piece: Piece) -> Result<Receipt, PeerError> {
        let Piece { id, row, coding, class_id, blob_size, fields, payload } = piece;
        let spot = spot(backend, id, row);
        let make = |ticket| {
            let fields = fields.to_vec();
            Request::Append { spot, coding, class_id, blob_size, fields, ticket }
        };
        self.appended(node, id.blob, make, payload).await
    }

    /// Over the connection that the appends went over, because a flush covers those of one core alone.
    async fn flush(&self, node: &Arc<str>, backend: BackendId, first: Receipt) -> Result<(), PeerError> {
        let node = self.node(node)?;
        let link = node.link_numbered(Lane::Write, first.connection());
        let lost = || PeerError::Away("the connection broke before what went over it was flushed".to_owned());
        let request = Request::Flush { backend: backend.0, failures: first.failures() };
        let outcome = link.ok_or_else(lost)?.ask::<R>(&request, None, PEER_WRITE_DEADLINE).await;
        node.asked.count(0, outcome.as_ref());
        ask::is_done(&outcome?)
    }
}
