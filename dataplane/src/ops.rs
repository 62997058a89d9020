//! The S3 operations: one file each, straight-line, read top to bottom, over the one type parameter `E: Env`.
//!
//! [`Service`] is the way in: head -> typed operation -> proof of who asks -> the operation's file, which takes the
//! grants it needs before it reads a byte of the body. Every refusal comes back here as an [`S3Error`] and is answered once.

mod abort_upload;
mod ask;
mod bucket_document;
mod budget;
mod call;
mod complete_upload;
mod copy_object;
mod cors;
mod create_bucket;
mod create_upload;
mod delete_bucket;
mod delete_object;
mod delete_objects;
mod get_object;
mod head_bucket;
mod intake;
mod list_buckets;
mod list_objects;
mod list_parts;
mod list_uploads;
mod list_versions;
mod object_acl;
mod object_attributes;
mod object_stream;
mod object_tagging;
mod owners;
mod post_object;
mod put_object;
mod receive;
mod upload_part;
mod upload_part_copy;

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::http::head::{HeadError, RequestHead};
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::operation::{Addressing, Operation, Routed, route};
use holdfast_protocol::sigv4::{Authenticated, PayloadMode, Verified, authenticate};

use crate::env::{Core, Counters, Env};
use crate::hash::{Hasher, Pool};
use crate::metrics;
use crate::rt::{Conn, Rt as _};
use crate::server::{Context, Handler, Refusal, RequestBody, Response};
use budget::Budget;
use call::{Age, Call};
use intake::Intake;

/// One core's S3 service.
pub struct Service<E: Env> {
    core: Rc<Core<E>>,
    addressing: Addressing,
    budget: Budget,
    hasher: Option<Hasher>,
}

impl<E: Env> Service<E> {
    /// `pool`: where bodies are hashed together with those of other cores; without one each is hashed alone.
    #[must_use]
    pub fn new(core: Rc<Core<E>>, pool: Option<Arc<Pool>>) -> Self {
        let addressing = Addressing::new(&core.settings.domains);
        Self { core, addressing, budget: Budget::default(), hasher: pool.map(Hasher::new::<E::Rt>) }
    }

    async fn answer<C: Conn>(
        &self,
        head: &RequestHead,
        body: &mut RequestBody<'_, C>,
        context: &Context,
        name: &mut &'static str,
    ) -> Result<Response, S3Error> {
        let Routed { bucket, key, operation, expected_bucket_owner } = route(head, &self.addressing)?;
        *name = operation.name();
        if !self.core.may_believe().await {
            return Err(S3Error::new(Code::ServiceUnavailable)
                .message("This node does not hear from its control plane. Please try again."));
        }
        // Taken under the access lease: it knows of every key and policy that anybody was told is gone.
        let view = self.core.view();
        if matches!(operation, Operation::Preflight) {
            return cors::preflight(head, &view, bucket.as_ref(), key.is_some(), context.received_ms);
        }
        let region = &self.core.settings.region;
        let Verified { who, payload } = match &operation {
            // Who sends a form stands in its fields.
            Operation::PostObject(_) => {
                Verified { who: Authenticated::Anonymous, payload: PayloadMode::Unsigned }
            }
            _ => authenticate(head, &*view, region, context.received_ms)?,
        };
        metrics::core().payload_mode(payload.kind());
        let call = Call {
            core: &self.core,
            who,
            view,
            bucket,
            key,
            expected_bucket_owner,
            context,
            head,
            budget: &self.budget,
            tags: OnceCell::new(),
            facts: OnceCell::new(),
            age: Cell::new(Age::Current),
        };
        call.check_expected_owner()?;
        self.perform(&call, operation, Intake::new(body, payload, self.hasher.as_ref())).await
    }

