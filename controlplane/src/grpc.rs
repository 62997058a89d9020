//! What nodes speak to: three long-lived streams per node (see `node.proto`).

mod commit;
mod query;
mod session;

use holdfast_common::wire::node_server::Node;
use holdfast_common::wire::{
    CommitDown, CommitUp, QueryDown, QueryUp, SessionDown, SessionUp, WorkAnswer, WorkRequest,
};
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::app::Authority;

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
        session::serve(self.authority.clone(), request.into_inner()).await.map(Response::new)
    }

    async fn commit(
        &self,
        request: Request<Streaming<CommitUp>>,
    ) -> Result<Response<Self::CommitStream>, Status> {
        Ok(Response::new(commit::serve(self.authority.clone(), request.into_inner())))
    }

    async fn query(
        &self,
        request: Request<Streaming<QueryUp>>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        Ok(Response::new(query::serve(self.authority.clone(), request.into_inner())))
    }

    async fn work(&self, request: Request<WorkRequest>) -> Result<Response<WorkAnswer>, Status> {
        Ok(Response::new(self.authority.work(request.into_inner()).await))
    }
}

/// The session that a message names, if it is connected here.
fn connected(authority: &Authority, session_id: &[u8]) -> Option<Uuid> {
    let id = Uuid::from_slice(session_id).ok()?;
    authority.inner.sessions.is_connected(id).then_some(id)
}
