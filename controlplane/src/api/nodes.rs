//! Nodes: invited, listed, emptied, thrown out. A join token is in one answer, the one that made it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, ApiError, ErrorBody};
use crate::app::enrol::InviteRequest;
use crate::app::nodes::{DrainNodeRequest, NodeInfo, RevokedNode};

/// A token that makes one node. It cannot be asked for again.
#[derive(Serialize, ToSchema)]
pub struct InvitationBody {
    pub token: String,
    pub expires_ms: u64,
    /// What the token pins: SHA-256 of the cluster's authority, hex.
    pub ca_sha256: String,
}

/// Makes a token with which one machine becomes a node, within its time.
#[utoipa::path(post, path = "/v1/nodes/invitations", tag = "nodes", request_body = InviteRequest, responses(
    (status = 201, body = InvitationBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "nodes are served without TLS, or with certificates of your own PKI"),
))]
pub(super) async fn invite(
    State(api): State<Api>,
    body: Result<Json<InviteRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(asked) = body?;
    let name = asked.name.clone();
    let invitation = api.authority.invite(asked).await?;
    tracing::info!(node = %name, expires_ms = invitation.expires_ms, "a node was invited");
    let token = invitation.token.expose_str().expect("tokens are made of text").to_owned();
    let body = InvitationBody { token, expires_ms: invitation.expires_ms, ca_sha256: invitation.ca_sha256 };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// All nodes, revoked ones too.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", responses(
    (status = 200, body = Vec<NodeInfo>), (status = 401, body = ErrorBody),
))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Vec<NodeInfo>>, ApiError> {
    Ok(Json(api.authority.list_nodes().await?))
}

/// One node, by its id or its name.
#[utoipa::path(get, path = "/v1/nodes/{node}", tag = "nodes", params(("node" = String, Path)), responses(
    (status = 200, body = NodeInfo), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "several nodes have this name"),
))]
pub(super) async fn show(
    State(api): State<Api>,
    Path(node): Path<String>,
) -> Result<Json<NodeInfo>, ApiError> {
    Ok(Json(api.authority.node_info(&node).await?))
}

/// Takes all drives of a node out of new placements, or takes that back. Answers when every live node knows.
#[utoipa::path(post, path = "/v1/nodes/{node}/drain", tag = "nodes", request_body = DrainNodeRequest,
    params(("node" = String, Path)), responses(
    (status = 200, body = NodeInfo), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "the node is revoked, or several have this name"),
))]
pub(super) async fn drain(
    State(api): State<Api>,
    Path(node): Path<String>,
    body: Result<Json<DrainNodeRequest>, JsonRejection>,
) -> Result<Json<NodeInfo>, ApiError> {
    let Json(asked) = body?;
    Ok(Json(api.authority.drain_node(&node, asked).await?))
}

/// Throws a node out. Answers only when every live node has acknowledged it or its access lease ran out: from then on nobody
/// serves it, and nothing of it is committed.
#[utoipa::path(delete, path = "/v1/nodes/{node}", tag = "nodes", params(("node" = String, Path)), responses(
    (status = 200, body = RevokedNode), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "several nodes have this name"),
))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(node): Path<String>,
) -> Result<Json<RevokedNode>, ApiError> {
    Ok(Json(api.authority.revoke_node(&node).await?))
}
