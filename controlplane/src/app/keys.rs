//! Access keys: made, listed, revoked. The secret is shown once; nodes get day signing keys only.

use std::collections::HashMap;
use std::time::Instant;

use holdfast_common::secret::Secret;
use holdfast_common::wire;

use super::config::{self, ALL_PERMISSIONS};
use super::tenants::check_name;
use super::{AdminError, Authority, CreatedKey, KeyInfo, NewKey, Permission, Revoked};
use crate::app::commit::now_ms;
use crate::app::sessions::wait::Acknowledgement;
use crate::plan::signing_days;
use crate::store::access_key::{self, AccessKeyRow};
use crate::store::{Client, bucket, tenant};

/// Bounds of an access key id that an operator chose for the root key.
const ROOT_ID_BYTES: std::ops::RangeInclusive<usize> = 3..=128;
/// Shortest root secret: AWS's tools refuse less than 8.
const ROOT_SECRET_BYTES_MIN: usize = 8;

fn permission(number: i32) -> Option<Permission> {
    match wire::Permission::try_from(number).ok()? {
        wire::Permission::Read => Some(Permission::Read),
        wire::Permission::Write => Some(Permission::Write),
        wire::Permission::Admin => Some(Permission::Admin),
        wire::Permission::Unspecified => None,
    }
}

fn number(permission: Permission) -> i32 {
    match permission {
        Permission::Read => wire::Permission::Read as i32,
        Permission::Write => wire::Permission::Write as i32,
        Permission::Admin => wire::Permission::Admin as i32,
    }
}

/// Sorted and once each; none named means read and write.
fn numbers(permissions: &[Permission], scoped: bool) -> Vec<i32> {
    let mut permissions = match permissions {
        [] if scoped => vec![Permission::Read, Permission::Write],
        [] => vec![Permission::Read, Permission::Write, Permission::Admin],
        named => named.to_vec(),
    };
    // Who may delete a bucket may as well empty it: admin is shown, and works, as all three.
    if permissions.contains(&Permission::Admin) {
        permissions.extend([Permission::Read, Permission::Write]);
    }
    permissions.sort_unstable();
    permissions.dedup();
    permissions.into_iter().map(number).collect()
}

impl Authority {
    pub(super) async fn create_key_inner(&self, new: NewKey) -> Result<CreatedKey, AdminError> {
        check_name("key", &new.name)?;
        let (row, secret, waits) = self.insert_key(new).await?;
        // Others may change configuration while the nodes hear of this.
        self.everybody_knows(waits).await?;
        let client = self.inner.store.client().await?;
        let key = self.infos(&client, vec![row]).await?.remove(0);
        Ok(CreatedKey { key, secret_access_key: secret })
    }

    async fn insert_key(
        &self,
        new: NewKey,
    ) -> Result<(AccessKeyRow, Secret, Vec<Acknowledgement>), AdminError> {
        let inner = &self.inner;
        let _order = inner.configuration.lock().await;
        self.must_lead().await?;
        let client = inner.store.client().await?;
        let tenant_name = new.tenant.as_deref().unwrap_or("root");
        let owner = tenant::by_name(&client, tenant_name).await?;
        let owner = owner.ok_or_else(|| {
            AdminError::NotFound(format!(
                "there is no tenant {tenant_name}; make it with `create-tenant --name {tenant_name}`"
            ))
        })?;
        let bucket_ids = match &new.buckets {
            None => None,
            Some(names) => Some(bucket::ids_of(&client, owner.id, names).await?.map_err(|unknown| {
                AdminError::NotFound(format!(
                    "the tenant {tenant_name} has no bucket {unknown}; a key's scope holds buckets that exist"
                ))
            })?),
        };
        let secret = inner.vault.fresh_secret();
        let access_key_id = inner.vault.fresh_access_key_id();
        let row = AccessKeyRow {
            secret: inner.vault.seal(&access_key_id, &secret),
            access_key_id,
            name: new.name,
            tenant_id: owner.id,
            bucket_ids,
            permissions: numbers(&new.permissions, new.buckets.is_some()),
            signed_not_before: 0,
            revision: 1,
            root: false,
            created_ms: 0,
            revoked_ms: None,
        };
        let row = access_key::insert(&client, &row).await?;
        let row = row.ok_or_else(|| AdminError::Conflict("the access key id is taken; try again".into()))?;
        let waits = self.publish_key(&row);
        self.must_lead_still(&client).await?;
        Ok((row, secret, waits))
    }

