//! CopyObject: the copy shares the source's bytes; source and target are decided in one transaction.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::wire::{self, checksum::Kind};
use holdfast_protocol::access::{self, BucketFacts};
use holdfast_protocol::digest::{BodyDigests, ChecksumAlgorithm, ChecksumSet, DigestPlan};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::{CopyObjectInput, CopySource, VersionSelector};
use holdfast_protocol::range::Resolved;
use holdfast_protocol::xml::{CopyKind, write_copy};

use super::ask::{Seen, settings_of};
use super::call::{Call, set};
use super::get_object::existing;
use super::object_stream::ObjectStream;
use crate::env::Env;
use crate::server::{Response, StreamError};

pub(super) async fn run<E: Env>(call: &Call<'_, E>, input: CopyObjectInput) -> Result<Response, S3Error> {
    let target = call.on_object::<access::PutObject>().await?;
    call.may_adorn(input.replace_tags && !input.meta.tags.is_empty(), input.acl.is_some()).await?;
    let meta = call.own(&target.resource().bucket, input.acl.as_ref(), input.meta)?;
    call.may_compare(call.object_key(), &input.when).await?;
    let from = input.source.as_of(call.context.received_ms);
    let mut seen = source_seen(call, &from).await?;
    if !input.replace_tags {
        may_take_tags(call, &mut seen, &target, &from).await?;
    }
    let looked_at = seen.op_id();
    let (source, summed) = match input.checksum_algorithm {
        None => (seen.grant, None),
        Some(algorithm) => {
            let (grant, record) = seen.with_record(call, &from.version).await?;
            let grant = Rc::new(grant);
            let record = source_record(call, &grant, record, &from.version)?;
            let summed = summed(call, &grant, record, algorithm).await?;
            (Rc::into_inner(grant).expect("its stream has ended"), Some(summed))
        }
    };
    let replace_checksums = summed.is_some();
    let (source_op_id, checksums) = summed.unwrap_or((looked_at, Vec::new()));
    let op = call.core.op_begin();
    let copy = wire::CopyObject {
        source_when: Some(from.when),
        source_op_id,
        replace_checksums,
        when: Some(input.when),
        meta: Some(wire::ObjectMeta { checksums, ..meta }),
        replace_meta: input.replace_meta,
        replace_tags: input.replace_tags,
        source_version_id: from.version.named().unwrap_or_default().to_owned(),
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

/// The source's tags come along only for who may read them there and set them here, where policies tell that apart.
async fn may_take_tags<E: Env>(
    call: &Call<'_, E>,
    seen: &mut Seen<access::GetObject>,
    target: &access::Grant<access::PutObject>,
    from: &CopySource,
) -> Result<(), S3Error> {
    let has_policy =
        |bucket: &BucketFacts| settings_of(bucket).map_or(true, |settings| settings.policy.is_some());
    let (source, target) = (&seen.grant, target);
    let by_key = !source.by_bucket() && !target.by_bucket();
    if by_key && !has_policy(&source.resource().bucket) && !has_policy(&target.resource().bucket) {
        return Ok(());
    }
    let record = seen.look(call, &from.version).await?;
    if record.as_ref().and_then(|record| record.meta.as_ref()).is_some_and(|meta| !meta.tags.is_empty()) {
        call.on::<access::ReadObjectTags>(&from.bucket, from.key.clone(), &from.version).await?;
        call.may_tag_new().await?;
    }
    Ok(())
}

/// The checksum that the copy shall have, of the bytes of the operation that is named beside it: where the source does not
/// keep it, this node reads it through.
async fn summed<E: Env>(
    call: &Call<'_, E>,
    grant: &Rc<access::Grant<access::GetObject>>,
    record: Arc<wire::ObjectRecord>,
    algorithm: ChecksumAlgorithm,
) -> Result<(Bytes, Vec<wire::Checksum>), S3Error> {
    let op_id = record.op_id.clone();
    let kept = record.meta.iter().flat_map(|meta| &meta.checksums);
    let kept =
        kept.filter(|sum| sum.kind() == Kind::FullObject).find(|sum| sum.algorithm() == algorithm.to_wire());
    if let Some(kept) = kept {
        return Ok((op_id, vec![kept.clone()]));
    }
    let plan = DigestPlan { checksums: ChecksumSet::default().with(algorithm), ..DigestPlan::default() };
    let mut digests = BodyDigests::new(plan);
    let _share = call.budget.take::<E::Rt>(Some(record.size)).await?;
    let (span, pins) = (Resolved::whole(record.size), call.core.pin(record.manifest.as_ref()));
    let mut stream = ObjectStream::new(call.core.clone(), grant.clone(), record, span, pins);
    while let Some(chunk) = stream.step().await.map_err(|StreamError| S3Error::new(Code::InternalError))? {
        digests.update(&chunk);
    }
    Ok((op_id, digests.finish().to_wire()))
}

/// The source as it is: a delete marker that is named is none, and said to be so in words of its own.
pub(super) fn source_record<E: Env>(
    call: &Call<'_, E>,
    source: &access::Grant<access::GetObject>,
    record: Option<Arc<wire::ObjectRecord>>,
    version: &VersionSelector,
) -> Result<Arc<wire::ObjectRecord>, S3Error> {
    if version.named().is_some() && record.as_ref().is_some_and(|record| record.delete_marker) {
        return Err(S3Error::new(Code::InvalidRequest).message(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ));
    }
    existing(call, source.resource(), record, version)
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
