//! Buckets: made once, told things, deleted when empty.

use holdfast_common::wire::configure_bucket::Change;
use holdfast_common::wire::{
    BucketConfiguration, BucketDocument, Committed, ConfigureBucket, CreateBucket, Refusal,
};
use prost::Message as _;
use uuid::Uuid;

use super::{ConfigEffect, Item, Step};
use crate::limits::CONFIGURED_BYTES_MAX;
use crate::plan::{refuse, refuse_with};
use crate::store::bucket::{BucketRow, Versioning};

impl Item<'_> {
    pub(super) fn create_bucket(&mut self, create: &CreateBucket) -> Step<Committed> {
        if let Some(taken) = self.facts.bucket_names.get(&create.name) {
            return Err(if taken.tenant_id == self.mutation.tenant_id {
                refuse(Refusal::BucketAlreadyOwnedByYou, "the bucket exists and is yours")
            } else {
                refuse(Refusal::BucketAlreadyExists, "the name is taken")
            });
        }
        let mut configuration = BucketConfiguration::default();
        for document in create.configuration.iter().flat_map(|given| &given.documents) {
            set_document(&mut configuration, document);
        }
        self.has_room(&configuration)?;
        let bucket = BucketRow {
            id: self.stamp.seq,
            name: create.name.clone(),
            tenant_id: self.mutation.tenant_id,
            created_ms: self.stamp.now_ms,
            revision: 1,
            region: create.region.clone(),
            versioning: Versioning::Never,
            shard: 0,
            class_id: 0,
            configuration,
            stale_reads_ms: 0,
        };
        let committed =
            Committed { modified_ms: bucket.created_ms, bucket_id: bucket.id, ..Default::default() };
        self.writes.buckets.push(bucket.clone());
        self.effect = Some(ConfigEffect::BucketMade(bucket));
        Ok(committed)
    }

    pub(super) fn configure_bucket(&mut self, configure: &ConfigureBucket) -> Step<Committed> {
        let mut bucket = self.bucket()?.clone();
        match configure.change.as_ref().expect("validated: has a change") {
            Change::Versioning(state) => {
                bucket.versioning = Versioning::of(*state).expect("validated: a state of versioning");
            }
            Change::StaleReadsMs(ms) => bucket.stale_reads_ms = *ms,
            Change::Document(document) => {
                set_document(&mut bucket.configuration, document);
                if !document.body.is_empty() {
                    self.has_room(&bucket.configuration)?;
                }
            }
        }
        bucket.revision += 1;
        let committed = Committed { bucket_id: bucket.id, existed: true, ..Default::default() };
        self.writes.buckets_changed.push(bucket.clone());
        self.effect = Some(ConfigEffect::BucketChanged(bucket));
        Ok(committed)
    }

    fn has_room(&self, configuration: &BucketConfiguration) -> Step<()> {
        if self.facts.configured_bytes + configuration.encoded_len() as u64 <= CONFIGURED_BYTES_MAX {
            return Ok(());
        }
        Err(refuse(Refusal::Unavailable, "the configuration of all buckets together has become too large"))
    }

    pub(super) fn delete_bucket(&mut self) -> Step<Committed> {
        let bucket = self.bucket()?;
        if self.facts.occupied.contains(&bucket.id) {
            return Err(refuse_with(
                Refusal::BucketNotEmpty,
                "the bucket is not empty",
                &[("BucketName", &bucket.name)],
            ));
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

/// In place of the document of its kind, in order of kind; an empty one is none.
fn set_document(configuration: &mut BucketConfiguration, document: &BucketDocument) {
    let documents = &mut configuration.documents;
    documents.retain(|other| other.kind != document.kind);
    if !document.body.is_empty() {
        let at = documents.partition_point(|other| other.kind < document.kind);
        documents.insert(at, document.clone());
    }
}
