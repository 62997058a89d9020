//! What nodes speak to: three long-lived streams per node, and the way in (see `node.proto`).
//!
//! Each service stands behind a [`gate::Gate`], which tells who calls; a session is spoken for by its own node alone.

mod commit;
mod enrolment;
pub mod gate;
pub(crate) mod incoming;
mod query;
mod session;
pub(crate) mod tls;

pub use enrolment::EnrolmentService;

use holdfast_common::wire::node_server::Node;
use holdfast_common::wire::{
    CommitDown, CommitUp, QueryDown, QueryUp, SessionDown, SessionUp, WorkAnswer, WorkRequest,
};
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::app::Authority;
use gate::{Caller, caller};

/// The service; a handle on the authority.
#[derive(Clone)]
pub struct NodeService {
    authority: Authority,
}

impl NodeService {
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        Self { authority }
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    type SessionStream = ReceiverStream<Result<SessionDown, Status>>;
    type CommitStream = UnboundedReceiverStream<Result<CommitDown, Status>>;
    type QueryStream = ReceiverStream<Result<QueryDown, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionUp>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = caller(&request)?;
        session::serve(self.authority.clone(), caller, request.into_inner()).await.map(Response::new)
    }

    async fn commit(
        &self,
        request: Request<Streaming<CommitUp>>,
    ) -> Result<Response<Self::CommitStream>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(commit::serve(self.authority.clone(), caller, request.into_inner())))
    }

    async fn query(
        &self,
        request: Request<Streaming<QueryUp>>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(query::serve(self.authority.clone(), caller, request.into_inner())))
    }

    async fn work(&self, request: Request<WorkRequest>) -> Result<Response<WorkAnswer>, Status> {
        let (caller, request) = (caller(&request)?, request.into_inner());
        if connected(&self.authority, caller, &request.session_id).is_none() {
            return Err(Status::unavailable("the session has ended"));
        }
        Ok(Response::new(self.authority.work(request).await))
    }
}

/// The session that a message names, if it is connected here and the caller's own.
fn connected(authority: &Authority, caller: Caller, session_id: &[u8]) -> Option<Uuid> {
    let id = Uuid::from_slice(session_id).ok()?;
    let node = authority.inner.sessions.node_of(id)?;
    if !caller.is_node(node) {
        tracing::warn!(?caller, %node, "a node has named the session of another");
        return None;
    }
    Some(id)
}
