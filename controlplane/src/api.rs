//! Administration over REST, and what monitoring asks: one listener, JSON in and out, a bearer token.
//!
//! Handlers hold no logic: each turns a request into one verb of [`Authority`] and its outcome into JSON. `/livez`,
//! `/readyz`, `/metrics` and `/openapi.json` need no token; nothing they say is secret.

mod auth;
mod buckets;
pub mod client;
mod drives;
mod error;
mod keys;
mod listener;
mod nodes;
mod openapi;
mod ops;
mod recovery;
mod tenants;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use crate::app::Authority;
use crate::limits::{API_BODY_BYTES_MAX, API_REQUEST};

pub use error::{ApiError, ErrorBody};
pub use keys::CreatedKeyBody;
pub use listener::{ListenError, Listener};
pub use nodes::InvitationBody;

/// What the handlers share.
#[derive(Clone)]
pub struct Api {
    pub authority: Authority,
    pub(crate) token_hash: Arc<[u8; 32]>,
    /// A data plane on this machine whose metrics are shown too.
    pub(crate) dataplane_ops: Option<SocketAddr>,
}

impl Api {
    /// `token_hash` is SHA-256 of the admin token.
    #[must_use]
    pub fn new(authority: Authority, token_hash: [u8; 32], dataplane_ops: Option<SocketAddr>) -> Self {
        Self { authority, token_hash: Arc::new(token_hash), dataplane_ops }
    }

    /// Every route.
    pub fn router(self) -> Router {
        let guarded = Router::new()
            .route("/v1/tenants", get(tenants::list).post(tenants::create))
            .route("/v1/keys", get(keys::list).post(keys::create))
            .route("/v1/keys/{access_key_id}", delete(keys::revoke))
            .route("/v1/keys/{access_key_id}/revoke-signatures", post(keys::revoke_signatures))
            .route("/v1/buckets", get(buckets::list))
            .route("/v1/buckets/{bucket}/stale-reads", post(buckets::stale_reads))
            .route("/v1/status", get(ops::status))
            .route("/v1/recover", get(recovery::show).post(recovery::recover))
            .route("/v1/drives", get(drives::list))
            .route("/v1/drives/{drive}", get(drives::status))
            .route("/v1/drives/{drive}/drain", post(drives::drain))
            .route("/v1/drives/{drive}/replace", post(drives::replace))
            .route("/v1/nodes", get(nodes::list))
            .route("/v1/nodes/invitations", post(nodes::invite))
            .route("/v1/nodes/{node}", get(nodes::show).delete(nodes::revoke))
            .route("/v1/nodes/{node}/drain", post(nodes::drain))
            .route("/v1/objects/redundancy", get(drives::redundancy))
            .route_layer(middleware::from_fn_with_state(self.clone(), auth::require_token));
        Router::new()
            .merge(guarded)
            .route("/livez", get(ops::livez))
            .route("/readyz", get(ops::readyz))
            .route("/metrics", get(ops::metrics))
            .route("/openapi.json", get(openapi::document))
            .fallback(error::not_found)
            .method_not_allowed_fallback(error::method_not_allowed)
            .layer(middleware::from_fn(bounded))
            .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
            .with_state(self)
    }
}

/// No request takes for ever, a body that trickles in included.
async fn bounded(request: Request, next: Next) -> Response {
    match tokio::time::timeout(API_REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable("the request took too long; whether it was done, a list tells")
            .into_response(),
    }
}
