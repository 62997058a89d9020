//! Mutations: one outcome per op id, references counted, what loses its last one is freed.

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::{self, Refusal, mutation::Op, mutation_result::Outcome};

use super::super::executor::World;
use super::{BUCKET_ID, Recorded, Repair, State, TENANT_ID, Upload};

type Decision = Result<wire::Committed, Refusal>;

impl State {
    /// Decides a mutation, or says what was decided before.
    pub(super) fn decide(&mut self, mutation: &wire::Mutation) -> wire::MutationResult {
        let op = OpId::from_wire(&mutation.op_id).expect("a node's op ids are well-formed");
        match self.changelog.get(&op) {
            Some(Recorded::Done(result)) => {
                assert!(mutation.retry, "{op} was sent twice and not as a retry");
                return wire::MutationResult::clone(result);
            }
            Some(Recorded::Abandoned) => return refused(mutation, Refusal::Abandoned),
            None => {}
        }
        let seq = self.seq + 1;
        match self.act(op, seq, mutation) {
            Ok(committed) => {
                self.seq = seq;
                self.tally.commits += 1;
                let result = wire::MutationResult {
                    op_id: mutation.op_id.clone(),
                    seq,
                    outcome: Some(Outcome::Committed(committed)),
                };
                self.changelog.insert(op, Recorded::Done(Box::new(result.clone())));
                result
            }
            Err(refusal) => refused(mutation, refusal),
        }
    }

    fn act(&mut self, op: OpId, seq: u64, mutation: &wire::Mutation) -> Decision {
        let key = mutation.key.clone();
        match mutation.op.clone().ok_or(Refusal::Malformed)? {
            Op::Put(put) => self.put(op, seq, key, put),
            Op::Delete(_) => self.delete(&key),
            Op::Copy(copy) => self.copy(op, seq, key, copy),
            Op::CreateUpload(create) => Ok(self.create_upload(seq, key, create)),
            Op::PutPart(put) => self.put_part(put),
            Op::CompleteUpload(complete) => self.complete(op, seq, key, complete),
            Op::AbortUpload(abort) => self.abort(&abort.upload_id),
            Op::CopyPart(_)
            | Op::SetTags(_)
            | Op::SetAcl(_)
            | Op::CreateBucket(_)
            | Op::DeleteBucket(_)
            | Op::ConfigureBucket(_) => Err(Refusal::InvalidRequest),
        }
    }

    fn put(&mut self, op: OpId, seq: u64, key: Bytes, put: wire::PutObject) -> Decision {
        if put.when.is_some_and(|when| when.absent) && self.heads.contains_key(&key) {
            return Err(Refusal::PreconditionFailed);
        }
        let record = wire::ObjectRecord {
            size: put.size,
            etag: put.etag,
            meta: put.meta,
            manifest: put.manifest,
            ..record(op, seq, &key)
        };
        let modified_ms = record.modified_ms;
        self.reference(&record);
        self.set_head(key, record);
        Ok(wire::Committed { modified_ms, bucket_id: BUCKET_ID, ..Default::default() })
    }

    fn delete(&mut self, key: &Bytes) -> Decision {
        let old = self.heads.remove(key).ok_or(Refusal::NoSuchKey)?;
        self.release(&old);
        Ok(wire::Committed { existed: true, bucket_id: BUCKET_ID, ..Default::default() })
    }

    fn copy(&mut self, op: OpId, seq: u64, key: Bytes, copy: wire::CopyObject) -> Decision {
        let source = self.heads.get(&copy.source_key).ok_or(Refusal::NoSuchKey)?.clone();
        let fresh = record(op, seq, &key);
        let record = wire::ObjectRecord {
            size: source.size,
            etag: source.etag,
            meta: source.meta,
            manifest: source.manifest,
            ..fresh
        };
        self.reference(&record);
        self.set_head(key, record.clone());
        let modified_ms = record.modified_ms;
        Ok(wire::Committed { modified_ms, bucket_id: BUCKET_ID, record: Some(record), ..Default::default() })
    }

    fn create_upload(&mut self, seq: u64, key: Bytes, create: wire::CreateUpload) -> wire::Committed {
        let upload_id = format!("upload{seq}");
        let upload = Upload { key, meta: create.meta.unwrap_or_default(), parts: Default::default() };
        self.uploads.insert(upload_id.clone(), upload);
        wire::Committed { upload_id, bucket_id: BUCKET_ID, ..Default::default() }
    }

