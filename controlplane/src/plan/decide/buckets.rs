//! Buckets: made once, deleted when empty.

use holdfast_common::wire::{Committed, CreateBucket, Refusal};
use uuid::Uuid;

use super::{ConfigEffect, Item, Step};
use crate::plan::refuse;
use crate::store::bucket::BucketRow;

impl Item<'_> {
    pub(super) fn create_bucket(&mut self, create: &CreateBucket) -> Step<Committed> {
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

    pub(super) fn delete_bucket(&mut self) -> Step<Committed> {
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
