//! The actions, as types: each says what it acts on and which permission it takes.
//!
//! A new S3 operation either uses one of these or adds a line here; there is no action without a permission.

use super::identity::{BucketFacts, KeyIdentity, Permission, Scope};
use crate::error::{Code, S3Error};
use crate::name::{BucketName, ObjectKey};
use holdfast_common::id::TenantId;
use std::sync::Arc;

/// Something a sender may be allowed to do. Sealed: the list is this file's.
pub trait Action: sealed::Sealed {
    /// The question, with the facts of the snapshot.
    type Ask<'a>: Ask<Resource = Self::Resource>;
    /// What a grant is for.
    type Resource;
    /// In logs and metrics.
    const NAME: &'static str;
    const PERMISSION: Permission;
}

mod sealed {
    pub trait Sealed {}
}

/// A question that the evaluator can answer for a key that has the permission.
pub trait Ask {
    type Resource;

    /// The resource, if it lies where the key may act.
    ///
    /// # Errors
    /// `AccessDenied`, or `NoSuchBucket` for those who may know.
    fn resolve(self, key: &KeyIdentity) -> Result<Self::Resource, S3Error>;
}

/// About the account itself.
#[derive(Clone, Copy, Debug)]
pub struct AccountAsk;

/// Which buckets a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleBuckets {
    pub tenant_id: TenantId,
    scope: Scope,
}

impl VisibleBuckets {
    #[must_use]
    pub fn shows(&self, bucket: &BucketFacts) -> bool {
        bucket.tenant_id == self.tenant_id && self.scope.holds(bucket.bucket_id)
    }
}

impl Ask for AccountAsk {
    type Resource = VisibleBuckets;

    fn resolve(self, key: &KeyIdentity) -> Result<VisibleBuckets, S3Error> {
        Ok(VisibleBuckets { tenant_id: key.tenant_id, scope: key.scope.clone() })
    }
}

/// About a bucket that shall be created. Whether the name is free is decided in the commit.
#[derive(Clone, Copy, Debug)]
pub struct NewBucketAsk<'a> {
    pub name: &'a BucketName,
}

impl Ask for NewBucketAsk<'_> {
    type Resource = BucketName;

    /// A key scoped to buckets creates none: the new one would not be in its scope.
    fn resolve(self, key: &KeyIdentity) -> Result<BucketName, S3Error> {
        match key.scope {
            Scope::WholeTenant => Ok(self.name.clone()),
            Scope::Buckets(_) => Err(S3Error::new(Code::AccessDenied)),
        }
    }
}

/// About a bucket: the name as asked, and what the snapshot has under it.
#[derive(Clone, Copy, Debug)]
pub struct BucketAsk<'a> {
    pub name: &'a BucketName,
    pub found: Option<&'a Arc<BucketFacts>>,
}

/// A bucket that may be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketTarget {
    pub bucket: Arc<BucketFacts>,
}

impl Ask for BucketAsk<'_> {
    type Resource = BucketTarget;

    fn resolve(self, key: &KeyIdentity) -> Result<BucketTarget, S3Error> {
        match (self.found, &key.scope) {
            (Some(bucket), scope) if bucket.tenant_id == key.tenant_id && scope.holds(bucket.bucket_id) => {
                Ok(BucketTarget { bucket: Arc::clone(bucket) })
            }
            (None, Scope::WholeTenant) => {
                Err(S3Error::new(Code::NoSuchBucket).with("BucketName", self.name.as_str()))
            }
            (Some(_), _) | (None, Scope::Buckets(_)) => Err(S3Error::new(Code::AccessDenied)),
        }
    }
}

/// About an object.
#[derive(Clone, Debug)]
pub struct ObjectAsk<'a> {
    pub bucket: BucketAsk<'a>,
    pub key: ObjectKey,
}

/// An object, existing or not, that may be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectTarget {
    pub bucket: Arc<BucketFacts>,
    pub key: ObjectKey,
}

impl Ask for ObjectAsk<'_> {
    type Resource = ObjectTarget;

    fn resolve(self, key: &KeyIdentity) -> Result<ObjectTarget, S3Error> {
        let BucketTarget { bucket } = self.bucket.resolve(key)?;
        Ok(ObjectTarget { bucket, key: self.key })
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $ask:ty => $resource:ty, $permission:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl Action for $name {
            type Ask<'a> = $ask;
            type Resource = $resource;
            const NAME: &'static str = stringify!($name);
            const PERMISSION: Permission = Permission::$permission;
        }
    )*};
}

actions! {
    ListBuckets: AccountAsk => VisibleBuckets, Read;
    CreateBucket: NewBucketAsk<'a> => BucketName, Admin;
    DeleteBucket: BucketAsk<'a> => BucketTarget, Admin;
    /// HeadBucket, GetBucketLocation.
    ReadBucket: BucketAsk<'a> => BucketTarget, Read;
    ListObjects: BucketAsk<'a> => BucketTarget, Read;
    ListUploads: BucketAsk<'a> => BucketTarget, Read;
    /// GetObject, HeadObject, the source of a copy.
    GetObject: ObjectAsk<'a> => ObjectTarget, Read;
    /// PutObject, the target of a copy, and creating, filling and completing a multipart upload.
    PutObject: ObjectAsk<'a> => ObjectTarget, Write;
    /// DeleteObject, each key of a DeleteObjects.
    DeleteObject: ObjectAsk<'a> => ObjectTarget, Write;
    AbortUpload: ObjectAsk<'a> => ObjectTarget, Write;
    ListParts: ObjectAsk<'a> => ObjectTarget, Read;
}
