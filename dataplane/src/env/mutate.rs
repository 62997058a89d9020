//! Changing: every mutation is one op id, decided by the authority, and what it leaves is known here at once.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::{self, Refusal, configure_bucket, mutation, mutation_result};
use holdfast_protocol::access::{
    AbortUpload, Action, BucketFacts, BucketTarget, CreateBucket, DeleteBucket, DeleteObject, Document,
    GetObject, Grant, InBucket, ObjectTarget, PutObject, WriteObjectAcl, WriteVersioning,
};
use holdfast_protocol::document::versioning::VersioningStatus;

use super::metadata::MetadataError;
use super::{Core, Env};
use crate::cache::{Cached, Known};
use crate::limits;
use crate::link::{Link as _, LinkError};
use crate::rt::Rt as _;

/// What a committed mutation left, with its sequence.
pub type Conditional = Result<(u64, wire::Committed), MetadataError>;

impl<E: Env> Core<E> {
    /// Makes an object current. `record` is what a lookup would answer now, but for what the authority stamps; it fills
    /// the caches, so that the next GET of this node asks nobody.
    pub async fn put(&self, grant: &Grant<PutObject>, op: OpId, put: wire::PutObject) -> Conditional {
        let mut record = wire::ObjectRecord {
            op_id: op.to_wire(),
            size: put.size,
            etag: put.etag.clone(),
            meta: put.meta.clone(),
            manifest: put.manifest.clone(),
            ..Default::default()
        };
        let done = self.on_object(grant, op, mutation::Op::Put(put)).await?;
        let target = grant.resource();
        record.bucket_id = target.bucket.bucket_id.0;
        record.key = target.key.clone().into_bytes();
        record.seq = done.0;
        record.modified_ms = done.1.modified_ms;
        record.version_id = done.1.version_id.clone();
        let writer_owns = record.meta.as_ref().is_some_and(|meta| meta.writer_owns);
        let writer = grant.sender().filter(|_| writer_owns).map(|key| key.tenant_id);
        record.tenant_id = writer.unwrap_or(target.bucket.tenant_id).0;
        self.learned(target, done.0, Known::Object(Arc::new(record)));
        Ok(done)
    }

    pub async fn delete(
        &self,
        grant: &Grant<DeleteObject>,
        op: OpId,
        delete: wire::DeleteObject,
    ) -> Conditional {
        let current = delete.version_id.is_empty();
        let done = self.on_object(grant, op, mutation::Op::Delete(delete)).await?;
        if current && done.0 > 0 {
            let marker = done.1.delete_marker.then(|| marker(grant.resource(), op, &done));
            let known = marker.map_or(Known::Absent, |marker| Known::Object(Arc::new(marker)));
            self.learned(grant.resource(), done.0, known);
        }
        Ok(done)
    }

    /// References move, bytes do not. The source's grant proves that it may be read.
    pub async fn copy(
        &self,
        source: &Grant<GetObject>,
        grant: &Grant<PutObject>,
        op: OpId,
        copy: wire::CopyObject,
    ) -> Conditional {
        let from = source.resource();
        let copy = wire::CopyObject {
            source_bucket_id: from.bucket.bucket_id.0,
            source_key: from.key.clone().into_bytes(),
            source_by_bucket: source.by_bucket(),
            source_bucket_revision: revision_of_decision(source),
            ..copy
        };
        let done = self.on_object(grant, op, mutation::Op::Copy(copy)).await?;
        self.learned_record(grant.resource(), &done);
        Ok(done)
    }

    pub async fn create_upload(
        &self,
        grant: &Grant<PutObject>,
        op: OpId,
        create: wire::CreateUpload,
    ) -> Conditional {
        self.on_object(grant, op, mutation::Op::CreateUpload(create)).await
    }

    pub async fn put_part(&self, grant: &Grant<PutObject>, op: OpId, part: wire::PutPart) -> Conditional {
        self.on_object(grant, op, mutation::Op::PutPart(part)).await
    }

    /// A whole object, or nothing but its reference, becomes a part.
    pub async fn copy_part(
        &self,
        source: &Grant<GetObject>,
        grant: &Grant<PutObject>,
        op: OpId,
        part: wire::CopyPart,
    ) -> Conditional {
        let from = source.resource();
        let part = wire::CopyPart {
            source_bucket_id: from.bucket.bucket_id.0,
            source_key: from.key.clone().into_bytes(),
            source_by_bucket: source.by_bucket(),
            source_bucket_revision: revision_of_decision(source),
            ..part
        };
        self.on_object(grant, op, mutation::Op::CopyPart(part)).await
    }