    async fn perform<C: Conn>(
        &self,
        call: &Call<'_, E>,
        operation: Operation,
        intake: Intake<'_, '_, C>,
    ) -> Result<Response, S3Error> {
        let bytes_max = operation.control_body_bytes_max();
        match operation {
            Operation::ListBuckets(input) => list_buckets::run(call, input),
            Operation::CreateBucket(input) => create_bucket::run(call, *input, intake).await,
            Operation::HeadBucket => head_bucket::head(call),
            Operation::GetBucketLocation => head_bucket::location(call),
            Operation::DeleteBucket => delete_bucket::run(call).await,
            Operation::ListObjects(input) => list_objects::run(call, input).await,
            Operation::ListMultipartUploads(input) => list_uploads::run(call, input).await,
            Operation::DeleteObjects(claims) => delete_objects::run(call, claims, intake).await,
            Operation::PostObject(boundary) => post_object::run(call, &boundary, intake).await,
            Operation::PutObject(input) => put_object::run(call, *input, intake).await,
            Operation::CopyObject(input) => copy_object::run(call, *input).await,
            Operation::GetObject(input) => get_object::run(call, *input, true).await,
            Operation::HeadObject(input) => get_object::run(call, *input, false).await,
            Operation::DeleteObject(input) => delete_object::run(call, input).await,
            Operation::CreateMultipartUpload(input) => create_upload::run(call, *input).await,
            Operation::UploadPart(input) => upload_part::run(call, input, intake).await,
            Operation::UploadPartCopy(input) => upload_part_copy::run(call, *input).await,
            Operation::CompleteMultipartUpload(input) => complete_upload::run(call, *input, intake).await,
            Operation::AbortMultipartUpload(upload) => abort_upload::run(call, upload).await,
            Operation::ListParts(input) => list_parts::run(call, input).await,
            Operation::ListObjectVersions(input) => list_versions::run(call, input).await,
            Operation::GetObjectAttributes(input) => object_attributes::run(call, input).await,
            Operation::GetObjectTagging(version) => object_tagging::read(call, &version).await,
            Operation::PutObjectTagging(input) => object_tagging::write(call, input, intake).await,
            Operation::DeleteObjectTagging(version) => object_tagging::remove(call, &version).await,
            Operation::GetObjectAcl(version) => object_acl::read(call, &version).await,
            Operation::PutObjectAcl(input) => object_acl::write(call, *input, intake).await,
            Operation::GetBucketDocument(document) => bucket_document::read(call, document),
            Operation::PutBucketDocument(input) => {
                bucket_document::put(call, *input, bytes_max.unwrap_or(0), intake).await
            }
            Operation::DeleteBucketDocument(document) => bucket_document::remove(call, document).await,
            Operation::GetBucketPolicyStatus => bucket_document::policy_status(call),
            Operation::GetUnset(unset) => bucket_document::unset(call, unset),
            Operation::Preflight => Err(S3Error::new(Code::MethodNotAllowed)),
        }
    }
}

impl<E: Env, C: Conn> Handler<C> for Service<E> {
    async fn handle(&self, head: &RequestHead, body: &mut RequestBody<'_, C>, context: &Context) -> Response {
        let mut name = "unknown";
        let _in_flight = InFlight::count(&self.core.counters);
        let answered = self.answer(head, body, context, &mut name).await;
        let mut response = answered.unwrap_or_else(|error| refusal(&error, &resource(head), context));
        if name != "Preflight" && head.header_one("origin").is_ok_and(|origin| origin.is_some()) {
            cors::mark(head, &self.core.view(), self.addressing.bucket(head).as_ref(), &mut response);
        }
        response.operation(name)
    }

    fn refuse(&self, why: Refusal, context: &Context) -> Response {
        let error = match why {
            Refusal::Head(error) => S3Error::from(error),
            Refusal::HeadLate => S3Error::new(Code::RequestTimeout),
            Refusal::ConnectionsFull => S3Error::new(Code::SlowDown),
        };
        let status = match why {
            Refusal::Head(error) => HeadError::status(error),
            _ => error.status(),
        };
        refusal_with_status(&error, status, "", context)
    }
}

/// The path as sent, for `<Resource>`.
fn resource(head: &RequestHead) -> String {
    String::from_utf8_lossy(head.path()).into_owned()
}

/// The answer to a refused request. Our own faults are logged here, once, with the request's id; that a client asks for
/// what we do not have is none, and anybody could fill the log with it.
fn refusal(error: &S3Error, resource: &str, context: &Context) -> Response {
    if error.status() >= 500 && error.code != Code::NotImplemented {
        tracing::warn!(request_id = %context.request_id, %resource, %error, "answered with an error of ours");
    }
    refusal_with_status(error, error.status(), resource, context)
}

fn refusal_with_status(error: &S3Error, status: u16, resource: &str, context: &Context) -> Response {
    let mut head = ResponseHead::new(status, context.received_ms);
    if let Some(seconds) = error.retry_after_s {
        call::set(&mut head, "Retry-After", seconds.to_string());
    }
    for (name, value) in &error.headers {
        call::set(&mut head, name, value);
    }
    let response = if error.has_body() {
        call::set(&mut head, "Content-Type", "application/xml");
        Response::bytes(head, error.to_xml(resource, context.request_id.as_str(), &context.host_id))
    } else {
        Response::empty(head)
    };
    response.closing(error.close)
}

/// Counts a request for as long as it lives, dropped ones too.
struct InFlight<'a>(&'a Counters);

impl<'a> InFlight<'a> {
    fn count(counters: &'a Counters) -> Self {
        counters.in_flight.fetch_add(1, Relaxed);
        Self(counters)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// What `E` calls now; operations stamp their answers with it.
fn now_ms<E: Env>() -> u64 {
    E::Rt::unix_ms()
}
