//! GetObject and HeadObject: everything but the bytes is decided from the record alone.

use std::rc::Rc;
use std::sync::Arc;

use holdfast_common::wire;
use holdfast_protocol::access::{self, BucketFacts, ObjectTarget};
use holdfast_protocol::date::imf_fixdate;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::operation::{
    CONTENT_TYPE_DEFAULT, GetObjectInput, ResponseOverrides, Selection, VersionSelector, checksum_headers,
    part_at,
};
use holdfast_protocol::precondition::{Conditions, Verdict};
use holdfast_protocol::range::Resolved;
use holdfast_protocol::sigv4::Authenticated;

use super::call::{Age, Call, quoted, set, set_version};
use super::object_stream::ObjectStream;
use crate::env::{Env, MetadataError};
use crate::server::{Response, StreamError};

/// Where the authority cannot be asked the answer may be an older one, whatever it is, and says how old.
pub(super) async fn run<E: Env>(
    call: &Call<'_, E>,
    input: GetObjectInput,
    with_body: bool,
) -> Result<Response, S3Error> {
    call.age.set(Age::Any);
    let answered = answer(call, input, with_body).await;
    let Age::Stale(age_ms) = call.age.get() else { return answered };
    let seconds = age_ms.div_ceil(1000).to_string();
    match answered {
        Ok(mut response) => {
            for name in AGE {
                response.header(name, &seconds);
            }
            Ok(response)
        }
        Err(error) => Err(AGE.iter().fold(error, |error, name| error.header(name, &seconds))),
    }
}

/// What says how old an answer may be, in seconds: HTTP's own, and one that nobody in between makes up.
const AGE: [&str; 2] = ["Age", "x-holdfast-stale"];

async fn answer<E: Env>(
    call: &Call<'_, E>,
    input: GetObjectInput,
    with_body: bool,
) -> Result<Response, S3Error> {
    if matches!(call.who, Authenticated::Anonymous) {
        input.overrides.refuse_unsigned()?;
    }
    let seen = call.on_version::<access::GetObject>(&input.version).await?;
    let (grant, record) = seen.with_record(call, &input.version).await?;
    let grant = Rc::new(grant);
    let bucket = &grant.resource().bucket;
    let record = existing(call, grant.resource(), record, &input.version)?;
    let pins = call.core.pin(record.manifest.as_ref().filter(|_| with_body));
    check_conditions(&record, &input.conditions, call.context.received_ms)?;
    let changed = input.if_range.is_some_and(|is| !is.holds(&record.etag, record.modified_ms));
    let selection = match input.selection {
        Selection::Range(_) if changed => Selection::Whole,
        selection => selection,
    };
    let Selected { status, span, part } = select(call, &grant, &record, selection).await?;
    let mut head = call.answer_head(status);
    describe(&mut head, bucket, &record, &input.overrides);
    if status == 206 {
        set(&mut head, "Content-Range", span.content_range(record.size));
    }
    let manifest = record.manifest.as_ref();
    if let (Selection::Part(_), Some(manifest)) = (selection, manifest)
        && manifest.part_count > 0
    {
        set(&mut head, "x-amz-mp-parts-count", manifest.part_count.to_string());
    }
    if input.checksum_mode {
        // All of the bytes are the object's, also where they are those of its only part.
        let inline =
            manifest.filter(|_| span.len < record.size).and_then(|manifest| part_at(&manifest.parts, span));
        for (name, value) in checksum_headers(&record, part.as_ref().or(inline), span) {
            set(&mut head, name, value);
        }
    }
    if !with_body {
        return Ok(Response::head_only(head, span.len));
    }
    if span.len == 0 {
        return Ok(Response::empty(head));
    }
    let share = call.budget.take::<E::Rt>(Some(span.len)).await?;
    let mut stream = ObjectStream::new(call.core.clone(), grant, record, span, pins).holding(share);
    // What cannot be read at all is an error that the client is told of; whoever noticed has logged why.
    match stream.step().await {
        Ok(Some(first)) => Ok(Response::stream(head, span.len, first, Box::new(stream))),
        Ok(None) | Err(StreamError) => Err(S3Error::new(Code::InternalError)),
    }
}