    pub async fn complete_upload(
        &self,
        grant: &Grant<PutObject>,
        op: OpId,
        complete: wire::CompleteUpload,
    ) -> Conditional {
        let done = self.on_object(grant, op, mutation::Op::CompleteUpload(complete)).await?;
        self.learned_record(grant.resource(), &done);
        Ok(done)
    }

    pub async fn abort_upload(&self, grant: &Grant<AbortUpload>, op: OpId, upload_id: &str) -> Conditional {
        let abort = wire::AbortUpload { upload_id: upload_id.to_owned() };
        self.on_object(grant, op, mutation::Op::AbortUpload(abort)).await
    }

    /// Exchanges the tags of a version; `A` is what the grant was for, setting them or removing them.
    pub async fn set_tags<A>(&self, grant: &Grant<A>, op: OpId, set: wire::SetTags) -> Conditional
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        self.on_object(grant, op, mutation::Op::SetTags(set)).await
    }

    pub async fn set_acl(&self, grant: &Grant<WriteObjectAcl>, op: OpId, set: wire::SetAcl) -> Conditional {
        self.on_object(grant, op, mutation::Op::SetAcl(set)).await
    }

    /// `documents`: what the bucket is told from its first moment on.
    pub async fn create_bucket(
        &self,
        grant: &Grant<CreateBucket>,
        op: OpId,
        region: String,
        documents: &[Document],
    ) -> Conditional {
        let mut documents: Vec<_> =
            documents.iter().map(Document::to_wire).filter(|document| !document.body.is_empty()).collect();
        documents.sort_by_key(|document| document.kind);
        let configuration = wire::BucketConfiguration { documents };
        let create = wire::CreateBucket {
            name: grant.resource().as_str().to_owned(),
            region,
            configuration: Some(configuration),
        };
        self.commit(grant, op, None, Bytes::new(), mutation::Op::CreateBucket(create)).await
    }

    pub async fn delete_bucket(&self, grant: &Grant<DeleteBucket>, op: OpId) -> Conditional {
        let bucket = &grant.resource().bucket;
        let delete = mutation::Op::DeleteBucket(wire::DeleteBucket {});
        self.commit(grant, op, Some(bucket), Bytes::new(), delete).await
    }

    /// Tells a bucket one document. When this returns, every node knows.
    pub async fn configure<A>(&self, grant: &Grant<A>, op: OpId, document: &Document) -> Conditional
    where
        A: InBucket<Resource = BucketTarget>,
    {
        self.change(grant, op, configure_bucket::Change::Document(document.to_wire())).await
    }

    pub async fn set_versioning(
        &self,
        grant: &Grant<WriteVersioning>,
        op: OpId,
        status: VersioningStatus,
    ) -> Conditional {
        let number = match status {
            VersioningStatus::Enabled => 1,
            VersioningStatus::Suspended => 2,
        };
        self.change(grant, op, configure_bucket::Change::Versioning(number)).await
    }

    async fn change<A>(&self, grant: &Grant<A>, op: OpId, change: configure_bucket::Change) -> Conditional
    where
        A: InBucket<Resource = BucketTarget>,
    {
        let bucket = &grant.resource().bucket;
        let configure = mutation::Op::ConfigureBucket(wire::ConfigureBucket { change: Some(change) });
        self.commit(grant, op, Some(bucket), Bytes::new(), configure).await
    }

    async fn on_object<A>(&self, grant: &Grant<A>, op: OpId, what: mutation::Op) -> Conditional
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        let target = grant.resource();
        self.commit(grant, op, Some(&target.bucket), target.key.clone().into_bytes(), what).await
    }

    /// Sends one mutation. A bucket whose configuration moved on is looked at again and tried under the same op id, unless
    /// that configuration was what decided.
    async fn commit<A: Action>(
        &self,
        grant: &Grant<A>,
        op: OpId,
        bucket: Option<&Arc<BucketFacts>>,
        key: Bytes,
        what: mutation::Op,
    ) -> Conditional {
        let sender = grant.sender();
        let mut mutation = wire::Mutation {
            op_id: op.to_wire(),
            retry: false,
            bucket_id: bucket.map_or(0, |bucket| bucket.bucket_id.0),
            bucket_revision: bucket.map_or(0, |bucket| bucket.revision),
            key,
            tenant_id: sender.map_or(0, |key| key.tenant_id.0),
            access_key_id: sender.map(|key| key.access_key_id.to_string()).unwrap_or_default(),
            by_bucket: grant.by_bucket(),
            op: Some(what),
        };
        for turn in 0u32.. {
            let result = match self.link.commit(mutation.clone()).await {
                // Nothing of this try; an earlier one may have been committed all the same.
                Err(LinkError::Unavailable(_)) if mutation.retry => {
                    return Err(LinkError::OutcomeUnknown(format!("{op:?}")).into());
                }
                result => result?,
            };
            let refused = match result.outcome {
                Some(mutation_result::Outcome::Committed(committed)) => {
                    if matches!(mutation.op, Some(mutation::Op::Put(_) | mutation::Op::PutPart(_))) {
                        self.state.ops.committed(op);
                    }
                    return Ok((result.seq, committed));
                }
                Some(mutation_result::Outcome::Refused(refused)) => refused,
                None => return Err(MetadataError::Protocol("a result without an outcome")),
            };
            if !refused.retryable || turn >= limits::COMMIT_RETRIES_MAX {
                return Err(MetadataError::Refused(refused));
            }
            E::Rt::sleep(limits::COMMIT_RETRY_PAUSE * (turn + 1)).await;
            if refused.reason() == Refusal::StaleRevision {
                let name = bucket.map(|bucket| bucket.name.clone());
                let now = name.and_then(|name| self.view().buckets.get(name.as_str()).cloned());
                if now.as_ref().is_some_and(|now| decides(now, &mutation)) {
                    return Err(MetadataError::Refused(refused));
                }
                mutation.bucket_revision = now.map_or(0, |bucket| bucket.revision);
            }
            mutation.retry = true;
        }
        unreachable!("the loop ends by its bound")
    }

    fn learned_record(&self, target: &ObjectTarget, done: &(u64, wire::Committed)) {
        if let Some(record) = &done.1.record {
            self.learned(target, done.0, Known::Object(Arc::new(record.clone())));
        }
    }

    /// The commit's own entry: as of its sequence nobody knows this key better.
    fn learned(&self, target: &ObjectTarget, seq: u64, known: Known) {
        self.keep(target.bucket.bucket_id.0, &target.key.clone().into_bytes(), &Cached { as_of: seq, known });
    }
}

