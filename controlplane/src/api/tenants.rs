//! Tenants: who owns keys and buckets.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, ApiError, ErrorBody};
use crate::app::TenantInfo;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    pub(super) name: String,
}

/// Makes a tenant.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", request_body = NewTenant, responses(
    (status = 201, body = TenantInfo),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 409, body = ErrorBody, description = "the name is taken"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    body: Result<Json<NewTenant>, JsonRejection>,
) -> Result<(StatusCode, Json<TenantInfo>), ApiError> {
    let Json(new) = body?;
    let tenant = api.authority.create_tenant(&new.name).await?;
    tracing::info!(tenant = %tenant.name, id = tenant.tenant_id, "tenant created");
    Ok((StatusCode::CREATED, Json(tenant)))
}

/// All tenants.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", responses(
    (status = 200, body = Vec<TenantInfo>), (status = 401, body = ErrorBody),
))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Vec<TenantInfo>>, ApiError> {
    Ok(Json(api.authority.list_tenants().await?))
}
