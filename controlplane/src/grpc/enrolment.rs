//! Joining and renewing over gRPC. What is refused is logged here, once, with the node's identity.

use std::sync::Arc;

use holdfast_common::wire::enrolment_server::Enrolment;
use holdfast_common::wire::{JoinRequest, NodeCertificate, RenewRequest};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Request, Response, Status};

use super::gate::{Caller, caller};
use crate::app::Authority;
use crate::app::enrol::Refusal;
use crate::limits::{ENROLMENT_WAIT, ENROLMENTS_MAX};

/// The service; a handle on the authority.
#[derive(Clone)]
pub struct EnrolmentService {
    authority: Authority,
    turns: Arc<Semaphore>,
}

impl EnrolmentService {
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        Self { authority, turns: Arc::new(Semaphore::new(ENROLMENTS_MAX)) }
    }

    /// Anybody may ask, and an answer costs a signature and the database: a few at a time.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Status> {
        match tokio::time::timeout(ENROLMENT_WAIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Status::resource_exhausted("too many machines want to join at once; try again")),
        }
    }
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<NodeCertificate>, Status> {
        let from = request.remote_addr();
        let asked = request.into_inner();
        let _turn = self.turn().await?;
        let joined = self.authority.join(&asked).await;
        joined.map(Response::new).map_err(|refusal| {
            let token = hex::encode(&asked.token_id);
            tracing::warn!(node = %asked.node_name, token, ?from, %refusal, "a machine was not let join");
            status(&refusal)
        })
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<NodeCertificate>, Status> {
        let from = request.remote_addr();
        let node_id = match caller(&request)? {
            Caller::Node(node_id) | Caller::ExpiredNode(node_id) => node_id,
            Caller::Local | Caller::Nobody => {
                return Err(Status::unauthenticated(
                    "only a node's certificate can be renewed, and with it alone",
                ));
            }
        };
        let _turn = self.turn().await?;
        let renewed = self.authority.renew_certificate(node_id, &request.into_inner()).await;
        renewed.map(Response::new).map_err(|refusal| {
            tracing::warn!(%node_id, ?from, %refusal, "a certificate was not renewed");
            status(&refusal)
        })
    }
}

fn status(refusal: &Refusal) -> Status {
    let sentence = refusal.to_string();
    match refusal {
        Refusal::Malformed(_) => Status::invalid_argument(sentence),
        Refusal::Unknown | Refusal::Expired { .. } | Refusal::Used { .. } | Refusal::Revoked => {
            Status::permission_denied(sentence)
        }
        Refusal::NoTls => Status::failed_precondition(sentence),
        Refusal::Pki(_) => Status::internal(sentence),
        Refusal::Store(_) => Status::unavailable(sentence),
    }
}
