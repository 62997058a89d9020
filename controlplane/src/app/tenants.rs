//! Tenants: owners of keys and buckets.

use holdfast_common::wire;

use super::{AdminError, Authority, TenantInfo, config};
use crate::limits::NAME_BYTES_MAX;
use crate::store::tenant::{self, TenantRow};

fn info(row: TenantRow) -> TenantInfo {
    TenantInfo {
        tenant_id: row.id,
        name: row.name,
        canonical_id: row.canonical_id,
        created_ms: row.created_ms,
    }
}

pub(super) fn check_name(what: &str, name: &str) -> Result<(), AdminError> {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "the name of a {what} has 1 to {NAME_BYTES_MAX} bytes and no control characters"
    )))
}

impl Authority {
    pub(super) async fn create_tenant_inner(&self, name: &str) -> Result<TenantInfo, AdminError> {
        check_name("tenant", name)?;
        let inner = &self.inner;
        let (row, waits) = {
            let _order = inner.configuration.lock().await;
            self.must_lead().await?;
            let client = inner.store.client().await?;
            let canonical_id = hex::encode(inner.vault.random::<32>());
            let row = tenant::insert(&client, name, &canonical_id).await?;
            let row = row.ok_or_else(|| AdminError::Conflict(format!("the tenant {name} exists")))?;
            let upsert =
                wire::ConfigSnapshot { tenants: vec![config::of_tenant(&row)], ..Default::default() };
            let change = wire::ConfigChange { upsert: Some(upsert), ..Default::default() };
            (row, inner.sessions.publish_config(change))
        };
        self.everybody_knows(waits).await?;
        Ok(info(row))
    }

    pub(super) async fn list_tenants_inner(&self) -> Result<Vec<TenantInfo>, AdminError> {
        let client = self.inner.store.client().await?;
        Ok(tenant::all(&client).await?.into_iter().map(info).collect())
    }
}
