//! Facts of the node's snapshot that decisions are made from: keys and buckets.

use super::settings::BucketSettings;
use crate::name::BucketName;
use holdfast_common::id::{BucketId, TenantId};
use holdfast_common::wire;

/// What a key may do; each is separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Get, head, list.
    Read,
    /// Put, delete, multipart uploads.
    Write,
    /// Create and delete buckets, their configuration.
    Admin,
}

/// A set of permissions. Empty grants nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u8);

impl Permissions {
    pub const ALL: Self = Self(0b111);

    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission as u8)
    }

    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::default(), Self::with)
    }
}

/// Where a key may do it. Ids, not names: a bucket that is deleted and created again is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every bucket of the key's tenant, future ones too.
    WholeTenant,
    /// These; none when empty. Sorted.
    Buckets(Box<[BucketId]>),
}

impl Scope {
    #[must_use]
    pub fn buckets(ids: impl IntoIterator<Item = BucketId>) -> Self {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        Self::Buckets(ids.into())
    }

    #[must_use]
    pub fn holds(&self, bucket: BucketId) -> bool {
        match self {
            Self::WholeTenant => true,
            Self::Buckets(ids) => ids.binary_search(&bucket).is_ok(),
        }
    }
}

/// A key as nodes know it, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIdentity {
    pub access_key_id: Box<str>,
    pub name: Box<str>,
    pub tenant_id: TenantId,
    pub scope: Scope,
    pub permissions: Permissions,
    /// yyyymmdd; credential scopes of an earlier day are refused. 0: no bound.
    pub signed_not_before: u32,
    pub revision: u64,
}

/// A key of the snapshot that this build cannot read: it must be left out, which refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the access key id is empty or too long")]
    AccessKeyId,
    #[error("the permission {0} is unknown")]
    Permission(i32),
}

impl KeyIdentity {
    /// Reads what the authority sent.
    ///
    /// # Errors
    /// An id that no request could name, or a permission of a later version (its meaning is unknown: deny).
    pub fn from_wire(key: &wire::AccessKey) -> Result<Self, IdentityError> {
        let length = key.access_key_id.len();
        if length == 0 || length > crate::limits::ACCESS_KEY_ID_BYTES_MAX {
            return Err(IdentityError::AccessKeyId);
        }
        let permission = |number: &i32| match wire::Permission::try_from(*number) {
            Ok(wire::Permission::Read) => Ok(Permission::Read),
            Ok(wire::Permission::Write) => Ok(Permission::Write),
            Ok(wire::Permission::Admin) => Ok(Permission::Admin),
            Ok(wire::Permission::Unspecified) | Err(_) => Err(IdentityError::Permission(*number)),
        };
        let scope = match key.all_buckets {
            true => Scope::WholeTenant,
            false => Scope::buckets(key.bucket_ids.iter().map(|id| BucketId(*id))),
        };
        Ok(Self {
            access_key_id: key.access_key_id.as_str().into(),
            name: key.name.as_str().into(),
            tenant_id: TenantId(key.tenant_id),
            scope,
            permissions: key.permissions.iter().map(permission).collect::<Result<_, _>>()?,
            signed_not_before: key.signed_not_before,
            revision: key.revision,
        })
    }
}

/// A bucket as nodes know it: its row at `revision`.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketFacts {
    pub bucket_id: BucketId,
    pub tenant_id: TenantId,
    pub name: BucketName,
    pub created_ms: u64,
    /// Of its configuration; a commit names the one it acted on.
    pub revision: u64,
    pub region: Box<str>,
    /// 0 never, 1 enabled, 2 suspended
    pub versioning: u32,
    pub shard: u32,
    pub class_id: u32,
    /// `None`: a document of it is beyond this build, and nobody may do anything there.
    pub settings: Option<BucketSettings>,
    /// For how long what a node knew of its objects is shown where the authority cannot be asked; 0: not at all.
    pub stale_reads_ms: u64,
}

impl BucketFacts {
    /// Reads what the authority sent; `None` when the name is no bucket name.
    #[must_use]
    pub fn from_wire(bucket: &wire::Bucket) -> Option<Self> {
        let name = BucketName::parse(&bucket.name).ok()?;
        Some(Self {
            settings: BucketSettings::from_wire(bucket.configuration.as_ref(), &name),
            bucket_id: BucketId(bucket.bucket_id),
            tenant_id: TenantId(bucket.tenant_id),
            name,
            created_ms: bucket.created_ms,
            revision: bucket.revision,
            region: bucket.region.as_str().into(),
            versioning: bucket.versioning,
            shard: bucket.shard,
            class_id: bucket.class_id,
            stale_reads_ms: bucket.stale_reads_ms,
        })
    }
}
