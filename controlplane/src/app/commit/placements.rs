//! Placements that a commit may name. A row that named another would have its bytes nowhere that anybody could find: no job
//! about it would go to any node, and no reader would know where to look.
//!
//! Ids are given once and not taken back within an epoch, so what was found once is remembered until the next begins: its
//! database may be one that lacks them. A batch asks the database only about what is new.

use std::collections::{BTreeSet, HashSet};

use holdfast_common::wire::mutation::Op;
use holdfast_common::wire::{Blob, Mutation, Refusal, Refused};
use parking_lot::Mutex;

use crate::app::commit::Item;
use crate::app::truth::Truth;
use crate::plan::refuse;
use crate::store::StoreError;

/// Placements that are known to be on record; as many as that table has rows.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashSet<u32>>);

impl Known {
    pub(crate) fn add(&self, placement_id: u32) {
        self.0.lock().insert(placement_id);
    }

    /// Another epoch begins, and with it perhaps another database.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }

    /// Of the placements that these name, those that do not exist.
    pub(super) async fn missing(
        &self,
        truth: &dyn Truth,
        items: &[(&Item, u64)],
    ) -> Result<BTreeSet<u32>, StoreError> {
        let mut asked: BTreeSet<u32> = {
            let known = self.0.lock();
            let named =
                items.iter().flat_map(|(item, _)| blobs(&item.mutation)).map(|blob| blob.placement_id);
            named.filter(|id| !known.contains(id)).collect()
        };
        if !asked.is_empty() {
            for found in truth.known_placements(&asked).await? {
                asked.remove(&found);
                self.add(found);
            }
        }
        Ok(asked)
    }
}

/// Blobs that a mutation brings, with their placements.
fn blobs(mutation: &Mutation) -> Vec<&Blob> {
    match mutation.op.as_ref() {
        Some(Op::Put(put)) => {
            let parts = put.manifest.as_ref().map_or(&[][..], |manifest| &manifest.parts);
            parts.iter().filter_map(|part| part.blob.as_ref()).collect()
        }
        Some(Op::PutPart(put)) => put.part.iter().filter_map(|part| part.blob.as_ref()).collect(),
        Some(Op::CopyPart(copy)) => copy.part.iter().filter_map(|part| part.blob.as_ref()).collect(),
        _ => Vec::new(),
    }
}

/// Why a mutation cannot be committed when these do not exist.
pub(super) fn refusal(mutation: &Mutation, missing: &BTreeSet<u32>) -> Option<Refused> {
    if missing.is_empty() {
        return None;
    }
    let blob = blobs(mutation).into_iter().find(|blob| missing.contains(&blob.placement_id))?;
    let sentence = format!("the placement {} does not exist: nobody could find the bytes", blob.placement_id);
    Some(refuse(Refusal::Malformed, sentence))
}
