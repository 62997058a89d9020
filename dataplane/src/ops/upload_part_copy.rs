//! UploadPartCopy: this node reads the range and writes it as a blob of the upload's own, so that every part is one blob with
//! its own MD5, whatever the source was made of.

use std::rc::Rc;

use holdfast_common::wire::{self, checksum::Kind};
use holdfast_protocol::access;
use holdfast_protocol::digest::BodyDigests;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::limits::PART_BYTES_MAX;
use holdfast_protocol::operation::{PartChecksums, UploadPartCopyInput};
use holdfast_protocol::precondition::Verdict;
use holdfast_protocol::range::Resolved;
use holdfast_protocol::xml::{CopyKind, write_copy};

use super::call::Call;
use super::copy_object::{source_record, source_seen};
use super::object_stream::ObjectStream;
use super::receive::{etag_md5, write_from};
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: UploadPartCopyInput) -> Result<Response, S3Error> {
    let target = call.on_object::<access::PutObject>().await?;
    let from = input.source.as_of(call.context.received_ms);
    let version = &from.version;
    let seen = source_seen(call, &from).await?;
    let (source, record) = seen.with_record(call, version).await?;
    let source = Rc::new(source);
    let upload_id = input.upload.upload_id;
    let upload = call.core.upload(&target, &upload_id).await?;
    let upload = upload.ok_or_else(|| S3Error::new(Code::NoSuchUpload).with("UploadId", &upload_id))?;
    let bucket = &source.resource().bucket;
    let record = source_record(call, &source, record, version)?;
    let source_version = wire::version_shown(&record.version_id, bucket.versioning).map(str::to_owned);
    let pins = call.core.pin(record.manifest.as_ref());
    match from.conditions.evaluate_copy_source(&record.etag, record.modified_ms) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Err(S3Error::new(Code::PreconditionFailed)),
        Verdict::Failed { condition } => {
            return Err(S3Error::new(Code::PreconditionFailed).with("Condition", condition));
        }
    }
    let span = match input.range {
        None => Resolved::whole(record.size),
        Some(range) => {
            range.resolve_copy_source(record.size).map_err(|error| error.refusal(&range.to_string()))?
        }
    };
    if span.len > PART_BYTES_MAX {
        return Err(S3Error::new(Code::InvalidRequest).message(format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {PART_BYTES_MAX}"
        )));
    }
    let sums = PartChecksums::of_copy(&upload);
    let mut digests = BodyDigests::new(sums.plan());
    let op = call.core.op_begin();
    let stream = ObjectStream::new(call.core.clone(), source.clone(), record, span, pins);
    let written = write_from(call, &target, op.id(), span.len, stream, &mut digests).await?;
    let digests = digests.finish();
    let part = written.part(input.part_number, &digests);
    let put = wire::PutPart { upload_id, part: Some(part) };
    let committed = match call.core.put_part(&target, op.id(), put).await {
        Ok((_, committed)) => committed,
        Err(error) => return Err(written.not_committed(call, error)),
    };
    let shown = sums.shown(&digests).map(|value| value.to_wire(Kind::FullObject));
    let etag = hex::encode(etag_md5(&digests));
    let mut answer = call.xml(write_copy(CopyKind::Part, &etag, committed.modified_ms, shown.as_slice(), 0));
    if let Some(id) = source_version {
        answer.header("x-amz-copy-source-version-id", &id);
    }
    Ok(answer)
}