    fn publish_key(&self, row: &AccessKeyRow) -> Vec<Acknowledgement> {
        let keys = config::keys_of(&self.inner, std::slice::from_ref(row), now_ms());
        let upsert = wire::ConfigSnapshot { keys, ..Default::default() };
        self.inner.sessions.publish_config(wire::ConfigChange { upsert: Some(upsert), ..Default::default() })
    }

    pub(super) async fn list_keys_inner(&self) -> Result<Vec<KeyInfo>, AdminError> {
        let client = self.inner.store.client().await?;
        let rows = access_key::all(&client).await?;
        self.infos(&client, rows).await
    }

    async fn infos(&self, client: &Client, rows: Vec<AccessKeyRow>) -> Result<Vec<KeyInfo>, AdminError> {
        let tenants: HashMap<u64, String> =
            tenant::all(client).await?.into_iter().map(|row| (row.id, row.name)).collect();
        let buckets: HashMap<u64, String> =
            bucket::all(client).await?.into_iter().map(|row| (row.id, row.name)).collect();
        let info = |row: AccessKeyRow| KeyInfo {
            tenant: tenants.get(&row.tenant_id).cloned().unwrap_or_default(),
            buckets: row
                .bucket_ids
                .as_ref()
                .map(|ids| ids.iter().filter_map(|id| buckets.get(id).cloned()).collect()),
            access_key_id: row.access_key_id,
            name: row.name,
            tenant_id: row.tenant_id,
            bucket_ids: row.bucket_ids,
            permissions: row.permissions.into_iter().filter_map(permission).collect(),
            signed_not_before: signing_days::dashed(row.signed_not_before),
            created_ms: row.created_ms,
            revoked_ms: row.revoked_ms,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    pub(super) async fn revoke_key_inner(&self, access_key_id: &str) -> Result<Revoked, AdminError> {
        let began = Instant::now();
        let waits = {
            let inner = &self.inner;
            let _order = inner.configuration.lock().await;
            self.must_lead().await?;
            let client = inner.store.client().await?;
            if !access_key::revoke(&client, access_key_id).await? {
                return Err(AdminError::NotFound(format!(
                    "there is no access key {access_key_id}; see `list-keys`"
                )));
            }
            let removed_keys = vec![access_key_id.to_owned()];
            let waits =
                inner.sessions.publish_config(wire::ConfigChange { removed_keys, ..Default::default() });
            self.must_lead_still(&client).await?;
            waits
        };
        self.refused_everywhere(access_key_id, waits, began).await
    }

    pub(super) async fn revoke_signatures_inner(
        &self,
        access_key_id: &str,
        before: &str,
    ) -> Result<Revoked, AdminError> {
        let began = Instant::now();
        let before = signing_days::first_trusted_day(before, now_ms()).map_err(AdminError::Invalid)?;
        let waits = {
            let _order = self.inner.configuration.lock().await;
            self.must_lead().await?;
            let client = self.inner.store.client().await?;
            let row = access_key::revoke_signatures(&client, access_key_id, before).await?;
            let row = row.ok_or_else(|| {
                AdminError::NotFound(format!("there is no live access key {access_key_id}; see `list-keys`"))
            })?;
            let waits = self.publish_key(&row);
            self.must_lead_still(&client).await?;
            waits
        };
        self.refused_everywhere(access_key_id, waits, began).await
    }

    /// Waits until no node answers anything that was signed with what was just taken from this key.
    async fn refused_everywhere(
        &self,
        access_key_id: &str,
        waits: Vec<Acknowledgement>,
        began: Instant,
    ) -> Result<Revoked, AdminError> {
        let inner = &self.inner;
        let (acknowledged, late) = self.everybody_knows(waits).await?;
        // A node whose session stalls has lost its leases and answers nobody new; what it has begun to answer may ask still, and
        // asks in vain until it has heard of the revocation.
        for (session, ordinal) in &late {
            inner.sessions.hold_queries(*session, *ordinal);
        }
        let expired = u32::try_from(late.len()).unwrap_or(u32::MAX);
        let waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Revoked { access_key_id: access_key_id.to_owned(), acknowledged, expired, waited_ms })
    }

    pub(super) async fn ensure_root_key_inner(
        &self,
        access_key_id: &str,
        secret: &Secret,
    ) -> Result<(), AdminError> {
        if !ROOT_ID_BYTES.contains(&access_key_id.len())
            || !access_key_id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        {
            return Err(AdminError::Invalid(
                "a root access key id has 3 to 128 printable characters, without `/` and spaces".into(),
            ));
        }
        if secret.expose().len() < ROOT_SECRET_BYTES_MIN {
            return Err(AdminError::Invalid(format!(
                "a root secret has at least {ROOT_SECRET_BYTES_MIN} characters"
            )));
        }
        let waits = self.put_root_key(access_key_id, secret).await?;
        self.everybody_knows(waits).await?;
        Ok(())
    }

    /// Nothing to wait for: it was there already.
    async fn put_root_key(
        &self,
        access_key_id: &str,
        secret: &Secret,
    ) -> Result<Vec<Acknowledgement>, AdminError> {
        let inner = &self.inner;
        let _order = inner.configuration.lock().await;
        self.must_lead().await?;
        let client = inner.store.client().await?;
        let row = match access_key::by_id(&client, access_key_id).await? {
            None => self.insert_root_key(&client, access_key_id, secret).await?,
            Some(row) if !row.root => {
                return Err(AdminError::Conflict(format!(
                    "{access_key_id} is another key's id; choose another for root"
                )));
            }
            Some(row) => {
                let same = inner
                    .vault
                    .open(access_key_id, &row.secret)
                    .is_ok_and(|known| known.expose() == secret.expose());
                if same && row.revoked_ms.is_none() {
                    return Ok(Vec::new());
                }
                access_key::replace_secret(&client, access_key_id, &inner.vault.seal(access_key_id, secret))
                    .await?;
                access_key::by_id(&client, access_key_id).await?
            }
        };
        let row =
            row.ok_or_else(|| AdminError::Conflict("the root key changed meanwhile; try again".into()))?;
        let waits = self.publish_key(&row);
        self.must_lead_still(&client).await?;
        Ok(waits)
    }

    async fn insert_root_key(
        &self,
        client: &Client,
        id: &str,
        secret: &Secret,
    ) -> Result<Option<AccessKeyRow>, AdminError> {
        let owner = tenant::by_name(client, "root").await?;
        let owner = owner.ok_or_else(|| AdminError::Unavailable("the tenant root is missing".into()))?;
        let row = AccessKeyRow {
            access_key_id: id.to_owned(),
            name: "root".into(),
            tenant_id: owner.id,
            secret: self.inner.vault.seal(id, secret),
            bucket_ids: None,
            permissions: ALL_PERMISSIONS.to_vec(),
            signed_not_before: 0,
            revision: 1,
            root: true,
            created_ms: 0,
            revoked_ms: None,
        };
        Ok(access_key::insert(client, &row).await?)
    }

    /// Pushes the signing keys of the days that count today; nodes keep what they have until it arrives.
    pub(crate) async fn refresh_day_keys(&self) -> Result<(), AdminError> {
        let inner = &self.inner;
        let _order = inner.configuration.lock().await;
        self.must_lead().await?;
        let client = inner.store.client().await?;
        let keys = config::keys_of(inner, &access_key::all(&client).await?, now_ms());
        let upsert = wire::ConfigSnapshot { keys, ..Default::default() };
        inner.sessions.publish_config(wire::ConfigChange { upsert: Some(upsert), ..Default::default() });
        Ok(())
    }
}
