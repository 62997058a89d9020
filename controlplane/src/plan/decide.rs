//! One mutation against the rows it finds: refused, or an answer and what has to be written for it.
//!
//! The items of a batch touch disjoint keys (`app/commit/locks`), so each is decided as if it were alone.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::mutation::Op;
use holdfast_common::wire::{
    self, Committed, CopyObject, CopyPart, CreateBucket, CreateUpload, DeleteObject, Mutation,
    MutationResult, Part, PutObject, PutPart, Refusal, Refused, mutation_result::Outcome,
};
use prost::Message as _;
use uuid::Uuid;

use crate::plan::writes::{ChangeRow, Writes};
use crate::plan::{complete, precondition, refuse, refuse_for_now};
use crate::store::bucket::BucketRow;
use crate::store::changelog::Kind;
use crate::store::head::HeadRow;
use crate::store::upload::UploadRow;

/// Rows that a batch read, by what names them.
#[derive(Default)]
pub struct Facts {
    pub buckets: HashMap<u64, BucketRow>,
    pub bucket_names: HashMap<String, BucketRow>,
    /// Buckets with an object or a version in them.
    pub occupied: HashSet<u64>,
    /// Live access keys of the batch, with their tenants.
    pub keys: HashMap<String, u64>,
    pub recorded: HashMap<[u8; 16], (i16, Vec<u8>)>,
    pub heads: HashMap<(u64, Bytes), HeadRow>,
    pub uploads: HashMap<Uuid, UploadRow>,
    pub parts: HashMap<Uuid, HashMap<u32, Part>>,
}

/// What the authority stamps an item with.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub seq: u64,
    pub now_ms: u64,
}

/// Configuration that changed with a commit.
#[derive(Clone, Debug)]
pub enum ConfigEffect {
    BucketMade(BucketRow),
    BucketGone(u64),
}

/// What becomes of one item.
pub enum Decision {
    /// Nothing is written: refused, or answered before.
    Answer(MutationResult),
    Commit {
        result: MutationResult,
        writes: Box<Writes>,
        effect: Option<ConfigEffect>,
    },
}

/// Reads an upload's name as the node passes it on from the client.
#[must_use]
pub fn upload_name(text: &str) -> Option<Uuid> {
    // Only the form that we give out: the same upload must not have two names.
    let uuid = Uuid::try_parse(text).ok()?;
    (text.len() == 32).then_some(uuid)
}

/// Decides.
#[must_use]
pub fn decide(op_id: OpId, mutation: &Mutation, facts: &Facts, stamp: Stamp) -> Decision {
    if let Some((kind, outcome)) = facts.recorded.get(&op_id.0) {
        return Decision::Answer(recorded(op_id, *kind, outcome));
    }
    let mut item = Item { op_id, mutation, facts, stamp, writes: Writes::default(), effect: None };
    match item.run() {
        Err(refused) => Decision::Answer(refused_result(op_id, refused)),
        Ok(Done::Before(mut result)) => {
            result.op_id = op_id.to_wire();
            Decision::Answer(result)
        }
        Ok(Done::Now(kind, committed)) => item.committed(kind, committed),
    }
}

/// An answer that refuses.
#[must_use]
pub fn refused_result(op_id: OpId, refused: Refused) -> MutationResult {
    MutationResult { op_id: op_id.to_wire(), seq: 0, outcome: Some(Outcome::Refused(refused)) }
}

fn recorded(op_id: OpId, kind: i16, outcome: &[u8]) -> MutationResult {
    if kind == Kind::Abandoned as i16 {
        return refused_result(op_id, refuse(Refusal::Abandoned, "the reaper has abandoned this operation"));
    }
    MutationResult::decode(outcome).unwrap_or_else(|error| {
        refused_result(
            op_id,
            refuse_for_now(Refusal::Unavailable, format!("the recorded outcome does not decode: {error}")),
        )
    })
}

enum Done {
    Now(Kind, Committed),
    /// Was done under another op id; this is its answer.
    Before(MutationResult),
}

