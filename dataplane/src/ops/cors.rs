//! Browsers: the preflight, which nobody signs, and what the answer to any other request says of a bucket's CORS rules.

use holdfast_protocol::document::cors::{CorsAnswer, CorsResource, CorsState};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::http::head::RequestHead;
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::name::BucketName;
use holdfast_protocol::operation::cors_request;

use crate::link::state::View;
use crate::server::Response;

/// Answers OPTIONS.
pub(super) fn preflight(
    head: &RequestHead,
    view: &View,
    bucket: Option<&BucketName>,
    names_key: bool,
    received_ms: u64,
) -> Result<Response, S3Error> {
    let facts = bucket.map(|name| view.buckets.get(name.as_str()));
    let rules = facts.flatten().and_then(|facts| facts.settings.as_ref()?.cors.as_ref());
    let state = match (facts, rules) {
        (_, Some(rules)) => CorsState::Enabled(rules),
        (Some(None), None) => CorsState::NoSuchBucket,
        _ => CorsState::Disabled,
    };
    let resource = if names_key { CorsResource::Object } else { CorsResource::Bucket };
    let allowed = cors_request(head).preflight(state, resource)?;
    let mut answer = Response::empty(ResponseHead::new(200, received_ms));
    add(&mut answer, &allowed);
    Ok(answer)
}

/// Says to a page what it may read of an answer, a refusal as well.
pub(super) fn mark(head: &RequestHead, view: &View, bucket: Option<&BucketName>, answer: &mut Response) {
    let facts = bucket.and_then(|name| view.buckets.get(name.as_str()));
    let Some(rules) = facts.and_then(|facts| facts.settings.as_ref()?.cors.as_ref()) else { return };
    if let Some(allowed) = cors_request(head).actual(head.method_str(), rules) {
        add(answer, &allowed);
    }
}

fn add(answer: &mut Response, allowed: &CorsAnswer<'_>) {
    for (name, value) in allowed.headers() {
        answer.header(name, &value);
    }
}
