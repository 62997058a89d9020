//! What has to be read for a batch, told by its mutations alone.

use std::collections::HashSet;

use bytes::Bytes;
use holdfast_common::wire::Mutation;
use holdfast_common::wire::mutation::Op;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::app::truth::Asked;
use crate::plan::decide::upload_name;
use crate::store::{signed, version};

/// What has to be read for a batch.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) retried: Vec<Uuid>,
    pub(super) keys: HashSet<String>,
    pub(super) buckets: HashSet<i64>,
    pub(super) bucket_names: Vec<String>,
    pub(super) occupied: Vec<i64>,
    pub(super) head_buckets: Vec<i64>,
    pub(super) head_keys: Vec<Vec<u8>>,
    pub(super) named: Names,
    pub(super) newest: Names,
    pub(super) configured: bool,
    pub(super) uploads: Vec<Uuid>,
    pub(super) whole_uploads: Vec<Uuid>,
    pub(super) part_uploads: Vec<Uuid>,
    pub(super) part_numbers: Vec<i32>,
}

impl Wanted {
    pub(super) fn of(items: &[Asked<'_>], again: bool) -> Self {
        let mut wanted = Self::default();
        for (op_id, mutation) in items {
            if again || mutation.retry {
                wanted.retried.push(op_id.uuid());
            }
            wanted.add(mutation);
        }
        wanted
    }

    fn add(&mut self, mutation: &Mutation) {
        if !mutation.access_key_id.is_empty() {
            self.keys.insert(mutation.access_key_id.clone());
        }
        self.buckets.insert(signed(mutation.bucket_id));
        match mutation.op.as_ref() {
            Some(Op::Put(_)) => self.head(mutation.bucket_id, &mutation.key),
            Some(Op::Delete(delete)) => {
                self.head(mutation.bucket_id, &mutation.key);
                self.named.add_named(mutation.bucket_id, &mutation.key, &delete.version_id);
                // What becomes current then.
                if !delete.version_id.is_empty() {
                    self.newest.add(mutation.bucket_id, &mutation.key, "");
                }
            }
            Some(Op::SetTags(set)) => self.version(mutation, &set.version_id),
            Some(Op::SetAcl(set)) => self.version(mutation, &set.version_id),
            Some(Op::Copy(copy)) => {
                self.head(mutation.bucket_id, &mutation.key);
                self.source(copy.source_bucket_id, &copy.source_key, &copy.source_version_id);
            }
            Some(Op::PutPart(put)) => {
                self.part(&put.upload_id, put.part.as_ref().map_or(0, |part| part.number))
            }
            Some(Op::CopyPart(copy)) => {
                self.source(copy.source_bucket_id, &copy.source_key, &copy.source_version_id);
                self.part(&copy.upload_id, copy.number);
            }
            Some(Op::CompleteUpload(complete)) => {
                self.head(mutation.bucket_id, &mutation.key);
                self.whole_upload(&complete.upload_id);
            }
            Some(Op::AbortUpload(abort)) => self.whole_upload(&abort.upload_id),
            Some(Op::CreateBucket(create)) => {
                self.bucket_names.push(create.name.clone());
                self.configured |= create.configuration.is_some();
            }
            Some(Op::DeleteBucket(_)) => self.occupied.push(signed(mutation.bucket_id)),
            Some(Op::ConfigureBucket(_)) => self.configured = true,
            Some(Op::CreateUpload(_)) | None => {}
        }
    }

    fn head(&mut self, bucket_id: u64, key: &Bytes) {
        self.head_buckets.push(signed(bucket_id));
        self.head_keys.push(key.to_vec());
    }

    /// One that a client named, or the current one.
    fn version(&mut self, mutation: &Mutation, version_id: &str) {
        self.head(mutation.bucket_id, &mutation.key);
        self.named.add_named(mutation.bucket_id, &mutation.key, version_id);
        // Whether the current one is a delete marker.
        if version_id.is_empty() {
            self.newest.add(mutation.bucket_id, &mutation.key, "");
        }
    }

    fn source(&mut self, bucket_id: u64, key: &Bytes, version_id: &str) {
        self.buckets.insert(signed(bucket_id));
        self.head(bucket_id, key);
        self.named.add_named(bucket_id, key, version_id);
    }

    fn part(&mut self, name: &str, number: u32) {
        if let Some(id) = upload_name(name) {
            self.uploads.push(id);
            self.part_uploads.push(id);
            self.part_numbers.push(i32::try_from(number).unwrap_or(0));
        }
    }

    fn whole_upload(&mut self, name: &str) {
        if let Some(id) = upload_name(name) {
            self.uploads.push(id);
            self.whole_uploads.push(id);
        }
    }
}

/// Names of versions, as columns.
#[derive(Default)]
pub(super) struct Names {
    pub(super) buckets: Vec<i64>,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) ids: Vec<String>,
}

impl Names {
    pub(super) fn add(&mut self, bucket_id: u64, key: &Bytes, stored_id: &str) {
        self.buckets.push(signed(bucket_id));
        self.keys.push(key.to_vec());
        self.ids.push(stored_id.to_owned());
    }

    /// A version that a client named, if it did.
    fn add_named(&mut self, bucket_id: u64, key: &Bytes, name: &str) {
        if !name.is_empty() {
            self.add(bucket_id, key, version::stored_id(name));
        }
    }

    pub(super) fn columns(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![&self.buckets, &self.keys, &self.ids]
    }
}
