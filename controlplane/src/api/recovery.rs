//! Lost history: what can come back of it, bringing it back, and accepting what is left.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, ApiError, ErrorBody};
use crate::app::recovery::Recovery;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// Commit the proposed rows.
    Apply,
    /// Take the database as it is: bytes are deleted again, and what was not recovered is garbage.
    Accept,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Recover {
    action: Action,
    /// Of `apply`: go on where the last one ended, without another look at what was refused.
    #[serde(default)]
    more: bool,
}

/// What nodes propose to bring back after `history_lost`, and what became of it.
#[utoipa::path(get, path = "/v1/recover", tag = "status", responses(
    (status = 200, body = Recovery), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody),
))]
pub(super) async fn show(State(api): State<Api>) -> Result<Json<Recovery>, ApiError> {
    Ok(Json(api.authority.recovery().await?))
}

/// Brings rows back, for up to half a minute (`proposed` is what is left; ask for more), or ends the alarm.
#[utoipa::path(post, path = "/v1/recover", tag = "status", request_body = Recover, responses(
    (status = 200, body = Recovery), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "no history is lost"), (status = 503, body = ErrorBody),
))]
pub(super) async fn recover(
    State(api): State<Api>,
    body: Result<Json<Recover>, JsonRejection>,
) -> Result<Json<Recovery>, ApiError> {
    let Json(asked) = body?;
    match asked.action {
        Action::Apply => Ok(Json(api.authority.recovery_apply(asked.more).await?)),
        Action::Accept => {
            api.authority.accept_history().await?;
            Ok(Json(api.authority.recovery_shown().await?))
        }
    }
}
