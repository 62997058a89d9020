//! Drives: listed, drained, declared gone; and how many fragments an object has.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Api, ApiError, ErrorBody};
use crate::app::drives::{DrainRequest, DriveInfo, DriveStatus, ReplaceRequest};
use crate::app::redundancy::ObjectRedundancy;

/// All drives, with what their nodes last said of them.
#[utoipa::path(get, path = "/v1/drives", tag = "drives", responses(
    (status = 200, body = Vec<DriveInfo>), (status = 401, body = ErrorBody),
))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Vec<DriveInfo>>, ApiError> {
    Ok(Json(api.authority.list_drives().await?))
}

/// One drive, by its backend's number or its id: progress of scrub and drain, repairs that wait.
#[utoipa::path(get, path = "/v1/drives/{drive}", tag = "drives", params(("drive" = String, Path)), responses(
    (status = 200, body = DriveStatus), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
))]
pub(super) async fn status(
    State(api): State<Api>,
    Path(drive): Path<String>,
) -> Result<Json<DriveStatus>, ApiError> {
    Ok(Json(api.authority.drive_status(&drive).await?))
}

/// Empties a drive onto the node's others, or takes that back. Answers when every live node knows.
#[utoipa::path(post, path = "/v1/drives/{drive}/drain", tag = "drives", request_body = DrainRequest,
    params(("drive" = String, Path)), responses(
    (status = 200, body = DriveStatus), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "too few drives would remain, or the drive was replaced"),
))]
pub(super) async fn drain(
    State(api): State<Api>,
    Path(drive): Path<String>,
    body: Result<Json<DrainRequest>, JsonRejection>,
) -> Result<Json<DriveStatus>, ApiError> {
    let Json(asked) = body?;
    let status = api.authority.drain_drive(&drive, asked).await?;
    let (backend, state) = (status.drive.backend_id, &status.drive.state);
    tracing::info!(backend, state, cancel = asked.cancel, force = asked.force, "drive drain asked for");
    Ok(Json(status))
}

/// Declares a drive gone for good: what it held is rebuilt elsewhere, and nothing waits for it. Cannot be taken back.
#[utoipa::path(post, path = "/v1/drives/{drive}/replace", tag = "drives", request_body = ReplaceRequest,
    params(("drive" = String, Path)), responses(
    (status = 200, body = DriveStatus), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "the drive is active and its node connected"),
))]
pub(super) async fn replace(
    State(api): State<Api>,
    Path(drive): Path<String>,
    body: Result<Json<ReplaceRequest>, JsonRejection>,
) -> Result<Json<DriveStatus>, ApiError> {
    let Json(asked) = body?;
    let status = api.authority.replace_drive(&drive, asked).await?;
    tracing::info!(backend = status.drive.backend_id, force = asked.force, "drive replacement asked for");
    Ok(Json(status))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectName {
    bucket: String,
    key: String,
}

/// How many fragments each part of an object should have and has, and the repairs that are open.
#[utoipa::path(get, path = "/v1/objects/redundancy", tag = "objects", params(ObjectName), responses(
    (status = 200, body = ObjectRedundancy), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
))]
pub(super) async fn redundancy(
    State(api): State<Api>,
    name: Result<Query<ObjectName>, QueryRejection>,
) -> Result<Json<ObjectRedundancy>, ApiError> {
    let Query(name) = name?;
    Ok(Json(api.authority.object_redundancy(&name.bucket, &name.key).await?))
}
