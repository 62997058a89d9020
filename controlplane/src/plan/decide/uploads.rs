//! Multipart uploads: begun, given parts, completed, aborted.

use std::collections::HashMap;

use holdfast_common::wire::checksum::Kind as ChecksumKind;
use holdfast_common::wire::{
    self, Committed, CopyPart, CreateUpload, MutationResult, Part, PutPart, Refusal, Refused,
    mutation_result::Outcome,
};
use prost::Message as _;
use uuid::Uuid;

use super::objects::Source;
use super::versions::Content;
use super::{Done, Item, Step, upload_name};
use crate::plan::{complete, precondition, refuse, refuse_for_now, refuse_with};
use crate::store::changelog::Kind;
use crate::store::upload::UploadRow;

impl<'a> Item<'a> {
    pub(super) fn create_upload(&mut self, create: &CreateUpload) -> Step<Committed> {
        let bucket = self.bucket()?;
        let row = UploadRow {
            upload_id: self.op_id.uuid(),
            bucket_id: bucket.id,
            key: self.mutation.key.clone(),
            // Nobody in particular begins it for the bucket's owner.
            tenant_id: if self.mutation.tenant_id == 0 { bucket.tenant_id } else { self.mutation.tenant_id },
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
            .ok_or_else(|| no_such_upload(name, "the upload does not exist"))
    }

    fn upload(&self, name: &str) -> Step<&'a UploadRow> {
        self.any_upload(name)?;
        self.any_upload(name).and_then(|upload| {
            if upload.open { Ok(upload) } else { Err(no_such_upload(name, "the upload was completed")) }
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

    pub(super) fn put_part(&mut self, put: &PutPart) -> Step<Committed> {
        self.bucket()?;
        let upload_id = self.upload(&put.upload_id)?.upload_id;
        let part = put.part.clone().expect("validated: has a part");
        if let Some(blob) = &part.blob {
            self.writes.repair_if_thin(blob);
        }
        Ok(self.keep_part(upload_id, part))
    }

    pub(super) fn copy_part(&mut self, copy: &CopyPart) -> Step<Committed> {
        self.bucket()?;
        let upload_id = self.upload(&copy.upload_id)?.upload_id;
        let Source { object: source, version_id: copy_source_version_id } = self.source(&copy.into())?;
        if let Some(written) = &copy.part {
            written.blob.iter().for_each(|blob| self.writes.repair_if_thin(blob));
            let committed = self.keep_part(upload_id, Part { number: copy.number, ..written.clone() });
            return Ok(Committed { copy_source_version_id, ..committed });
        }
        // The whole source by reference: only one blob can be a part.
        let [whole] = source.manifest.parts.as_slice() else {
            return Err(refuse(
                Refusal::InvalidRequest,
                "the source has several parts; write the range as a blob",
            ));
        };
        self.writes.share(&source.manifest);
        let mut part = Part { number: copy.number, offset: 0, ..whole.clone() };
        // The checksums of all of the source are those of this part.
        let known: Vec<i32> = part.checksums.iter().map(|checksum| checksum.algorithm).collect();
        let further = source.meta.checksums.iter().filter(|checksum| {
            checksum.kind() == ChecksumKind::FullObject && !known.contains(&checksum.algorithm)
        });
        part.checksums.extend(further.cloned());
        let committed = self.keep_part(upload_id, part);
        Ok(Committed { copy_source_version_id, ..committed })
    }

    pub(super) fn complete(&mut self, complete: &wire::CompleteUpload) -> Step<Done> {
        let bucket = self.bucket()?;
        let upload = self.any_upload(&complete.upload_id)?;
        if let Some(outcome) = &upload.outcome {
            let before = MutationResult::decode(outcome.as_slice())
                .map_err(|_| refuse_for_now(Refusal::Unavailable, "the recorded outcome does not decode"))?;
            return Ok(Done::Before(before));
        }
        let none = HashMap::new();
        let uploaded = self.facts.parts.get(&upload.upload_id).unwrap_or(&none);
        let assembled = complete::assemble(upload, uploaded, complete, &self.op_id.0)?;
        precondition::check(complete.when.as_ref(), &self.mutation.key, self.head())?;
        for unused in uploaded.values().filter(|part| !assembled.used.contains(&part.number)) {
            self.writes.drop_part(unused);
        }
        for (number, page) in assembled.pages.into_iter().enumerate() {
            let number = i32::try_from(number).expect("at most 40 pages");
            self.writes.pages.push((self.op_id.uuid(), number, page));
        }
        let mut meta = upload.meta.clone();
        meta.checksums.extend(assembled.checksum);
        let content = Content {
            size: assembled.size,
            etag: assembled.etag,
            manifest: assembled.manifest,
            meta,
            writer: upload.tenant_id,
        };
        let row = self.make_current(bucket, content);
        let committed = Committed {
            version_id: row.version_id.clone(),
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

    pub(super) fn abort(&mut self, name: &str) -> Step<Committed> {
        self.bucket()?;
        let upload_id = self.upload(name)?.upload_id;
        self.drop_upload(upload_id);
        Ok(Committed { bucket_id: self.mutation.bucket_id, existed: true, ..Default::default() })
    }

    pub(super) fn drop_upload(&mut self, upload_id: Uuid) {
        for part in self.facts.parts.get(&upload_id).into_iter().flat_map(HashMap::values) {
            self.writes.drop_part(part);
        }
        self.writes.uploads_gone.push(upload_id);
        self.writes.parts_gone.push(upload_id);
    }
}

fn no_such_upload(name: &str, detail: &str) -> Refused {
    refuse_with(Refusal::NoSuchUpload, detail, &[("UploadId", name)])
}
