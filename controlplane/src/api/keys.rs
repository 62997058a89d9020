//! Access keys: made, listed, revoked. A secret is in one answer, the one that made the key.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, ApiError, ErrorBody};
use crate::app::{KeyInfo, NewKey, Revoked};

/// A key that was just made. It cannot be asked for again.
#[derive(Serialize, ToSchema)]
pub struct CreatedKeyBody {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub key: KeyInfo,
}

/// Makes an access key. `buckets` absent or null is the whole tenant, an empty list nothing. Answers when every live
/// node knows the key.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = NewKey, responses(
    (status = 201, body = CreatedKeyBody),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "the tenant or a bucket does not exist"), (status = 409, body = ErrorBody),
))]
pub(super) async fn create(
    State(api): State<Api>,
    body: Result<Json<NewKey>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(new) = body?;
    let created = api.authority.create_key(new).await?;
    let secret = created.secret_access_key.expose_str();
    let body = CreatedKeyBody {
        access_key_id: created.key.access_key_id.clone(),
        secret_access_key: secret.expect("secrets are made of text").to_owned(),
        key: created.key,
    };
    tracing::info!(access_key_id = %body.access_key_id, tenant = %body.key.tenant, "key created");
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// All keys, revoked ones too, without secrets.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", responses(
    (status = 200, body = Vec<KeyInfo>), (status = 401, body = ErrorBody),
))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Vec<KeyInfo>>, ApiError> {
    Ok(Json(api.authority.list_keys().await?))
}

/// Ends a key. Answers only when every live node has acknowledged it or its access lease ran out: from then on no request
/// with the key succeeds anywhere.
#[utoipa::path(delete, path = "/v1/keys/{access_key_id}", tag = "keys", params(("access_key_id" = String, Path)), responses(
    (status = 200, body = Revoked), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(access_key_id): Path<String>,
) -> Result<Json<Revoked>, ApiError> {
    let revoked = api.authority.revoke_key(&access_key_id).await?;
    tracing::info!(%access_key_id, waited_ms = revoked.waited_ms, "key revoked");
    Ok(Json(revoked))
}

/// What of a key's signatures is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeSignaturesBody {
    /// YYYY-MM-DD, UTC: the first day whose signatures count. At most the day after tomorrow.
    pub before: String,
}

/// Ends what a key signed on earlier days, presigned URLs above all; answers as the end of a key does.
#[utoipa::path(post, path = "/v1/keys/{access_key_id}/revoke-signatures", tag = "keys", request_body = RevokeSignaturesBody,
    params(("access_key_id" = String, Path)), responses(
    (status = 200, body = Revoked), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn revoke_signatures(
    State(api): State<Api>,
    Path(access_key_id): Path<String>,
    body: Result<Json<RevokeSignaturesBody>, JsonRejection>,
) -> Result<Json<Revoked>, ApiError> {
    let Json(RevokeSignaturesBody { before }) = body?;
    let revoked = api.authority.revoke_signatures(&access_key_id, &before).await?;
    tracing::info!(%access_key_id, %before, waited_ms = revoked.waited_ms, "signatures revoked");
    Ok(Json(revoked))
}
