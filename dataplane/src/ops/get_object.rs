//! GetObject and HeadObject: everything but the bytes is decided from the record alone.

use std::rc::Rc;
use std::sync::Arc;

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::date::imf_fixdate;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::http::response::ResponseHead;
use holdfast_protocol::operation::{
    CONTENT_TYPE_DEFAULT, GetObjectInput, ResponseOverrides, Selection, VersionSelector,
};
use holdfast_protocol::precondition::Verdict;
use holdfast_protocol::range::Resolved;
use holdfast_protocol::sigv4::Authenticated;

use super::call::{Call, quoted, set, set_checksums};
use super::object_stream::ObjectStream;
use crate::env::{Env, MetadataError};
use crate::server::{Response, StreamError};

pub(super) async fn run<E: Env>(
    call: &Call<'_, E>,
    input: GetObjectInput,
    with_body: bool,
) -> Result<Response, S3Error> {
    if matches!(call.who, Authenticated::Anonymous) {
        input.overrides.refuse_unsigned()?;
    }
    let grant = Rc::new(call.on_object::<access::GetObject>()?);
    let record = call.core.lookup(&grant).await?;
    let record = existing(record, &input.version, call.object_key().as_str())?;
    let pins = call.core.pin(record.manifest.as_ref().filter(|_| with_body));
    check_conditions(&record, &input)?;
    let changed = input.if_range.is_some_and(|is| !is.holds(&record.etag, record.modified_ms));
    let selection = match input.selection {
        Selection::Range(_) if changed => Selection::Whole,
        selection => selection,
    };
    let (status, span) = select(call, &grant, &record, selection).await?;
    let mut head = call.answer_head(status);
    describe(&mut head, &record, &input.overrides);
    if status == 206 {
        set(&mut head, "Content-Range", span.content_range(record.size));
    }
    let part_count = record.manifest.as_ref().map_or(0, |manifest| manifest.part_count);
    if matches!(selection, Selection::Part(_)) && part_count > 0 {
        set(&mut head, "x-amz-mp-parts-count", part_count.to_string());
    }
    if input.checksum_mode && span.len == record.size {
        let checksums = record.meta.as_ref().map(|meta| &*meta.checksums).unwrap_or_default();
        set_checksums(&mut head, checksums, part_count);
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

/// The version that was asked for. This deployment's buckets have null versions only, until versioning comes.
pub(super) fn existing(
    record: Option<Arc<wire::ObjectRecord>>,
    version: &VersionSelector,
    key: &str,
) -> Result<Arc<wire::ObjectRecord>, S3Error> {
    if let VersionSelector::Named(id) = version {
        return Err(S3Error::new(Code::NoSuchVersion).with("Key", key).with("VersionId", id.as_str()));
    }
    record.ok_or_else(|| S3Error::new(Code::NoSuchKey).with("Key", key))
}

fn check_conditions(record: &wire::ObjectRecord, input: &GetObjectInput) -> Result<(), S3Error> {
    match input.conditions.evaluate(&record.etag, record.modified_ms) {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified => Err(S3Error::new(Code::NotModified)
            .with("ETag", quoted(&record.etag))
            .with("LastModified", String::from_utf8_lossy(&imf_fixdate(record.modified_ms)))),
        Verdict::Failed { condition } => {
            Err(S3Error::new(Code::PreconditionFailed).with("Condition", condition))
        }
    }
}

/// Status and bytes of the answer.
async fn select<E: Env>(
    call: &Call<'_, E>,
    grant: &access::Grant<access::GetObject>,
    record: &wire::ObjectRecord,
    selection: Selection,
) -> Result<(u16, Resolved), S3Error> {
    match selection {
        Selection::Whole => Ok((200, Resolved::whole(record.size))),
        Selection::Range(range) => match range.resolve(record.size) {
            Ok(span) => Ok((206, span)),
            Err(not) => Err(S3Error::new(Code::InvalidRange)
                .with("ActualObjectSize", record.size.to_string())
                .with("ContentRange", not.content_range())),
        },
        // A part without bytes has no first and no last one for a Content-Range to name.
        Selection::Part(number) => {
            let span = part(call, grant, record, number).await?;
            Ok((if span.len == 0 { 200 } else { 206 }, span))
        }
    }
}

/// The bytes of one part. Of an object that was put whole, part 1 is all of it.
async fn part<E: Env>(
    call: &Call<'_, E>,
    grant: &access::Grant<access::GetObject>,
    record: &wire::ObjectRecord,
    number: u32,
) -> Result<Resolved, S3Error> {
    let manifest = record.manifest.clone().unwrap_or_default();
    if manifest.part_count == 0 && number == 1 {
        return Ok(Resolved::whole(record.size));
    }
    let invalid = || S3Error::new(Code::InvalidPartNumber);
    let mut parts = manifest.parts;
    // Numbers ascend over all pages, so halving finds the page that would hold this one.
    let (mut from, mut to) = (0, manifest.page_offsets.len() as u32);
    while from < to {
        let page = from + (to - from) / 2;
        let found = call.core.manifest_page(grant, manifest.pages_of.clone(), page).await;
        parts = found.map_err(|error| match error {
            // Overwritten since it was looked up; there is an object all the same.
            MetadataError::Refused(_) => S3Error::new(Code::ServiceUnavailable),
            other => other.into(),
        })?;
        match (parts.first(), parts.last()) {
            (Some(first), _) if number < first.number => to = page,
            (_, Some(last)) if number > last.number => from = page + 1,
            _ => break,
        }
    }
    let part = parts.iter().find(|part| part.number == number).ok_or_else(invalid)?;
    let len = part.blob.as_ref().map_or(0, |blob| blob.size);
    Ok(Resolved { start: part.offset, len })
}

/// The headers that tell what the object is, with what the signer of the URL wants them to be.
fn describe(head: &mut ResponseHead, record: &wire::ObjectRecord, overrides: &ResponseOverrides) {
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
    if !record.version_id.is_empty() {
        set(head, "x-amz-version-id", &record.version_id);
    }
}