struct Item<'a> {
    op_id: OpId,
    mutation: &'a Mutation,
    facts: &'a Facts,
    stamp: Stamp,
    writes: Writes,
    effect: Option<ConfigEffect>,
}

type Step<T> = Result<T, Refused>;

impl<'a> Item<'a> {
    fn run(&mut self) -> Step<Done> {
        let key = &self.mutation.access_key_id;
        if !key.is_empty() && self.facts.keys.get(key) != Some(&self.mutation.tenant_id) {
            return Err(refuse(Refusal::AccessDenied, "the access key is revoked or unknown"));
        }
        let now = |kind| move |committed| Done::Now(kind, committed);
        match self.mutation.op.as_ref().expect("validated: has an operation") {
            Op::Put(put) => self.put(put).map(now(Kind::Put)),
            Op::Delete(delete) => self.delete(delete).map(now(Kind::Delete)),
            Op::Copy(copy) => self.copy(copy).map(now(Kind::Copy)),
            Op::CreateUpload(create) => self.create_upload(create).map(now(Kind::CreateUpload)),
            Op::PutPart(put) => self.put_part(put).map(now(Kind::PutPart)),
            Op::CopyPart(copy) => self.copy_part(copy).map(now(Kind::CopyPart)),
            Op::CompleteUpload(complete) => self.complete(complete),
            Op::AbortUpload(abort) => self.abort(&abort.upload_id).map(now(Kind::AbortUpload)),
            Op::CreateBucket(create) => self.create_bucket(create).map(now(Kind::CreateBucket)),
            Op::DeleteBucket(_) => self.delete_bucket().map(now(Kind::DeleteBucket)),
        }
    }

    fn committed(mut self, kind: Kind, committed: Committed) -> Decision {
        let result = MutationResult {
            op_id: self.op_id.to_wire(),
            seq: self.stamp.seq,
            outcome: Some(Outcome::Committed(committed)),
        };
        let bucket_id = match &self.effect {
            Some(ConfigEffect::BucketMade(bucket)) => bucket.id,
            _ => self.mutation.bucket_id,
        };
        self.writes.changes.push(ChangeRow {
            op_id: self.op_id.uuid(),
            seq: self.stamp.seq,
            bucket_id,
            key: self.mutation.key.clone(),
            kind,
            outcome: result.encode_to_vec(),
        });
        Decision::Commit { result, writes: Box::new(self.writes), effect: self.effect }
    }

