//! How safe an object is: the fragments that it should have less those that are known to be missing.

use std::collections::HashMap;

use holdfast_common::wire;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AdminError, Authority};
use crate::plan::redundancy;
use crate::store::job::{self, OpenJob};
use crate::store::{Client, StoreError, bucket, head, manifest_page};

/// An object's redundancy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ObjectRedundancy {
    pub bucket: String,
    pub key: String,
    pub version_id: String,
    pub size: u64,
    /// Every part has all the fragments that it should have.
    pub whole: bool,
    /// How many fragments more the weakest part can lose; below 0: it cannot be read.
    pub can_lose: Option<i16>,
    pub parts: Vec<PartRedundancy>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartRedundancy {
    /// 0 for an object that was not uploaded in parts.
    pub number: u32,
    /// The blob's name.
    pub op_id: String,
    pub size: u64,
    pub placement_id: u32,
    /// Fragments it should have.
    pub desired: u32,
    /// Fragments that suffice to read it.
    pub needed: u32,
    /// Fragments not known to be missing.
    pub proven: u32,
    /// Indexes of those that are.
    pub missing: Vec<u32>,
    /// Its repair: `waiting`, `leased`, `failed`; null: none is open.
    pub repair: Option<String>,
    /// Times the repair was begun.
    pub attempts: u32,
    /// What the node last said of it.
    pub detail: Option<String>,
}

impl Authority {
    /// Desired and proven redundancy of the current version of a key, part by part.
    pub async fn object_redundancy(&self, bucket: &str, key: &str) -> Result<ObjectRedundancy, AdminError> {
        let client = self.inner.store.client().await?;
        let found = bucket::all(&client).await?.into_iter().find(|row| row.name == bucket);
        let row = found.ok_or_else(|| AdminError::NotFound(format!("there is no bucket {bucket}")))?;
        let name = bytes::Bytes::copy_from_slice(key.as_bytes());
        let head = head::lookup(&client, &[(row.id, name)]).await?.pop();
        let head = head.ok_or_else(|| {
            AdminError::NotFound(format!("there is no object {key} in the bucket {bucket}"))
        })?;
        let blobs = blobs_of(&client, &head.manifest).await?;
        let names: Vec<Uuid> =
            blobs.iter().filter_map(|(_, blob)| Uuid::from_slice(&blob.op_id).ok()).collect();
        let open = job::open_for(&client, &names).await?;
        let parts: Vec<PartRedundancy> =
            blobs.iter().map(|(number, blob)| part(*number, blob, &open)).collect();
        let slack = |(blob, part): (&(u32, wire::Blob), &PartRedundancy)| {
            let missing = part.missing.iter().fold(0, |bits, index| bits | 1 << index);
            redundancy::slack(&blob.1, missing)
        };
        Ok(ObjectRedundancy {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: head.version_id,
            size: head.size,
            whole: parts.iter().all(|part| part.missing.is_empty()),
            can_lose: blobs.iter().zip(&parts).map(slack).min(),
            parts,
        })
    }
}

/// Part numbers and blobs, in order.
async fn blobs_of(client: &Client, manifest: &wire::Manifest) -> Result<Vec<(u32, wire::Blob)>, StoreError> {
    let mut parts = manifest.parts.clone();
    if let Ok(pages_of) = Uuid::from_slice(&manifest.pages_of) {
        for page in 0..u32::try_from(manifest.page_offsets.len()).unwrap_or(0) {
            let page = manifest_page::page(client, pages_of, page).await?;
            parts.extend(page.map(|page| page.parts).unwrap_or_default());
        }
    }
    Ok(parts.into_iter().filter_map(|part| Some((part.number, part.blob?))).collect())
}

fn part(number: u32, blob: &wire::Blob, open: &HashMap<Uuid, OpenJob>) -> PartRedundancy {
    let name = Uuid::from_slice(&blob.op_id).unwrap_or_default();
    let job = open.get(&name);
    let missing = job.map_or(0, |job| job.missing) & redundancy::all(blob);
    let desired = redundancy::fragments(blob);
    PartRedundancy {
        number,
        op_id: name.to_string(),
        size: blob.size,
        placement_id: blob.placement_id,
        desired,
        needed: blob.coding.as_ref().map_or(0, |coding| coding.data),
        proven: desired - missing.count_ones(),
        missing: (0..desired).filter(|index| missing >> index & 1 == 1).collect(),
        repair: job.map(|job| job.state.to_owned()),
        attempts: job.map_or(0, |job| job.attempts),
        detail: job.and_then(|job| job.error.clone()),
    }
}
