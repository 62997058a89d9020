//! What a batch wants written, gathered from its items and carried out by a few UNNEST statements.

use std::collections::HashMap;

use holdfast_common::wire;
use uuid::Uuid;

use crate::plan::redundancy;
use crate::store::bucket::BucketRow;
use crate::store::changelog::Kind;
use crate::store::head::HeadRow;
use crate::store::upload::UploadRow;
use crate::store::version::VersionRow;

/// A row of the changelog.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    pub op_id: Uuid,
    pub seq: u64,
    pub bucket_id: u64,
    pub key: bytes::Bytes,
    pub kind: Kind,
    pub outcome: Vec<u8>,
}

/// One thing that is referenced and counted: bytes, or the pages of a long manifest (which reference bytes in turn).
#[derive(Clone, Debug)]
pub struct Reference {
    pub op_id: Uuid,
    /// The blob, for the reaper; `None`: the pages of a manifest.
    pub blob: Option<wire::Blob>,
}

/// Writes of one item, or of a whole batch.
#[derive(Default)]
pub struct Writes {
    pub heads: Vec<HeadRow>,
    pub heads_gone: Vec<(u64, bytes::Bytes)>,
    /// Rows of `version`, in place of those of the same name. None of them is in `versions_gone`.
    pub versions: Vec<VersionRow>,
    /// Bucket, key and stored version id.
    pub versions_gone: Vec<(u64, bytes::Bytes, String)>,
    pub shared: HashMap<Uuid, i64>,
    pub dropped: Vec<Reference>,
    pub uploads: Vec<UploadRow>,
    pub uploads_closed: Vec<(Uuid, Vec<u8>)>,
    pub uploads_gone: Vec<Uuid>,
    pub parts_gone: Vec<Uuid>,
    pub parts: Vec<(Uuid, wire::Part)>,
    pub pages: Vec<(Uuid, i32, wire::ManifestPage)>,
    pub buckets: Vec<BucketRow>,
    pub buckets_changed: Vec<BucketRow>,
    pub buckets_gone: Vec<u64>,
    /// Blobs, and which of their fragments are missing (bit i: fragment i).
    pub repairs: Vec<(wire::Blob, u64)>,
    pub changes: Vec<ChangeRow>,
}

impl Writes {
    /// One more reference to everything that this manifest references.
    pub fn share(&mut self, manifest: &wire::Manifest) {
        for reference in references(manifest) {
            *self.shared.entry(reference.op_id).or_default() += 1;
        }
    }

    /// One reference less to everything that this manifest references.
    pub fn drop_manifest(&mut self, manifest: &wire::Manifest) {
        self.dropped.extend(references(manifest));
    }

    pub fn drop_part(&mut self, part: &wire::Part) {
        self.dropped.extend(part.blob.iter().filter_map(reference));
    }

    /// Notes the repair of a blob that was committed with fewer than all of its fragments.
    pub fn repair_if_thin(&mut self, blob: &wire::Blob) {
        let missing = redundancy::unproven(blob);
        if missing != 0 {
            self.repairs.push((blob.clone(), missing));
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.heads.extend(other.heads);
        self.heads_gone.extend(other.heads_gone);
        self.versions.extend(other.versions);
        self.versions_gone.extend(other.versions_gone);
        for (op_id, more) in other.shared {
            *self.shared.entry(op_id).or_default() += more;
        }
        self.dropped.extend(other.dropped);
        self.uploads.extend(other.uploads);
        self.uploads_closed.extend(other.uploads_closed);
        self.uploads_gone.extend(other.uploads_gone);
        self.parts_gone.extend(other.parts_gone);
        self.parts.extend(other.parts);
        self.pages.extend(other.pages);
        self.buckets.extend(other.buckets);
        self.buckets_changed.extend(other.buckets_changed);
        self.buckets_gone.extend(other.buckets_gone);
        self.repairs.extend(other.repairs);
        self.changes.extend(other.changes);
    }
}

fn reference(blob: &wire::Blob) -> Option<Reference> {
    Some(Reference { op_id: Uuid::from_slice(&blob.op_id).ok()?, blob: Some(blob.clone()) })
}

/// What a manifest references: its pages as one thing, or its blobs.
#[must_use]
pub fn references(manifest: &wire::Manifest) -> Vec<Reference> {
    if let Ok(op_id) = Uuid::from_slice(&manifest.pages_of) {
        return vec![Reference { op_id, blob: None }];
    }
    manifest.parts.iter().filter_map(|part| part.blob.as_ref()).filter_map(reference).collect()
}

/// The blobs that stand in a page.
#[must_use]
pub fn page_references(page: &wire::ManifestPage) -> Vec<Reference> {
    page.parts.iter().filter_map(|part| part.blob.as_ref()).filter_map(reference).collect()
}

/// Names with how often each occurs, in order of name so that two batches lock in the same order.
#[must_use]
pub fn counted(references: &[Reference]) -> (Vec<Uuid>, Vec<i64>) {
    let mut counts = std::collections::BTreeMap::<Uuid, i64>::new();
    for reference in references {
        *counts.entry(reference.op_id).or_default() += 1;
    }
    counts.into_iter().unzip()
}
