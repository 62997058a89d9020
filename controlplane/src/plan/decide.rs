//! One mutation against the rows it finds: refused, or an answer and what has to be written for it.
//!
//! The items of a batch touch disjoint keys (`app/commit/locks`), so each is decided as if it were alone.

mod buckets;
mod objects;
#[cfg(test)]
mod tests;
mod uploads;
mod versions;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::mutation::Op;
use holdfast_common::wire::{
    Committed, Mutation, MutationResult, Part, Refusal, Refused, mutation_result::Outcome,
};
use prost::Message as _;
use uuid::Uuid;

use crate::plan::writes::{ChangeRow, Writes};
use crate::plan::{refuse, refuse_for_now};
use crate::store::bucket::BucketRow;
use crate::store::changelog::Kind;
use crate::store::head::HeadRow;
use crate::store::upload::UploadRow;
use crate::store::version::VersionRow;

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
    /// Rows of `version` that its items need to know of, in no order: named ones, the null versions that a write replaces,
    /// the two newest where one may become current.
    pub versions: HashMap<(u64, Bytes), Vec<VersionRow>>,
    pub uploads: HashMap<Uuid, UploadRow>,
    pub parts: HashMap<Uuid, HashMap<u32, Part>>,
    /// Some bytes have more than one reference.
    pub counted: bool,
    /// Of all buckets' documents together; read when some are added.
    pub configured_bytes: u64,
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
    BucketChanged(BucketRow),
    BucketGone(u64),
}

/// What becomes of one item.
pub enum Decision {
    /// Nothing is written: refused, or answered before.
    Answer(MutationResult),
    /// Nothing is written any more: a try of this very batch did, and what it answered was lost. Nobody has been told.
    Committed {
        result: MutationResult,
        effect: Option<ConfigEffect>,
    },
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
        let result = recorded(op_id, *kind, outcome);
        // Sequence numbers are given to one item once.
        return if result.seq == stamp.seq {
            Decision::Committed { result, effect: effect_of(mutation, facts) }
        } else {
            Decision::Answer(result)
        };
    }
    let stamp = match mutation.op.as_ref() {
        // When it was written is not known better than this.
        Some(Op::Put(put)) if put.recovered => Stamp { now_ms: stamp.now_ms.min(op_id.unix_ms()), ..stamp },
        _ => stamp,
    };
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

/// What a committed mutation did to configuration, by the rows that it left.
fn effect_of(mutation: &Mutation, facts: &Facts) -> Option<ConfigEffect> {
    match mutation.op.as_ref()? {
        Op::CreateBucket(create) => {
            facts.bucket_names.get(&create.name).cloned().map(ConfigEffect::BucketMade)
        }
        Op::ConfigureBucket(_) => {
            facts.buckets.get(&mutation.bucket_id).cloned().map(ConfigEffect::BucketChanged)
        }
        Op::DeleteBucket(_) => Some(ConfigEffect::BucketGone(mutation.bucket_id)),
        _ => None,
    }
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
            Op::SetTags(set) => self.set_tags(set).map(now(Kind::SetTags)),
            Op::SetAcl(set) => self.set_acl(set).map(now(Kind::SetAcl)),
            Op::CreateBucket(create) => self.create_bucket(create).map(now(Kind::CreateBucket)),
            Op::DeleteBucket(_) => self.delete_bucket().map(now(Kind::DeleteBucket)),
            Op::ConfigureBucket(configure) => {
                self.configure_bucket(configure).map(now(Kind::ConfigureBucket))
            }
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

    /// The bucket that is written to.
    fn bucket(&self) -> Step<&'a BucketRow> {
        let Mutation { bucket_id, by_bucket, bucket_revision, .. } = self.mutation;
        let bucket = self.facts.buckets.get(bucket_id);
        let bucket = bucket.ok_or_else(|| refuse(Refusal::NoSuchBucket, "the bucket does not exist"))?;
        self.may_enter(bucket, *by_bucket, *bucket_revision)?;
        Ok(bucket)
    }

    /// Whoever acts is of the bucket's tenant, or the bucket itself lets it. What it lets is in its configuration, so then the
    /// node has to know exactly this one; otherwise it may name none (0).
    fn may_enter(&self, bucket: &BucketRow, by_bucket: bool, revision: u64) -> Step<()> {
        if !by_bucket && bucket.tenant_id != self.mutation.tenant_id {
            return Err(refuse(Refusal::AccessDenied, "the bucket belongs to another tenant"));
        }
        if revision != bucket.revision && (by_bucket || revision != 0) {
            return Err(refuse_for_now(Refusal::StaleRevision, "the bucket's configuration has changed"));
        }
        Ok(())
    }

    fn head_of(&self, bucket_id: u64, key: &Bytes) -> Option<&'a HeadRow> {
        self.facts.heads.get(&(bucket_id, key.clone()))
    }

    fn head(&self) -> Option<&'a HeadRow> {
        self.head_of(self.mutation.bucket_id, &self.mutation.key)
    }
}