    fn put_part(&mut self, put: wire::PutPart) -> Decision {
        let part = put.part.ok_or(Refusal::Malformed)?;
        let upload = self.uploads.get_mut(&put.upload_id).ok_or(Refusal::NoSuchUpload)?;
        let old = upload.parts.insert(part.number, part.clone());
        self.count(part.blob.iter());
        self.uncount(old.iter().filter_map(|old| old.blob.as_ref()));
        Ok(wire::Committed { bucket_id: BUCKET_ID, ..Default::default() })
    }

    fn complete(&mut self, op: OpId, seq: u64, key: Bytes, complete: wire::CompleteUpload) -> Decision {
        let upload = self.uploads.get(&complete.upload_id).ok_or(Refusal::NoSuchUpload)?;
        let mut parts = Vec::new();
        let mut size = 0;
        for asked in &complete.parts {
            let part = upload.parts.get(&asked.number).ok_or(Refusal::InvalidPart)?;
            parts.push(wire::Part { offset: size, ..part.clone() });
            size += part.blob.as_ref().map_or(0, |blob| blob.size);
        }
        let part_count = u32::try_from(parts.len()).expect("few");
        let fresh = record(op, seq, &key);
        let record = wire::ObjectRecord {
            size,
            etag: format!("{}-{part_count}", hex::encode(op.0)),
            meta: Some(upload.meta.clone()),
            manifest: Some(wire::Manifest { parts, part_count, ..Default::default() }),
            ..fresh
        };
        self.reference(&record);
        self.set_head(key, record.clone());
        self.abort(&complete.upload_id)?;
        let modified_ms = record.modified_ms;
        Ok(wire::Committed { modified_ms, bucket_id: BUCKET_ID, record: Some(record), ..Default::default() })
    }

    /// The upload is over: its own references go.
    fn abort(&mut self, upload_id: &str) -> Decision {
        let upload = self.uploads.remove(upload_id).ok_or(Refusal::NoSuchUpload)?;
        self.uncount(upload.parts.values().filter_map(|part| part.blob.as_ref()));
        Ok(wire::Committed { bucket_id: BUCKET_ID, ..Default::default() })
    }

    fn set_head(&mut self, key: Bytes, record: wire::ObjectRecord) {
        if let Some(old) = self.heads.insert(key, record) {
            self.release(&old);
        }
    }

    fn reference(&mut self, record: &wire::ObjectRecord) {
        self.count(
            record.manifest.iter().flat_map(|manifest| &manifest.parts).filter_map(|p| p.blob.as_ref()),
        );
    }

    fn release(&mut self, record: &wire::ObjectRecord) {
        self.uncount(
            record.manifest.iter().flat_map(|manifest| &manifest.parts).filter_map(|p| p.blob.as_ref()),
        );
    }

    fn count<'a>(&mut self, blobs: impl Iterator<Item = &'a wire::Blob>) {
        for blob in blobs {
            let op = OpId::from_wire(&blob.op_id).expect("well-formed");
            let fresh = !self.blobs.contains_key(&op);
            self.blobs.entry(op).or_insert_with(|| (blob.clone(), 0)).1 += 1;
            let coding = blob.coding.unwrap_or_default();
            let missing = ((1 << (coding.data + coding.parity)) - 1) & !blob.proven;
            if fresh && missing != 0 {
                self.repair(op, missing);
            }
        }
    }

    pub(super) fn repair(&mut self, op: OpId, missing: u64) {
        let fresh = Repair { missing: 0, leased_until: Default::default(), attempts: 0 };
        self.repairs.entry(op).or_insert(fresh).missing |= missing;
    }

    fn uncount<'a>(&mut self, blobs: impl Iterator<Item = &'a wire::Blob>) {
        for blob in blobs {
            let op = OpId::from_wire(&blob.op_id).expect("well-formed");
            let (_, count) = self.blobs.get_mut(&op).expect("what is released was counted");
            *count -= 1;
            if *count == 0 {
                let (blob, _) = self.blobs.remove(&op).expect("just seen");
                self.repairs.remove(&op);
                self.freed.insert(op, (blob, World::current().elapsed()));
            }
        }
    }
}

fn record(op: OpId, seq: u64, key: &Bytes) -> wire::ObjectRecord {
    wire::ObjectRecord {
        bucket_id: BUCKET_ID,
        key: key.clone(),
        seq,
        op_id: op.to_wire(),
        modified_ms: World::current().unix_ms(),
        tenant_id: TENANT_ID,
        ..Default::default()
    }
}

fn refused(mutation: &wire::Mutation, reason: Refusal) -> wire::MutationResult {
    let refused = wire::Refused { reason: reason.into(), ..Default::default() };
    wire::MutationResult { op_id: mutation.op_id.clone(), seq: 0, outcome: Some(Outcome::Refused(refused)) }
}
