//! What a mutation touches. Batches in flight touch disjoint things, so that each decides against settled rows and no
//! answer (a 412, a copy's source) shows a commit before it is released to everyone (DESIGN 3.2).
//!
//! These are the leader's, in memory: what keeps another leader out is the epoch row, not they.

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_common::wire::{Mutation, mutation::Op};
use uuid::Uuid;

use crate::plan::decide::upload_name;

/// Something that at most one mutation may change at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    Op(Bytes),
    Bucket(u64),
    Object(u64, Bytes),
    Upload(Uuid),
    Part(Uuid, u32),
    BucketName(String),
    BucketNames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Shared,
    Exclusive,
}

pub type Lock = (Thing, Mode);

/// Everything a mutation reads or changes.
#[must_use]
pub fn locks_of(mutation: &Mutation) -> Vec<Lock> {
    use Mode::{Exclusive, Shared};
    let bucket = mutation.bucket_id;
    let object = || (Thing::Object(bucket, mutation.key.clone()), Exclusive);
    let mut locks = vec![(Thing::Op(mutation.op_id.clone()), Exclusive), (Thing::Bucket(bucket), Shared)];
    let upload = |name: &str, mode| upload_name(name).map(|id| (Thing::Upload(id), mode));
    let part = |name: &str, number| upload_name(name).map(|id| (Thing::Part(id, number), Exclusive));
    match mutation.op.as_ref() {
        Some(Op::Put(_) | Op::Delete(_) | Op::SetTags(_) | Op::SetAcl(_)) => locks.push(object()),
        Some(Op::Copy(copy)) => {
            locks.push(object());
            source(&mut locks, copy.source_bucket_id, &copy.source_key);
        }
        Some(Op::CopyPart(copy)) => {
            locks.extend(upload(&copy.upload_id, Shared));
            locks.extend(part(&copy.upload_id, copy.number));
            source(&mut locks, copy.source_bucket_id, &copy.source_key);
        }
        Some(Op::PutPart(put)) => {
            locks.extend(upload(&put.upload_id, Shared));
            locks.extend(part(&put.upload_id, put.part.as_ref().map_or(0, |part| part.number)));
        }
        Some(Op::CompleteUpload(complete)) => {
            locks.push(object());
            locks.extend(upload(&complete.upload_id, Exclusive));
        }
        Some(Op::AbortUpload(abort)) => locks.extend(upload(&abort.upload_id, Exclusive)),
        Some(Op::CreateBucket(create)) => {
            locks.push((Thing::BucketNames, Shared));
            locks.push((Thing::BucketName(create.name.clone()), Exclusive));
        }
        Some(Op::DeleteBucket(_)) => {
            locks[1].1 = Exclusive;
            locks.push((Thing::BucketNames, Exclusive));
        }
        // Everything else in the bucket is decided by what it is told here.
        Some(Op::ConfigureBucket(_)) => locks[1].1 = Exclusive,
        Some(Op::CreateUpload(_)) | None => {}
    }
    locks
}

/// A copy onto itself holds its key once, exclusively.
fn source(locks: &mut Vec<Lock>, bucket: u64, key: &Bytes) {
    let thing = Thing::Object(bucket, key.clone());
    if !locks.iter().any(|(held, _)| *held == thing) {
        locks.push((thing, Mode::Shared));
    }
    if !locks.iter().any(|(held, _)| *held == Thing::Bucket(bucket)) {
        locks.push((Thing::Bucket(bucket), Mode::Shared));
    }
}

/// Locks held: -1 exclusive, else how many share.
#[derive(Default)]
pub struct LockTable {
    held: HashMap<Thing, i64>,
}

impl LockTable {
    #[must_use]
    pub fn free(&self, locks: &[Lock]) -> bool {
        locks.iter().all(|(thing, mode)| match (self.held.get(thing), mode) {
            (None, _) => true,
            (Some(count), Mode::Shared) => *count > 0,
            (Some(_), Mode::Exclusive) => false,
        })
    }

    pub fn take(&mut self, locks: &[Lock]) {
        for (thing, mode) in locks {
            let count = self.held.entry(thing.clone()).or_insert(0);
            match mode {
                Mode::Shared => *count += 1,
                Mode::Exclusive => *count = -1,
            }
        }
    }

    /// Marks as wanted by someone in front, whatever is held: later ones that conflict wait behind.
    pub fn want(&mut self, locks: &[Lock]) {
        for (thing, mode) in locks {
            let count = self.held.entry(thing.clone()).or_insert(0);
            match mode {
                Mode::Shared if *count >= 0 => *count += 1,
                Mode::Shared => {}
                Mode::Exclusive => *count = -1,
            }
        }
    }

    pub fn release(&mut self, locks: &[Lock]) {
        for (thing, mode) in locks {
            let count = self.held.get_mut(thing).expect("released locks were held");
            *count = if *mode == Mode::Exclusive { 0 } else { *count - 1 };
            if *count == 0 {
                self.held.remove(thing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LockTable, Mode, Thing};

    #[test]
    fn shared_together_exclusive_alone() {
        let shared = [(Thing::Bucket(1), Mode::Shared)];
        let exclusive = [(Thing::Bucket(1), Mode::Exclusive)];
        let mut table = LockTable::default();
        table.take(&shared);
        assert!(table.free(&shared) && !table.free(&exclusive));
        table.take(&shared);
        table.release(&shared);
        assert!(!table.free(&exclusive));
        table.release(&shared);
        assert!(table.free(&exclusive));
        table.take(&exclusive);
        assert!(!table.free(&shared));
        table.release(&exclusive);
        assert!(table.held.is_empty());
    }
}
