//! Objects: written, deleted, copied, told tags and an ACL.

use bytes::Bytes;
use holdfast_common::wire::{
    self, Committed, CopyObject, CopyPart, DeleteObject, PutObject, Refusal, SetAcl, SetTags, version_shown,
};

use super::versions::{Content, Named};
use super::{Item, Step};
use crate::plan::{no_such_key, precondition, refuse};
use crate::store::bucket::{BucketRow, Versioning};
use crate::store::head::HeadRow;
use crate::store::version::{VersionRow, stored_id};

/// What a copy, of an object or to a part, says of where it reads.
pub(super) struct SourceName<'a> {
    bucket_id: u64,
    key: &'a Bytes,
    /// Empty: the current version.
    version_id: &'a str,
    when: Option<&'a wire::Precondition>,
    by_bucket: bool,
    bucket_revision: u64,
}

impl<'a> From<&'a CopyObject> for SourceName<'a> {
    fn from(copy: &'a CopyObject) -> Self {
        Self {
            bucket_id: copy.source_bucket_id,
            key: &copy.source_key,
            version_id: &copy.source_version_id,
            when: copy.source_when.as_ref(),
            by_bucket: copy.source_by_bucket,
            bucket_revision: copy.source_bucket_revision,
        }
    }
}

impl<'a> From<&'a CopyPart> for SourceName<'a> {
    fn from(copy: &'a CopyPart) -> Self {
        Self {
            bucket_id: copy.source_bucket_id,
            key: &copy.source_key,
            version_id: &copy.source_version_id,
            when: copy.source_when.as_ref(),
            by_bucket: copy.source_by_bucket,
            bucket_revision: copy.source_bucket_revision,
        }
    }
}

/// Where a copy reads from.
pub(super) struct Source<'a> {
    pub(super) object: &'a HeadRow,
    /// As its bucket shows it; empty: not at all.
    pub(super) version_id: String,
}

fn shown(version_id: &str, bucket: &BucketRow) -> String {
    version_shown(version_id, bucket.versioning.number()).unwrap_or_default().to_owned()
}

impl<'a> Item<'a> {
    pub(super) fn put(&mut self, put: &PutObject) -> Step<Committed> {
        let bucket = match put.recovered {
            true => self.bucket_of_lost()?,
            false => self.bucket()?,
        };
        precondition::check(put.when.as_ref(), &self.mutation.key, self.head())?;
        let manifest = put.manifest.clone().unwrap_or_default();
        for blob in manifest.parts.iter().filter_map(|part| part.blob.as_ref()) {
            self.writes.repair_if_thin(blob);
        }
        let content = Content {
            size: put.size,
            etag: put.etag.clone(),
            manifest,
            meta: put.meta.clone().unwrap_or_default(),
            writer: self.mutation.tenant_id,
        };
        let row = self.make_current(bucket, content);
        Ok(Committed {
            version_id: row.version_id,
            modified_ms: row.modified_ms,
            bucket_id: row.bucket_id,
            existed: false,
            ..Default::default()
        })
    }

