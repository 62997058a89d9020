//! CompleteMultipartUpload: references move in one commit, bytes do not.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::limits::COMPLETE_BODY_BYTES_MAX;
use holdfast_protocol::operation::CompleteInput;
use holdfast_protocol::xml::{Assembled, read_complete_upload, write_complete_upload};

use super::call::{Call, set};
use super::intake::{Intake, control_body};
use crate::env::Env;
use crate::rt::Conn;
use crate::server::Response;

pub(super) async fn run<E: Env, C: Conn>(
    call: &Call<'_, E>,
    input: CompleteInput,
    intake: Intake<'_, '_, C>,
) -> Result<Response, S3Error> {
    let grant = call.on_object::<access::PutObject>().await?;
    call.may_compare(call.object_key(), &input.when).await?;
    let bytes = input.body.size.unwrap_or(COMPLETE_BODY_BYTES_MAX as u64);
    let _share = call.budget.take::<E::Rt>(Some(bytes)).await?;
    let body = control_body(intake, input.body.clone(), COMPLETE_BODY_BYTES_MAX).await?;
    let parts = read_complete_upload(&body)?.parts;
    let upload = call.core.upload(&grant, &input.upload.upload_id).await?;
    let expected = input.expected_of(upload.as_ref(), &parts)?;
    let complete = wire::CompleteUpload {
        upload_id: input.upload.upload_id,
        parts,
        when: Some(input.when),
        expected,
        expected_size: input.object_size.unwrap_or(0),
        has_expected_size: input.object_size.is_some(),
    };
    let op = call.core.op_begin();
    let (_, committed) = call.core.complete_upload(&grant, op.id(), complete).await?;
    let record = committed.record.unwrap_or_default();
    let target = grant.resource();
    let location = call.url();
    let body = write_complete_upload(Assembled {
        location: &location,
        bucket: target.bucket.name.as_str(),
        key: target.key.as_str(),
        etag: &record.etag,
        checksums: record.meta.as_ref().map(|meta| &*meta.checksums).unwrap_or_default(),
        part_count: record.manifest.as_ref().map_or(0, |manifest| manifest.part_count),
    });
    let mut head = call.answer_head(200);
    set(&mut head, "Content-Type", "application/xml");
    if !committed.version_id.is_empty() {
        set(&mut head, "x-amz-version-id", &committed.version_id);
    }
    Ok(Response::bytes(head, body))
}