    /// The bucket, when this tenant may write to it and the node knows its configuration.
    fn bucket(&self) -> Step<&'a BucketRow> {
        let bucket = self.facts.buckets.get(&self.mutation.bucket_id);
        let bucket = bucket.ok_or_else(|| refuse(Refusal::NoSuchBucket, "the bucket does not exist"))?;
        if bucket.tenant_id != self.mutation.tenant_id {
            return Err(refuse(Refusal::AccessDenied, "the bucket belongs to another tenant"));
        }
        let named = self.mutation.bucket_revision;
        if named != 0 && named != bucket.revision {
            return Err(refuse_for_now(Refusal::StaleRevision, "the bucket's configuration has changed"));
        }
        Ok(bucket)
    }

    fn head_of(&self, bucket_id: u64, key: &Bytes) -> Option<&'a HeadRow> {
        self.facts.heads.get(&(bucket_id, key.clone()))
    }

    fn head(&self) -> Option<&'a HeadRow> {
        self.head_of(self.mutation.bucket_id, &self.mutation.key)
    }

    /// Puts the new current object in the old one's place.
    fn replace_head(
        &mut self,
        size: u64,
        etag: String,
        manifest: wire::Manifest,
        meta: wire::ObjectMeta,
    ) -> HeadRow {
        let old = self.head();
        let row = HeadRow {
            bucket_id: self.mutation.bucket_id,
            key: self.mutation.key.clone(),
            seq: self.stamp.seq,
            op_id: self.op_id.uuid(),
            version_id: String::new(),
            size,
            // Last-Modified never goes back, whatever the clocks of two leaders say.
            modified_ms: self.stamp.now_ms.max(old.map_or(0, |old| old.modified_ms)),
            etag,
            tenant_id: self.mutation.tenant_id,
            manifest,
            meta,
        };
        if let Some(old) = old {
            self.writes.drop_manifest(&old.manifest);
        }
        self.writes.heads.push(row.clone());
        row
    }

    fn put(&mut self, put: &PutObject) -> Step<Committed> {
        self.bucket()?;
        precondition::check(put.when.as_ref(), self.head())?;
        let manifest = put.manifest.clone().unwrap_or_default();
        for blob in manifest.parts.iter().filter_map(|part| part.blob.as_ref()) {
            self.writes.repair_if_thin(blob);
        }
        let row =
            self.replace_head(put.size, put.etag.clone(), manifest, put.meta.clone().unwrap_or_default());
        Ok(Committed {
            modified_ms: row.modified_ms,
            bucket_id: row.bucket_id,
            existed: false,
            ..Default::default()
        })
    }

    fn delete(&mut self, delete: &DeleteObject) -> Step<Committed> {
        self.bucket()?;
        // The null version is the only one in a bucket that was never versioned.
        if !matches!(delete.version_id.as_str(), "" | "null") {
            return Err(refuse(Refusal::NoSuchVersion, "the version does not exist"));
        }
        let head = self.head();
        precondition::check(delete.when.as_ref(), head)?;
        if let Some(head) = head {
            self.writes.drop_manifest(&head.manifest);
            self.writes.heads_gone.push((head.bucket_id, head.key.clone()));
        }
        Ok(Committed { bucket_id: self.mutation.bucket_id, existed: head.is_some(), ..Default::default() })
    }

    fn source(
        &self,
        bucket_id: u64,
        key: &Bytes,
        version: &str,
        when: Option<&wire::Precondition>,
    ) -> Step<&'a HeadRow> {
        let bucket = self.facts.buckets.get(&bucket_id);
        let bucket =
            bucket.ok_or_else(|| refuse(Refusal::NoSuchBucket, "the source's bucket does not exist"))?;
        if bucket.tenant_id != self.mutation.tenant_id {
            return Err(refuse(Refusal::AccessDenied, "the source's bucket belongs to another tenant"));
        }
        if !matches!(version, "" | "null") {
            return Err(refuse(Refusal::NoSuchVersion, "the source's version does not exist"));
        }
        let head = self.head_of(bucket_id, key);
        let head = head.ok_or_else(|| refuse(Refusal::NoSuchKey, "the source does not exist"))?;
        when.map_or(Ok(()), |when| precondition::check_present(when, head))?;
        Ok(head)
    }

    fn copy(&mut self, copy: &CopyObject) -> Step<Committed> {
        self.bucket()?;
        let source = self.source(
            copy.source_bucket_id,
            &copy.source_key,
            &copy.source_version_id,
            copy.source_when.as_ref(),
        )?;
        precondition::check(copy.when.as_ref(), self.head())?;
        let said = copy.meta.clone().unwrap_or_default();
        let mut meta = if copy.replace_meta { said.clone() } else { source.meta.clone() };
        meta.tags = if copy.replace_tags { said.tags } else { source.meta.tags.clone() };
        if !copy.replace_meta && !said.storage_class.is_empty() {
            meta.storage_class = said.storage_class;
        }
        // The bytes are the same, so are their checksums.
        meta.checksums = source.meta.checksums.clone();
        self.writes.share(&source.manifest);
        let row = self.replace_head(source.size, source.etag.clone(), source.manifest.clone(), meta);
        let modified_ms = row.modified_ms;
        Ok(Committed {
            modified_ms,
            bucket_id: self.mutation.bucket_id,
            record: Some(row.into_record()),
            ..Default::default()
        })
    }

    fn create_upload(&mut self, create: &CreateUpload) -> Step<Committed> {
        self.bucket()?;
        let row = UploadRow {
            upload_id: self.op_id.uuid(),
            bucket_id: self.mutation.bucket_id,
            key: self.mutation.key.clone(),
            tenant_id: self.mutation.tenant_id,
            initiated_ms: self.stamp.now_ms,
            open: true,
            checksum_algorithm: create.checksum_algorithm,
            checksum_kind: create.checksum_kind,
            meta: create.meta.clone().unwrap_or_default(),
            outcome: None,
        };
        let upload_id = row.upload_id.simple().to_string();
        self.writes.uploads.push(row);
        Ok(Committed {
            modified_ms: self.stamp.now_ms,
            upload_id,
            bucket_id: self.mutation.bucket_id,
            ..Default::default()
        })
    }

    /// The upload of this name, bucket and key, completed ones too.
    fn any_upload(&self, name: &str) -> Step<&'a UploadRow> {
        let upload = upload_name(name).and_then(|id| self.facts.uploads.get(&id));
        upload
            .filter(|upload| upload.bucket_id == self.mutation.bucket_id && upload.key == self.mutation.key)
            .ok_or_else(|| refuse(Refusal::NoSuchUpload, "the upload does not exist"))
    }

    fn upload(&self, name: &str) -> Step<&'a UploadRow> {
        self.any_upload(name)?;
        self.any_upload(name).and_then(|upload| {
            if upload.open {
                Ok(upload)
            } else {
                Err(refuse(Refusal::NoSuchUpload, "the upload was completed"))
            }
        })
    }

    fn keep_part(&mut self, upload_id: Uuid, mut part: Part) -> Committed {
        part.modified_ms = self.stamp.now_ms;
        if let Some(replaced) = self.facts.parts.get(&upload_id).and_then(|parts| parts.get(&part.number)) {
            self.writes.drop_part(replaced);
        }
        self.writes.parts.push((upload_id, part.clone()));
        Committed {
            modified_ms: part.modified_ms,
            bucket_id: self.mutation.bucket_id,
            part: Some(part),
            ..Default::default()
        }
    }

    fn put_part(&mut self, put: &PutPart) -> Step<Committed> {
        self.bucket()?;
        let upload_id = self.upload(&put.upload_id)?.upload_id;
        let part = put.part.clone().expect("validated: has a part");
        if let Some(blob) = &part.blob {
            self.writes.repair_if_thin(blob);
        }
        Ok(self.keep_part(upload_id, part))
    }

    fn copy_part(&mut self, copy: &CopyPart) -> Step<Committed> {
        self.bucket()?;
        let upload_id = self.upload(&copy.upload_id)?.upload_id;
        let source = self.source(
            copy.source_bucket_id,
            &copy.source_key,
            &copy.source_version_id,
            copy.source_when.as_ref(),
        )?;
        if let Some(written) = &copy.part {
            written.blob.iter().for_each(|blob| self.writes.repair_if_thin(blob));
            return Ok(self.keep_part(upload_id, Part { number: copy.number, ..written.clone() }));
        }
        // The whole source by reference: only one blob can be a part.
        let [whole] = source.manifest.parts.as_slice() else {
            return Err(refuse(
                Refusal::InvalidRequest,
                "the source has several parts; write the range as a blob",
            ));
        };
        self.writes.share(&source.manifest);
        Ok(self.keep_part(upload_id, Part { number: copy.number, offset: 0, ..whole.clone() }))
    }

    fn complete(&mut self, complete: &wire::CompleteUpload) -> Step<Done> {
        self.bucket()?;
        let upload = self.any_upload(&complete.upload_id)?;
        if let Some(outcome) = &upload.outcome {
            let before = MutationResult::decode(outcome.as_slice())
                .map_err(|_| refuse_for_now(Refusal::Unavailable, "the recorded outcome does not decode"))?;
            return Ok(Done::Before(before));
        }
        let none = HashMap::new();
        let uploaded = self.facts.parts.get(&upload.upload_id).unwrap_or(&none);
        let assembled = complete::assemble(upload, uploaded, complete, &self.op_id.0)?;
        precondition::check(complete.when.as_ref(), self.head())?;
        for unused in uploaded.values().filter(|part| !assembled.used.contains(&part.number)) {
            self.writes.drop_part(unused);
        }
        for (number, page) in assembled.pages.into_iter().enumerate() {
            let number = i32::try_from(number).expect("at most 40 pages");
            self.writes.pages.push((self.op_id.uuid(), number, page));
        }
        let mut meta = upload.meta.clone();
        meta.checksums.extend(assembled.checksum);
        let row = self.replace_head(assembled.size, assembled.etag, assembled.manifest, meta);
        let committed = Committed {
            modified_ms: row.modified_ms,
            upload_id: complete.upload_id.clone(),
            bucket_id: row.bucket_id,
            record: Some(row.into_record()),
            ..Default::default()
        };
        self.close_upload(upload.upload_id, &committed);
        Ok(Done::Now(Kind::CompleteUpload, committed))
    }

    fn close_upload(&mut self, upload_id: Uuid, committed: &Committed) {
        let result = MutationResult {
            op_id: self.op_id.to_wire(),
            seq: self.stamp.seq,
            outcome: Some(Outcome::Committed(committed.clone())),
        };
        self.writes.uploads_closed.push((upload_id, result.encode_to_vec()));
        self.writes.parts_gone.push(upload_id);
    }

    fn abort(&mut self, name: &str) -> Step<Committed> {
        self.bucket()?;
        let upload_id = self.upload(name)?.upload_id;
        self.drop_upload(upload_id);
        Ok(Committed { bucket_id: self.mutation.bucket_id, existed: true, ..Default::default() })
    }

    fn drop_upload(&mut self, upload_id: Uuid) {
        for part in self.facts.parts.get(&upload_id).into_iter().flat_map(HashMap::values) {
            self.writes.drop_part(part);
        }
        self.writes.uploads_gone.push(upload_id);
        self.writes.parts_gone.push(upload_id);
    }

    fn create_bucket(&mut self, create: &CreateBucket) -> Step<Committed> {
        if let Some(taken) = self.facts.bucket_names.get(&create.name) {
            return Err(if taken.tenant_id == self.mutation.tenant_id {
                refuse(Refusal::BucketAlreadyOwnedByYou, "the bucket exists and is yours")
            } else {
                refuse(Refusal::BucketAlreadyExists, "the name is taken")
            });
        }
        let bucket = BucketRow {
            id: self.stamp.seq,
            name: create.name.clone(),
            tenant_id: self.mutation.tenant_id,
            created_ms: self.stamp.now_ms,
            revision: 1,
            region: create.region.clone(),
            versioning: 0,
            shard: 0,
            class_id: 0,
            configuration: Vec::new(),
        };
        let committed =
            Committed { modified_ms: bucket.created_ms, bucket_id: bucket.id, ..Default::default() };
        self.writes.buckets.push(bucket.clone());
        self.effect = Some(ConfigEffect::BucketMade(bucket));
        Ok(committed)
    }

    fn delete_bucket(&mut self) -> Step<Committed> {
        let bucket = self.bucket()?;
        if self.facts.occupied.contains(&bucket.id) {
            return Err(refuse(Refusal::BucketNotEmpty, "the bucket is not empty"));
        }
        let uploads: Vec<Uuid> = self
            .facts
            .uploads
            .values()
            .filter(|row| row.open && row.bucket_id == bucket.id)
            .map(|row| row.upload_id)
            .collect();
        for upload_id in uploads {
            self.drop_upload(upload_id);
        }
        self.writes.buckets_gone.push(bucket.id);
        self.effect = Some(ConfigEffect::BucketGone(bucket.id));
        Ok(Committed { bucket_id: bucket.id, existed: true, ..Default::default() })
    }
}
