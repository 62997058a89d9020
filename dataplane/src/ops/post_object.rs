//! POST Object: a form uploads its file, allowed by the policy that its signer wrote.
//!
//! The head of such a request is nobody's. So the fields are read first, under a budget of their own; they say who asks, for
//! which key, and what the policy lets pass. From there on it is a PutObject whose body is the file.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::digest::ChecksumAlgorithm;
use holdfast_protocol::document::acl::{AclHeaders, AclRequest, AclResource};
use holdfast_protocol::document::tagging::{TagSet, Tagged};
use holdfast_protocol::error::S3Error;
use holdfast_protocol::form::{Boundary, PostAnswer, PostObject, StoredObject, object_location};
use holdfast_protocol::http::head::RequestHead;
use holdfast_protocol::sigv4::authenticate_form;

use super::call::{Call, set};
use super::intake::Intake;
use super::put_object::{Stored, store};
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    boundary: &Boundary,
    mut intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    refuse_claims(call.head)?;
    let fields = {
        let _share = call.budget.take_form::<E::Rt>().await?;
        intake.fields(boundary).await?
    };
    let (region, now_ms) = (&call.core.settings.region, call.context.received_ms);
    let who = authenticate_form(call.head, &fields, &*call.view, region, now_ms)?;
    let call = &call.of_form(who, PostObject::key_of(&fields)?);
    if !call.view.buckets.contains_key(call.bucket_name().as_str()) {
        // The policy would refuse a bucket that it does not name; that there is none is told first, to who may know.
        call.on_object::<access::PutObject>().await?;
    }
    let post = PostObject::read(&fields, call.bucket_name(), now_ms)?;
    let acl = AclHeaders { acl: post.acl.as_deref(), ..AclHeaders::default() };
    let acl = AclRequest::of_headers(&acl, AclResource::Object)?;
    let tags = tags_of(&post)?;
    let tags = call.tags.get_or_init(|| tags).to_wire();
    call.facts_of_form(post.acl.as_deref());
    let grant = call.on_object::<access::PutObject>().await?;
    call.may_adorn(!tags.is_empty(), acl.is_some()).await?;
    let plan = post.body.plan_of_object();
    intake.expect(post.body, plan);
    intake.expect_size(post.size);
    let meta = wire::ObjectMeta { tags, ..post.meta };
    let meta = call.own(&grant.resource().bucket, acl.as_ref(), meta)?;
    let stored = store(call, &grant, meta, wire::Precondition::default(), intake).await?;
    Ok(answer(call, &post.answer, &stored))
}

fn tags_of(post: &PostObject) -> Result<TagSet, S3Error> {
    match &post.tagging {
        Some(document) => TagSet::parse(document.as_bytes(), Tagged::Object),
        None => Ok(TagSet::default()),
    }
}

fn answer<E: Env>(call: &Call<'_, E>, asked: &PostAnswer, stored: &Stored) -> Response {
    let key = call.object_key();
    let location = object_location(&call.url(), key);
    let object =
        StoredObject { bucket: call.bucket_name().as_str(), key, etag: &stored.etag, location: &location };
    let answered = asked.render(object);
    let mut head = call.answer_head(answered.status);
    stored.set_headers(&mut head);
    set(&mut head, "Location", answered.location);
    if answered.body.is_empty() {
        return Response::empty(head);
    }
    set(&mut head, "Content-Type", "application/xml");
    Response::bytes(head, answered.body)
}

/// What a head claims of the whole form would have to be held against it, and no page sends such a head.
fn refuse_claims(head: &RequestHead) -> Result<(), S3Error> {
    let claims = |(name, value): &(&str, &[u8])| match name.to_ascii_lowercase().as_str() {
        "x-amz-content-sha256" => *value != b"UNSIGNED-PAYLOAD",
        "content-md5" | "x-amz-trailer" => true,
        other => ChecksumAlgorithm::of_header(other).is_some(),
    };
    match head.headers().find(claims) {
        None => Ok(()),
        Some((name, _)) => {
            Err(S3Error::not_implemented(format_args!("The header {name} on a form")).with("Header", name))
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::error::Code;

    use super::*;

    #[track_caller]
    fn check(header: &str, refused: bool) {
        let text = format!("POST /bkt HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n");
        let (head, _) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            refuse_claims(&head).map_err(|error| error.code),
            match refused {
                true => Err(Code::NotImplemented),
                false => Ok(()),
            },
            "{header}"
        );
    }

    #[test]
    fn what_a_head_claims_of_a_form() {
        check("x-amz-content-sha256: UNSIGNED-PAYLOAD", false);
        check("x-amz-meta-checksum: 1", false);
        check("X-Amz-Content-SHA256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", true);
        check("Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", true);
        check("x-amz-checksum-crc32: AAAAAA==", true);
        check("x-amz-checksum-crc16: AAA=", true);
    }
}
