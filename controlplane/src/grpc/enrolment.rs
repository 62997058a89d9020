//! Joining and renewing over gRPC. What is refused is logged here, once, with the node's identity.

use holdfast_common::wire::enrolment_server::Enrolment;
use holdfast_common::wire::{JoinRequest, NodeCertificate, RenewRequest};
use tonic::{Request, Response, Status};

use super::gate::{Caller, caller};
use crate::app::Authority;
use crate::app::enrol::Refusal;

/// The service; a handle on the authority.
#[derive(Clone)]
pub struct EnrolmentService {
    authority: Authority,
}

impl EnrolmentService {
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        Self { authority }
    }
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<NodeCertificate>, Status> {
        let from = request.remote_addr();
        let asked = request.into_inner();
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