/// The version that was asked for, if it is one that can be read. A delete marker says that it is one.
pub(super) fn existing<E: Env>(
    call: &Call<'_, E>,
    target: &ObjectTarget,
    record: Option<Arc<wire::ObjectRecord>>,
    version: &VersionSelector,
) -> Result<Arc<wire::ObjectRecord>, S3Error> {
    Err(match (record, version.named()) {
        (Some(record), _) if !record.delete_marker => return Ok(record),
        (None, _) => call.absent(&target.bucket.name, &target.key, version),
        (Some(marker), None) => {
            of_marker(call.absent(&target.bucket.name, &target.key, version), &target.bucket, &marker)
        }
        (Some(marker), Some(_)) => nothing_of_a_marker(call, &target.bucket, &marker),
    })
}

/// The same for what is kept beside an object, its tags and its ACL: of a key whose current version is a delete marker it is
/// not that there is none.
pub(super) fn described<E: Env>(
    call: &Call<'_, E>,
    target: &ObjectTarget,
    record: Option<Arc<wire::ObjectRecord>>,
    version: &VersionSelector,
) -> Result<Arc<wire::ObjectRecord>, S3Error> {
    match record {
        Some(marker) if marker.delete_marker => Err(nothing_of_a_marker(call, &target.bucket, &marker)),
        record => existing(call, target, record, version),
    }
}

fn nothing_of_a_marker<E: Env>(
    call: &Call<'_, E>,
    bucket: &BucketFacts,
    marker: &wire::ObjectRecord,
) -> S3Error {
    let modified = imf_fixdate(marker.modified_ms);
    let error = S3Error::new(Code::MethodNotAllowed)
        .with("Method", call.head.method_str())
        .with("ResourceType", "DeleteMarker")
        .header("Allow", "DELETE")
        .header("Last-Modified", String::from_utf8_lossy(&modified));
    of_marker(error, bucket, marker)
}

/// Who may not even know of the key is not told of its marker.
fn of_marker(error: S3Error, bucket: &BucketFacts, marker: &wire::ObjectRecord) -> S3Error {
    match wire::version_shown(&marker.version_id, bucket.versioning) {
        Some(id) if error.code != Code::AccessDenied => {
            error.header("x-amz-delete-marker", "true").header("x-amz-version-id", id)
        }
        _ => error,
    }
}

fn check_conditions(
    record: &wire::ObjectRecord,
    conditions: &Conditions,
    now_ms: u64,
) -> Result<(), S3Error> {
    match conditions.clone().as_of(now_ms).evaluate(&record.etag, record.modified_ms) {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified => Err(not_modified(record)),
        Verdict::Failed { condition } => {
            Err(S3Error::new(Code::PreconditionFailed).with("Condition", condition))
        }
    }
}

/// 304 with what a cache keeps of the 200 (RFC 9110, 15.4.5).
fn not_modified(record: &wire::ObjectRecord) -> S3Error {
    let mut error = S3Error::new(Code::NotModified)
        .header("ETag", quoted(&record.etag))
        .header("Last-Modified", String::from_utf8_lossy(&imf_fixdate(record.modified_ms)));
    let meta = record.meta.as_ref();
    for (name, value) in
        meta.iter().flat_map(|m| [("Cache-Control", &m.cache_control), ("Expires", &m.expires)])
    {
        if !value.is_empty() {
            error = error.header(name, value.as_str());
        }
    }
    error
}

/// Status and bytes of the answer, and the part that was asked for by its number.
struct Selected {
    status: u16,
    span: Resolved,
    part: Option<wire::Part>,
}

