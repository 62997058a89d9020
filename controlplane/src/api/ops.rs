//! What monitoring asks: is it alive, is it ready, how is it doing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::client::{Target, request};
use super::{Api, ApiError, ErrorBody};
use crate::app::Status;
use crate::limits::SCRAPE;

/// The media type of Prometheus' text format as `prometheus-client` writes it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Leadership, nodes, backends, counts.
#[utoipa::path(get, path = "/v1/status", tag = "status", responses(
    (status = 200, body = Status), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody),
))]
pub(super) async fn status(State(api): State<Api>) -> Result<Json<Status>, ApiError> {
    Ok(Json(api.authority.status().await?))
}

/// 200 while the process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// 200 while this process leads and can commit. One that follows says so and names the leader: it has nothing to be ready for.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = String), (status = 503, body = ErrorBody)))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, ApiError> {
    if api.authority.is_leading() {
        return Ok("ready\n");
    }
    Err(api
        .authority
        .must_lead()
        .await
        .err()
        .map_or_else(|| ApiError::unavailable("it became the leader just now; ask again"), ApiError::from))
}

/// Prometheus metrics of this process and, where one is configured, of the data plane beside it.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let own = api.authority.metrics_text();
    let text = match api.dataplane_ops {
        None => own,
        Some(addr) => {
            let target = Target::plain(addr);
            let asked = request(&target, "GET", "/metrics", None);
            match tokio::time::timeout(SCRAPE, asked).await {
                Ok(Ok(answer)) if answer.status == 200 => {
                    joined(&own, &String::from_utf8_lossy(&answer.body))
                }
                // A scrape that lacks one half is worth more than none; the half's absence is what alerts see.
                _ => own,
            }
        }
    };
    (StatusCode::OK, [(CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

/// Two texts as one: only the last may say `# EOF`.
fn joined(first: &str, second: &str) -> String {
    let body = |text: &str| text.trim_end().trim_end_matches("# EOF").trim_end().to_owned();
    let mut text = body(first);
    let second = body(second);
    if !text.is_empty() && !second.is_empty() {
        text.push('\n');
    }
    text + &second + "\n# EOF\n"
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn joined_metrics_end_once() {
        assert_eq!(joined("a 1\n# EOF\n", "b 2\n# EOF\n"), "a 1\nb 2\n# EOF\n");
        assert_eq!(joined("", "b 2\n"), "b 2\n# EOF\n");
    }
}