/// The revision that the source's bucket must still have when it is copied; 0 where nothing of it was asked.
fn revision_of_decision(source: &Grant<GetObject>) -> u64 {
    let bucket = &source.resource().bucket;
    let has_policy = bucket.settings.as_ref().is_none_or(|settings| settings.policy.is_some());
    if source.by_bucket() || has_policy { bucket.revision } else { 0 }
}

/// Whether a mutation that was let pass under an earlier configuration must be asked about again under this one.
fn decides(now: &BucketFacts, mutation: &wire::Mutation) -> bool {
    let by_configuration =
        mutation.by_bucket || matches!(mutation.op, Some(mutation::Op::ConfigureBucket(_)));
    let copies_by_it =
        matches!(&mutation.op, Some(mutation::Op::Copy(copy)) if copy.source_bucket_revision > 0);
    by_configuration || copies_by_it || now.settings.as_ref().is_none_or(|settings| settings.policy.is_some())
}

/// The delete marker that a delete has left.
fn marker(target: &ObjectTarget, op: OpId, (seq, committed): &(u64, wire::Committed)) -> wire::ObjectRecord {
    let version_id = match committed.version_id.as_str() {
        wire::NULL_VERSION => "",
        id => id,
    };
    wire::ObjectRecord {
        bucket_id: target.bucket.bucket_id.0,
        key: target.key.clone().into_bytes(),
        seq: *seq,
        op_id: op.to_wire(),
        version_id: version_id.to_owned(),
        delete_marker: true,
        modified_ms: committed.modified_ms,
        tenant_id: target.bucket.tenant_id.0,
        ..Default::default()
    }
}
