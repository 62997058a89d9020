//! Lookups: current versions and named ones, of a whole message by at most two statements.

use std::collections::HashMap;

use bytes::Bytes;
use holdfast_common::wire;

use crate::app::truth::Truth;
use crate::store::StoreError;
use crate::store::version::{VersionRow, stored_id};

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    current: HashMap<(u64, Bytes), VersionRow>,
    named: HashMap<(u64, Bytes, String), VersionRow>,
}

impl Found {
    pub(super) async fn look_up<'a>(
        truth: &dyn Truth,
        lookups: impl Iterator<Item = &'a wire::LookupQuery>,
    ) -> Result<Self, StoreError> {
        let (mut keys, mut names) = (Vec::new(), Vec::new());
        for lookup in lookups.filter(|lookup| i64::try_from(lookup.bucket_id).is_ok()) {
            let key = (lookup.bucket_id, lookup.key.clone());
            match lookup.by_version {
                false => keys.push(key),
                // PostgreSQL's text cannot hold NUL, and no version id does.
                true if lookup.version_id.contains('\0') => {}
                true => names.push((key.0, key.1, stored_id(&lookup.version_id).to_owned())),
            }
        }
        keys.sort_unstable();
        keys.dedup();
        names.sort_unstable();
        names.dedup();
        let mut found = Self::default();
        if !keys.is_empty() {
            let rows = truth.current(&keys).await?.into_iter();
            found.current = rows.map(|row| ((row.object.bucket_id, row.object.key.clone()), row)).collect();
        }
        if !names.is_empty() {
            for row in truth.named(&names).await? {
                let object = &row.object;
                let name = (object.bucket_id, object.key.clone(), object.version_id.clone());
                found.named.insert(name, row);
            }
        }
        Ok(found)
    }

    pub(super) fn record(&self, lookup: &wire::LookupQuery) -> Option<wire::ObjectRecord> {
        let (bucket_id, key) = (lookup.bucket_id, lookup.key.clone());
        let row = if lookup.by_version {
            self.named.get(&(bucket_id, key, stored_id(&lookup.version_id).to_owned()))
        } else {
            self.current.get(&(bucket_id, key))
        };
        row.map(|row| row.clone().into_record())
    }
}
