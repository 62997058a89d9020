//! CopyObject: the copy shares the source's bytes; source and target are decided in one transaction.

use holdfast_common::wire;
use holdfast_protocol::access;
use holdfast_protocol::error::S3Error;
use holdfast_protocol::operation::{CopyObjectInput, CopySource};
use holdfast_protocol::xml::{CopyKind, write_copy};

use super::call::{Call, Seen, set};
use crate::env::Env;
use crate::server::Response;

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: CopyObjectInput) -> Result<Response, S3Error> {
    let target = call.on_object::<access::PutObject>().await?;
    call.may_adorn(input.replace_tags && !input.meta.tags.is_empty(), input.acl.is_some()).await?;
    let acl = call.admit_object_acl(&target.resource().bucket, input.acl.as_ref())?;
    let source = source_seen(call, &input.source).await?.grant;
    if input.checksum_algorithm.is_some() {
        return Err(S3Error::not_implemented(
            "Computing another checksum while copying (x-amz-checksum-algorithm)",
        ));
    }
    let op = call.core.op_begin();
    let copy = wire::CopyObject {
        source_when: Some(input.source.when),
        when: Some(input.when),
        meta: Some(wire::ObjectMeta { acl, ..input.meta }),
        replace_meta: input.replace_meta,
        replace_tags: input.replace_tags,
        source_version_id: input.source.version.named().unwrap_or_default().to_owned(),
        ..Default::default()
    };
    let (_, committed) = call.core.copy(&source, &target, op.id(), copy).await?;
    let record = committed.record.unwrap_or_default();
    let checksums = record.meta.as_ref().map(|meta| &*meta.checksums).unwrap_or_default();
    let part_count = record.manifest.as_ref().map_or(0, |manifest| manifest.part_count);
    let body = write_copy(CopyKind::Object, &record.etag, committed.modified_ms, checksums, part_count);
    let mut head = call.answer_head(200);
    set(&mut head, "Content-Type", "application/xml");
    if !committed.version_id.is_empty() {
        set(&mut head, "x-amz-version-id", &committed.version_id);
    }
    if !committed.copy_source_version_id.is_empty() {
        set(&mut head, "x-amz-copy-source-version-id", &committed.copy_source_version_id);
    }
    Ok(Response::bytes(head, body))
}

/// The source is authorised as a read of exactly that version.
pub(super) async fn source_seen<E: Env>(
    call: &Call<'_, E>,
    source: &CopySource,
) -> Result<Seen<access::GetObject>, S3Error> {
    if let Some(expected) = &source.expected_bucket_owner {
        call.check_owner(expected, &source.bucket)?;
    }
    call.on::<access::GetObject>(&source.bucket, source.key.clone(), &source.version).await
}
