//! Looks at a mutation before it enters a batch: what is malformed here can fail nobody else's commit.

use holdfast_common::id::OpId;
use holdfast_common::wire::{
    Blob, BucketDocument, Manifest, Mutation, ObjectMeta, Part, Refusal, Refused, bucket_document,
    configure_bucket::Change, mutation::Op,
};
use prost::Message as _;

use crate::limits::{
    DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX, OBJECT_BYTES_MAX, OP_AGE_MS_MAX,
    PARTS_MAX, ROW_BLOB_BYTES_MAX, STALE_READS_MS_MAX,
};
use crate::plan::refuse;
use crate::store::bucket::Versioning;

/// Checks shape and bounds; returns the op id.
pub fn validate(mutation: &Mutation, now_ms: u64) -> Result<OpId, Refused> {
    let Some(op_id) = OpId::from_wire(&mutation.op_id) else {
        return Err(malformed("the op id is not a UUIDv7"));
    };
    if op_id.unix_ms() + OP_AGE_MS_MAX < now_ms {
        return Err(refuse(Refusal::OpTooOld, "the op id is older than the changelog reaches"));
    }
    if i64::try_from(mutation.bucket_id).is_err() || i64::try_from(mutation.tenant_id).is_err() {
        return Err(malformed("a number is out of range"));
    }
    let Some(op) = &mutation.op else { return Err(malformed("a mutation without an operation")) };
    if !matches!(op, Op::CreateBucket(_) | Op::DeleteBucket(_) | Op::ConfigureBucket(_)) {
        key(&mutation.key)?;
    }
    if mutation.by_bucket && matches!(op, Op::CreateBucket(_) | Op::DeleteBucket(_)) {
        return Err(refuse(Refusal::AccessDenied, "buckets are made and deleted by their own tenant"));
    }
    match op {
        Op::Put(put) => {
            text(&put.etag)?;
            size(put.size)?;
            meta(put.meta.as_ref())?;
            manifest(put.manifest.as_ref(), put.size, op_id)?;
        }
        Op::Delete(delete) => text(&delete.version_id)?,
        Op::AbortUpload(_) | Op::DeleteBucket(_) => {}
        Op::SetTags(set) => {
            text(&set.version_id)?;
            meta(Some(&ObjectMeta { tags: set.tags.clone(), ..Default::default() }))?;
        }
        Op::SetAcl(set) => {
            text(&set.version_id)?;
            text(&set.acl)?;
        }
        Op::Copy(copy) => {
            key(&copy.source_key)?;
            text(&copy.source_version_id)?;
            meta(copy.meta.as_ref())?;
            if i64::try_from(copy.source_bucket_id).is_err() {
                return Err(malformed("a number is out of range"));
            }
        }
        Op::CreateUpload(create) => meta(create.meta.as_ref())?,
        Op::PutPart(put) => part(put.part.as_ref(), op_id)?,
        Op::CopyPart(copy) => {
            key(&copy.source_key)?;
            text(&copy.source_version_id)?;
            part_number(copy.number)?;
            if i64::try_from(copy.source_bucket_id).is_err() {
                return Err(malformed("a number is out of range"));
            }
            if copy.part.is_some() {
                part(copy.part.as_ref(), op_id)?;
            }
        }
        Op::CompleteUpload(complete)
            if complete.parts.is_empty() || complete.parts.len() > PARTS_MAX as usize =>
        {
            return Err(refuse(Refusal::InvalidRequest, "an upload is completed with 1 to 10,000 parts"));
        }
        Op::CompleteUpload(_) => {}
        Op::CreateBucket(create) => {
            text(&create.name)?;
            text(&create.region)?;
            if create.name.is_empty() || create.name.len() > NAME_BYTES_MAX {
                return Err(malformed("a bucket name out of bounds"));
            }
            let documents = create.configuration.as_ref().map_or(&[][..], |given| &given.documents);
            if documents.len() > DOCUMENTS_MAX {
                return Err(malformed("too many documents for a bucket"));
            }
            documents.iter().try_for_each(document)?;
        }
        Op::ConfigureBucket(configure) => match &configure.change {
            Some(Change::Versioning(state)) => versioning(*state)?,
            Some(Change::Document(given)) => document(given)?,
            Some(Change::StaleReadsMs(ms)) if *ms > STALE_READS_MS_MAX => {
                return Err(malformed("stale reads out of bounds"));
            }
            Some(Change::StaleReadsMs(_)) => {}
            None => return Err(malformed("a bucket is told nothing")),
        },
    }
    Ok(op_id)
}