    /// The bucket of a row that was lost, if nothing newer stands in its place. Whoever wrote it was let in then.
    fn bucket_of_lost(&self) -> Step<&'a BucketRow> {
        let bucket = self.facts.buckets.get(&self.mutation.bucket_id);
        let bucket = bucket.ok_or_else(|| refuse(Refusal::NoSuchBucket, "the bucket does not exist"))?;
        let (op_id, written_ms) = (self.op_id.uuid(), self.op_id.unix_ms());
        let newer = |head: &HeadRow| (head.modified_ms, head.op_id) > (written_ms, op_id);
        if self.head().is_some_and(newer) {
            return Err(refuse(Refusal::PreconditionFailed, "the key was written since"));
        }
        Ok(bucket)
    }

    pub(super) fn delete(&mut self, delete: &DeleteObject) -> Step<Committed> {
        let bucket = self.bucket()?;
        precondition::check(delete.when.as_ref(), &self.mutation.key, self.head())?;
        let committed = Committed { bucket_id: bucket.id, ..Default::default() };
        if !delete.version_id.is_empty() {
            return Ok(self.delete_version(&delete.version_id, committed));
        }
        let existed = self.head().is_some();
        if bucket.versioning == Versioning::Never {
            if let Some(head) = self.head() {
                self.remove(&Named::Head(head));
            }
            return Ok(Committed { existed, ..committed });
        }
        let marker = self.mark_deleted(bucket);
        Ok(Committed {
            version_id: shown(&marker.version_id, bucket),
            modified_ms: marker.modified_ms,
            delete_marker: true,
            existed,
            ..committed
        })
    }

    fn delete_version(&mut self, name: &str, committed: Committed) -> Committed {
        let version = self.named(stored_id(name));
        if let Some(version) = &version {
            self.remove(version);
        }
        Committed {
            version_id: name.to_owned(),
            delete_marker: matches!(version, Some(Named::Older(row)) if row.delete_marker),
            existed: version.is_some(),
            ..committed
        }
    }

    pub(super) fn source(&self, named: &SourceName<'_>) -> Step<Source<'a>> {
        let bucket = self.facts.buckets.get(&named.bucket_id);
        let bucket =
            bucket.ok_or_else(|| refuse(Refusal::NoSuchBucket, "the source's bucket does not exist"))?;
        self.may_enter(bucket, named.by_bucket, named.bucket_revision)?;
        let object = self.source_version(named.bucket_id, named.key, named.version_id)?;
        named.when.map_or(Ok(()), |when| precondition::check_source(when, object))?;
        Ok(Source { object, version_id: shown(&object.version_id, bucket) })
    }

    fn source_version(&self, bucket_id: u64, key: &Bytes, version: &str) -> Step<&'a HeadRow> {
        let head = self.head_of(bucket_id, key);
        if version.is_empty() {
            return head.ok_or_else(|| no_such_key(key, "the source does not exist"));
        }
        let id = stored_id(version);
        if let Some(head) = head.filter(|head| head.version_id == id) {
            return Ok(head);
        }
        let rows = self.facts.versions.get(&(bucket_id, key.clone())).map_or(&[][..], Vec::as_slice);
        match rows.iter().find(|row| row.object.version_id == id) {
            Some(VersionRow { object, delete_marker: false }) => Ok(object),
            Some(_) => Err(refuse(
                Refusal::InvalidRequest,
                "The source of a copy request may not specifically refer to a delete marker by version id.",
            )),
            None => Err(refuse(Refusal::NoSuchVersion, "the source's version does not exist")),
        }
    }

    pub(super) fn copy(&mut self, copy: &CopyObject) -> Step<Committed> {
        let bucket = self.bucket()?;
        let Source { object: source, version_id: copy_source_version_id } = self.source(&copy.into())?;
        precondition::check(copy.when.as_ref(), &self.mutation.key, self.head())?;
        let said = copy.meta.clone().unwrap_or_default();
        let mut meta = if copy.replace_meta { said.clone() } else { source.meta.clone() };
        meta.tags = if copy.replace_tags { said.tags } else { source.meta.tags.clone() };
        // These say nothing of the copy (AWS).
        meta.storage_class = said.storage_class;
        meta.website_redirect = said.website_redirect;
        meta.acl = said.acl;
        meta.writer_owns = said.writer_owns;
        if !copy.source_op_id.is_empty() && copy.source_op_id != source.op_id.as_bytes()[..] {
            return Err(refuse(Refusal::ConditionalConflict, "the source was overwritten meanwhile"));
        }
        // The bytes are the same, so are their checksums.
        meta.checksums = match copy.replace_checksums && !copy.source_op_id.is_empty() {
            true => said.checksums,
            false => source.meta.checksums.clone(),
        };
        self.writes.share(&source.manifest);
        let content = Content {
            size: source.size,
            etag: source.etag.clone(),
            manifest: source.manifest.clone(),
            meta,
            writer: self.mutation.tenant_id,
        };
        let row = self.make_current(bucket, content);
        Ok(Committed {
            version_id: row.version_id.clone(),
            modified_ms: row.modified_ms,
            bucket_id: self.mutation.bucket_id,
            record: Some(row.into_record()),
            copy_source_version_id,
            ..Default::default()
        })
    }

    pub(super) fn set_tags(&mut self, set: &SetTags) -> Step<Committed> {
        self.edit(&set.version_id, |meta| meta.tags.clone_from(&set.tags))
    }

    pub(super) fn set_acl(&mut self, set: &SetAcl) -> Step<Committed> {
        self.edit(&set.version_id, |meta| meta.acl.clone_from(&set.acl))
    }

    /// The version as it is, but for what is changed of its metadata.
    fn edit(&mut self, version_id: &str, change: impl FnOnce(&mut wire::ObjectMeta)) -> Step<Committed> {
        let bucket = self.bucket()?;
        let version = match version_id {
            "" => self.head().map(Named::Head),
            name => self.named(stored_id(name)),
        };
        let (mut object, is_head) = match version {
            Some(Named::Head(head)) => (head.clone(), true),
            Some(Named::Older(row)) if !row.delete_marker => (row.object.clone(), false),
            Some(Named::Older(_)) => {
                return Err(refuse(Refusal::MethodNotAllowed, "the version is a delete marker"));
            }
            None if version_id.is_empty() && self.newest_older().is_some() => {
                return Err(refuse(Refusal::MethodNotAllowed, "the current version is a delete marker"));
            }
            None if version_id.is_empty() => {
                return Err(refuse(Refusal::NoSuchKey, "the object does not exist"));
            }
            None => return Err(refuse(Refusal::NoSuchVersion, "the version does not exist")),
        };
        change(&mut object.meta);
        let committed = Committed {
            version_id: shown(&object.version_id, bucket),
            modified_ms: object.modified_ms,
            bucket_id: bucket.id,
            existed: true,
            ..Default::default()
        };
        if is_head {
            self.writes.heads.push(object);
        } else {
            self.writes.versions.push(VersionRow { object, delete_marker: false });
        }
        Ok(committed)
    }
}
