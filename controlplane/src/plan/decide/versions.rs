//! What a write and a delete do to the versions of their key, by the bucket's versioning (`store/version` says which row
//! is where).

use holdfast_common::id::OpId;
use holdfast_common::wire;

use super::Item;
use crate::store::bucket::{BucketRow, Versioning};
use crate::store::head::HeadRow;
use crate::store::version::VersionRow;

/// What a version has that its write brings along; the authority stamps the rest.
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) manifest: wire::Manifest,
    pub(super) meta: wire::ObjectMeta,
    /// The tenant of whoever wrote it; 0: nobody signed.
    pub(super) writer: u64,
}

/// The id of what an operation writes into a versioned bucket: the operation's, which nothing else ever has. 32 hex digits.
#[must_use]
pub(super) fn version_id(op_id: OpId) -> String {
    op_id.uuid().simple().to_string()
}

/// A version that was named, and where it stands.
pub(super) enum Named<'a> {
    Head(&'a HeadRow),
    Older(&'a VersionRow),
}

impl<'a> Item<'a> {
    /// Makes a new version current. What was current before stays as an older version or, when it is overwritten, goes.
    pub(super) fn make_current(&mut self, bucket: &BucketRow, content: Content) -> HeadRow {
        let row = self.new_row(bucket, content);
        self.make_way(bucket.versioning);
        if let Some(null) = self.null_that_goes(bucket.versioning) {
            self.remove_older(null);
        }
        self.writes.heads.push(row.clone());
        row
    }

    /// Makes a delete marker current. The null version is replaced by one of its name, in its row.
    pub(super) fn mark_deleted(&mut self, bucket: &BucketRow) -> HeadRow {
        let nothing = Content {
            size: 0,
            etag: String::new(),
            manifest: wire::Manifest::default(),
            meta: wire::ObjectMeta::default(),
            writer: 0,
        };
        let marker = self.new_row(bucket, nothing);
        self.make_way(bucket.versioning);
        if let Some(null) = self.null_that_goes(bucket.versioning) {
            self.writes.drop_manifest(&null.object.manifest);
        }
        if self.head().is_some() {
            self.writes.heads_gone.push((marker.bucket_id, marker.key.clone()));
        }
        self.writes.versions.push(VersionRow { object: marker.clone(), delete_marker: true });
        marker
    }

    fn new_row(&self, bucket: &BucketRow, content: Content) -> HeadRow {
        HeadRow {
            bucket_id: bucket.id,
            key: self.mutation.key.clone(),
            seq: self.stamp.seq,
            op_id: self.op_id.uuid(),
            version_id: match bucket.versioning {
                Versioning::Enabled => version_id(self.op_id),
                Versioning::Never | Versioning::Suspended => String::new(),
            },
            size: content.size,
            // Last-Modified never goes back, whatever the clocks of two leaders say.
            modified_ms: self.stamp.now_ms.max(self.head().map_or(0, |old| old.modified_ms)),
            etag: content.etag,
            tenant_id: if content.meta.writer_owns && content.writer != 0 {
                content.writer
            } else {
                bucket.tenant_id
            },
            manifest: content.manifest,
            meta: content.meta,
        }
    }

    /// The head is about to be another, or none.
    fn make_way(&mut self, versioning: Versioning) {
        let Some(head) = self.head() else { return };
        let stays = match versioning {
            Versioning::Never => false,
            Versioning::Enabled => true,
            Versioning::Suspended => !head.version_id.is_empty(),
        };
        if stays {
            self.writes.versions.push(VersionRow { object: head.clone(), delete_marker: false });
        } else {
            self.writes.drop_manifest(&head.manifest);
        }
    }

    /// The null version that is not current and that a null version is about to replace.
    fn null_that_goes(&self, versioning: Versioning) -> Option<&'a VersionRow> {
        self.older("").filter(|_| versioning == Versioning::Suspended)
    }

    fn rows(&self) -> &'a [VersionRow] {
        let key = (self.mutation.bucket_id, self.mutation.key.clone());
        self.facts.versions.get(&key).map_or(&[], Vec::as_slice)
    }

    fn older(&self, stored_id: &str) -> Option<&'a VersionRow> {
        self.rows().iter().find(|row| row.object.version_id == stored_id)
    }

    /// The newest row of `version`: what is current if there is no head, a delete marker then.
    pub(super) fn newest_older(&self) -> Option<&'a VersionRow> {
        self.rows().iter().max_by_key(|row| row.object.seq)
    }

    pub(super) fn named(&self, stored_id: &str) -> Option<Named<'a>> {
        let head = self.head().filter(|head| head.version_id == stored_id);
        head.map(Named::Head).or_else(|| self.older(stored_id).map(Named::Older))
    }

    /// Removes exactly this version. When it was the newest, the next one becomes current.
    pub(super) fn remove(&mut self, version: &Named<'a>) {
        match version {
            Named::Head(head) => {
                self.writes.drop_manifest(&head.manifest);
                if !self.promote(self.newest_older()) {
                    self.writes.heads_gone.push((head.bucket_id, head.key.clone()));
                }
            }
            Named::Older(row) => {
                self.remove_older(row);
                let was_current = self.head().is_none()
                    && self.newest_older().is_some_and(|newest| newest.object.seq == row.object.seq);
                if was_current {
                    let others = self.rows().iter().filter(|other| other.object.seq != row.object.seq);
                    self.promote(others.max_by_key(|other| other.object.seq));
                }
            }
        }
    }

    fn remove_older(&mut self, row: &VersionRow) {
        self.writes.drop_manifest(&row.object.manifest);
        self.leave_versions(row);
    }

    fn leave_versions(&mut self, row: &VersionRow) {
        let object = &row.object;
        self.writes.versions_gone.push((object.bucket_id, object.key.clone(), object.version_id.clone()));
    }

    /// An object becomes the head again. A delete marker, which is current too, stays where it is.
    fn promote(&mut self, next: Option<&VersionRow>) -> bool {
        let Some(next) = next.filter(|next| !next.delete_marker) else { return false };
        self.leave_versions(next);
        self.writes.heads.push(next.object.clone());
        true
    }
}
