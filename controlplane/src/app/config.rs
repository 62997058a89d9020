//! What nodes are told of keys, buckets, backends, placements and each other: rows turned into wire messages.

use bytes::Bytes;
use holdfast_common::wire;

use crate::app::truth::Configuration;
use crate::app::{Inner, vault};
use crate::plan::decide::ConfigEffect;
use crate::plan::signing_days::signing_days;
use crate::store::access_key::AccessKeyRow;
use crate::store::backend::BackendRow;
use crate::store::bucket::BucketRow;
use crate::store::node::PeerRow;
use crate::store::tenant::TenantRow;

/// Permissions as stored; numbers of the wire's enum.
pub(crate) const ALL_PERMISSIONS: [i32; 3] =
    [wire::Permission::Read as i32, wire::Permission::Write as i32, wire::Permission::Admin as i32];

/// Everything, for a node that has just said hello. Revoked keys are not in it.
pub(crate) fn snapshot(inner: &Inner, rows: &Configuration, now_ms: u64) -> wire::ConfigSnapshot {
    let placement = |(placement_id, backends): &(u32, Vec<u32>)| wire::Placement {
        placement_id: *placement_id,
        backends: backends.clone(),
    };
    wire::ConfigSnapshot {
        keys: keys_of(inner, &rows.keys, now_ms),
        buckets: rows.buckets.iter().map(of_bucket).collect(),
        backends: rows.backends.iter().map(of_backend).collect(),
        placements: rows.placements.iter().map(placement).collect(),
        tenants: rows.tenants.iter().map(of_tenant).collect(),
        peers: rows.peers.iter().map(of_peer).collect(),
    }
}

/// Live keys with their day signing keys. A key whose secret does not open is left out, loudly: deny, not guess.
pub(crate) fn keys_of(inner: &Inner, rows: &[AccessKeyRow], now_ms: u64) -> Vec<wire::AccessKey> {
    let days = signing_days(now_ms);
    rows.iter()
        .filter(|row| row.revoked_ms.is_none())
        .filter_map(|row| match inner.vault.open(&row.access_key_id, &row.secret) {
            Ok(secret) => Some(wire::AccessKey {
                access_key_id: row.access_key_id.clone(),
                tenant_id: row.tenant_id,
                all_buckets: row.bucket_ids.is_none(),
                bucket_ids: row.bucket_ids.clone().unwrap_or_default(),
                permissions: row.permissions.clone(),
                day_keys: vault::day_keys(&secret, &days, &inner.regions),
                signed_not_before: row.signed_not_before,
                name: row.name.clone(),
                revision: row.revision,
            }),
            Err(error) => {
                tracing::error!(%error, "an access key is not usable");
                None
            }
        })
        .collect()
}

pub(crate) fn of_bucket(row: &BucketRow) -> wire::Bucket {
    wire::Bucket {
        bucket_id: row.id,
        name: row.name.clone(),
        tenant_id: row.tenant_id,
        created_ms: row.created_ms,
        revision: row.revision,
        region: row.region.clone(),
        versioning: row.versioning.number(),
        shard: row.shard,
        class_id: row.class_id,
        configuration: Some(row.configuration.clone()),
        stale_reads_ms: row.stale_reads_ms,
    }
}

pub(crate) fn of_backend(row: &BackendRow) -> wire::Backend {
    wire::Backend {
        backend_id: row.id,
        kind: row.kind.clone(),
        drive_id: row.drive_id.map(|id| Bytes::copy_from_slice(id.as_bytes())).unwrap_or_default(),
        node_id: row.node_id.map(|id| id.to_string()).unwrap_or_default(),
        state: row.shown_state().to_owned(),
        region: row.region.clone(),
        country: row.country.clone(),
        provider: row.provider.clone(),
        revision: row.revision,
    }
}

pub(crate) fn of_peer(row: &PeerRow) -> wire::Peer {
    wire::Peer {
        node_id: row.node_id.to_string(),
        node_name: row.name.clone(),
        addr: row.addr.clone(),
        node_number: row.number.into(),
        state: row.state.clone(),
        scattered: row.scattered,
    }
}

pub(crate) fn of_tenant(row: &TenantRow) -> wire::Tenant {
    wire::Tenant { tenant_id: row.id, canonical_id: row.canonical_id.clone(), display_name: row.name.clone() }
}

/// The change that a commit makes.
pub(crate) fn of_effect(effect: &ConfigEffect, seq: u64) -> wire::ConfigChange {
    match effect {
        ConfigEffect::BucketMade(row) | ConfigEffect::BucketChanged(row) => {
            let upsert = wire::ConfigSnapshot { buckets: vec![of_bucket(row)], ..Default::default() };
            wire::ConfigChange { upsert: Some(upsert), seq, ..Default::default() }
        }
        ConfigEffect::BucketGone(id) => {
            wire::ConfigChange { removed_buckets: vec![*id], seq, ..Default::default() }
        }
    }
}
