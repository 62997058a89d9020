//! Buckets: listed, and told how long they are read where the control plane cannot be asked.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};

use super::{Api, ApiError, ErrorBody};
use crate::app::buckets::{BucketInfo, StaleReadsRequest};

/// All buckets.
#[utoipa::path(get, path = "/v1/buckets", tag = "buckets", responses(
    (status = 200, body = Vec<BucketInfo>), (status = 401, body = ErrorBody),
))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Vec<BucketInfo>>, ApiError> {
    Ok(Json(api.authority.list_buckets().await?))
}

/// Says for how long a node that cannot ask shows what it has cached of this bucket, with its age. Answers when every live
/// node knows.
#[utoipa::path(post, path = "/v1/buckets/{bucket}/stale-reads", tag = "buckets", request_body = StaleReadsRequest,
    params(("bucket" = String, Path)), responses(
    (status = 200, body = BucketInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn stale_reads(
    State(api): State<Api>,
    Path(bucket): Path<String>,
    body: Result<Json<StaleReadsRequest>, JsonRejection>,
) -> Result<Json<BucketInfo>, ApiError> {
    let Json(asked) = body?;
    let bucket = api.authority.stale_reads(&bucket, asked).await?;
    tracing::info!(bucket = %bucket.name, seconds = bucket.stale_reads_seconds, "stale reads were set");
    Ok(Json(bucket))
}