async fn select<E: Env>(
    call: &Call<'_, E>,
    grant: &access::Grant<access::GetObject>,
    record: &wire::ObjectRecord,
    selection: Selection,
) -> Result<Selected, S3Error> {
    let of = |status, span| Selected { status, span, part: None };
    match selection {
        Selection::Whole => Ok(of(200, Resolved::whole(record.size))),
        Selection::Range(range) => match range.resolve(record.size) {
            Ok(span) => Ok(of(206, span)),
            Err(not) => Err(not.refusal(range).header("Content-Range", not.content_range())),
        },
        // A part without bytes has no first and no last one for a Content-Range to name.
        Selection::Part(number) => {
            let part = part(call, grant, record, number).await?;
            let span = match &part {
                Some(part) => {
                    Resolved { start: part.offset, len: part.blob.as_ref().map_or(0, |blob| blob.size) }
                }
                None => Resolved::whole(record.size),
            };
            Ok(Selected { status: if span.len == 0 { 200 } else { 206 }, span, part })
        }
    }
}

/// One part by its number. Of an object that was put whole, part 1 is all of it: `None`.
async fn part<E: Env>(
    call: &Call<'_, E>,
    grant: &access::Grant<access::GetObject>,
    record: &wire::ObjectRecord,
    number: u32,
) -> Result<Option<wire::Part>, S3Error> {
    let manifest = record.manifest.clone().unwrap_or_default();
    if manifest.part_count == 0 && number == 1 {
        return Ok(None);
    }
    let mut parts = manifest.parts;
    // Numbers ascend over all pages, so halving finds the page that would hold this one.
    let (mut from, mut to) = (0, manifest.page_offsets.len() as u32);
    while from < to {
        let page = from + (to - from) / 2;
        parts = page_of(call, grant, &manifest.pages_of, page).await?;
        match (parts.first(), parts.last()) {
            (Some(first), _) if number < first.number => to = page,
            (_, Some(last)) if number > last.number => from = page + 1,
            _ => break,
        }
    }
    let part = parts.into_iter().find(|part| part.number == number);
    part.map(Some).ok_or_else(|| Selection::no_such_part(number, manifest.part_count))
}

/// A page of a long manifest.
pub(super) async fn page_of<E: Env>(
    call: &Call<'_, E>,
    who: &impl access::MayLook,
    pages_of: &bytes::Bytes,
    page: u32,
) -> Result<Vec<wire::Part>, S3Error> {
    call.core.manifest_page(who, pages_of.clone(), page).await.map_err(|error| match error {
        // Overwritten since it was looked up; there is an object all the same.
        MetadataError::Refused(_) => S3Error::new(Code::ServiceUnavailable),
        other => other.into(),
    })
}

/// The headers that tell what the object is, with what the signer of the URL wants them to be.
fn describe(
    head: &mut ResponseHead,
    bucket: &BucketFacts,
    record: &wire::ObjectRecord,
    overrides: &ResponseOverrides,
) {
    let none = wire::ObjectMeta::default();
    let meta = record.meta.as_ref().unwrap_or(&none);
    set(head, "ETag", quoted(&record.etag));
    set(head, "Last-Modified", imf_fixdate(record.modified_ms));
    set(head, "Accept-Ranges", "bytes");
    let stored_type = if meta.content_type.is_empty() { CONTENT_TYPE_DEFAULT } else { &meta.content_type };
    let headers = [
        ("Content-Type", &*overrides.content_type, stored_type),
        ("Cache-Control", &*overrides.cache_control, &*meta.cache_control),
        ("Content-Disposition", &*overrides.content_disposition, &*meta.content_disposition),
        ("Content-Encoding", &*overrides.content_encoding, &*meta.content_encoding),
        ("Content-Language", &*overrides.content_language, &*meta.content_language),
        ("Expires", &*overrides.expires, &*meta.expires),
        ("x-amz-website-redirect-location", "", &*meta.website_redirect),
    ];
    for (name, wanted, stored) in headers {
        let value = if wanted.is_empty() { stored } else { wanted };
        if !value.is_empty() {
            set(head, name, value);
        }
    }
    for pair in &meta.user {
        set(head, &format!("x-amz-meta-{}", pair.name), &pair.value);
    }
    if !meta.storage_class.is_empty() && meta.storage_class != "STANDARD" {
        set(head, "x-amz-storage-class", &meta.storage_class);
    }
    if !meta.tags.is_empty() {
        set(head, "x-amz-tagging-count", meta.tags.len().to_string());
    }
    set_version(head, bucket, &record.version_id);
}