/// A bucket that was versioned once is never again one that was not.
fn versioning(state: u32) -> Result<(), Refused> {
    match Versioning::of(state) {
        Some(Versioning::Enabled | Versioning::Suspended) => Ok(()),
        Some(Versioning::Never) | None => Err(malformed("no state of versioning that could be set")),
    }
}

fn document(document: &BucketDocument) -> Result<(), Refused> {
    let known = bucket_document::Kind::try_from(document.kind)
        .is_ok_and(|kind| kind != bucket_document::Kind::Unspecified);
    if known && document.body.len() <= DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    Err(malformed("a document of a bucket of no known kind, or out of bounds"))
}

fn malformed(detail: &str) -> Refused {
    refuse(Refusal::Malformed, detail)
}

fn key(key: &[u8]) -> Result<(), Refused> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains(&0) || std::str::from_utf8(key).is_err() {
        return Err(malformed("a key is 1 to 1024 bytes of UTF-8 without NUL"));
    }
    Ok(())
}

/// PostgreSQL's text cannot hold NUL.
fn text(text: &str) -> Result<(), Refused> {
    if text.len() > KEY_BYTES_MAX || text.contains('\0') {
        Err(malformed("a text out of bounds"))
    } else {
        Ok(())
    }
}

fn size(bytes: u64) -> Result<(), Refused> {
    if bytes > OBJECT_BYTES_MAX {
        Err(refuse(Refusal::EntityTooLarge, "an object has at most 5 TiB"))
    } else {
        Ok(())
    }
}

fn meta(meta: Option<&ObjectMeta>) -> Result<(), Refused> {
    if meta.is_some_and(|meta| meta.encoded_len() > ROW_BLOB_BYTES_MAX) {
        return Err(malformed("the metadata is too large"));
    }
    Ok(())
}

fn part_number(number: u32) -> Result<(), Refused> {
    if (1..=PARTS_MAX).contains(&number) {
        return Ok(());
    }
    Err(refuse(Refusal::InvalidRequest, "a part number is 1 to 10,000"))
}

fn part(part: Option<&Part>, op_id: OpId) -> Result<(), Refused> {
    let Some(part) = part else { return Err(malformed("a part without its description")) };
    part_number(part.number)?;
    if part.md5.len() != 16 || part.encoded_len() > ROW_BLOB_BYTES_MAX {
        return Err(malformed("a part out of bounds"));
    }
    part.blob.as_ref().map_or(Ok(()), |written| blob(written, op_id))
}

fn manifest(manifest: Option<&Manifest>, object_bytes: u64, op_id: OpId) -> Result<(), Refused> {
    let Some(manifest) = manifest else {
        return if object_bytes == 0 { Ok(()) } else { Err(malformed("an object without a manifest")) };
    };
    if manifest.encoded_len() > ROW_BLOB_BYTES_MAX || !manifest.pages_of.is_empty() {
        return Err(malformed("a manifest out of bounds"));
    }
    let mut bytes = 0u64;
    for blob_ in manifest.parts.iter().filter_map(|part| part.blob.as_ref()) {
        blob(blob_, op_id)?;
        bytes += blob_.size;
    }
    if bytes == object_bytes { Ok(()) } else { Err(malformed("the manifest's bytes are not the object's")) }
}

/// The reaper asks by a blob's name whether its mutation was committed, so the two are one.
fn blob(blob: &Blob, op_id: OpId) -> Result<(), Refused> {
    size(blob.size)?;
    if blob.op_id != op_id.0.as_slice() {
        return Err(malformed("a blob's name is not the op id of the mutation that commits it"));
    }
    Ok(())
}
