//! The actions, as types: each says what it acts on, which permission of a key it takes, and what opens it to others.
//!
//! A new S3 operation either uses one of these or adds a line here; there is no action without a permission.

use super::identity::{BucketFacts, KeyIdentity, Permission, Scope};
use crate::document::acl::Opened;
use crate::error::{Code, S3Error};
use crate::name::{BucketName, ObjectKey};
use crate::policy::PolicyAction;
use holdfast_common::id::TenantId;
use std::sync::Arc;

/// Something a sender may be allowed to do. Sealed: the list is this file's.
pub trait Action: sealed::Sealed {
    /// The question, with the facts of the snapshot.
    type Ask<'a>;
    /// What a grant is for.
    type Resource;
    /// In logs and metrics.
    const NAME: &'static str;
    const PERMISSION: Permission;
}

/// An action on a bucket or on an object of it: policies and ACLs have a say.
pub trait InBucket: Action {
    /// As policies call it: of what is current, and of a version that is named.
    const POLICY: [PolicyAction; 2];
    /// Which ACL opens it.
    const ACL: AclGate;
}

/// The ACL that may open an action to somebody whom neither key nor policy lets.
#[derive(Clone, Copy)]
pub enum AclGate {
    Shut,
    Bucket(fn(Opened) -> bool),
    /// The action is its owner's who owns the object, which in a bucket with ACLs may be another than the bucket's.
    Object(fn(Opened) -> bool),
}

mod sealed {
    pub trait Sealed {}
}

/// A question about the account, which only a key can ask.
pub trait AccountQuestion {
    type Resource;

    /// The resource, if the key may act there.
    ///
    /// # Errors
    /// `AccessDenied`.
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

impl AccountQuestion for AccountAsk {
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

impl AccountQuestion for NewBucketAsk<'_> {
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
#[derive(Clone, Debug, PartialEq)]
pub struct BucketTarget {
    pub bucket: Arc<BucketFacts>,
}

/// About an object.
#[derive(Clone, Debug)]
pub struct ObjectAsk<'a> {
    pub bucket: BucketAsk<'a>,
    pub key: ObjectKey,
    /// A version is named, which policies call another action.
    pub names_version: bool,
}

/// An object, existing or not, that may be acted on.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectTarget {
    pub bucket: Arc<BucketFacts>,
    pub key: ObjectKey,
}

macro_rules! account_actions {
    ($($name:ident: $ask:ty => $resource:ty, $permission:ident;)*) => {$(
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

account_actions! {
    ListBuckets: AccountAsk => VisibleBuckets, Read;
    CreateBucket: NewBucketAsk<'a> => BucketName, Admin;
}

macro_rules! bucket_actions {
    ($ask:ty => $resource:ty { $($(#[$doc:meta])* $name:ident: $permission:ident, $current:ident / $version:ident, $acl:expr;)* }) => {$(
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

        impl InBucket for $name {
            const POLICY: [PolicyAction; 2] = [PolicyAction::$current, PolicyAction::$version];
            const ACL: AclGate = $acl;
        }
    )*};
}

const SHUT: AclGate = AclGate::Shut;
const BUCKET_READ: AclGate = AclGate::Bucket(|opened| opened.read);
const BUCKET_WRITE: AclGate = AclGate::Bucket(|opened| opened.write);
const OBJECT_READ: AclGate = AclGate::Object(|opened| opened.read);
const OBJECT_SHUT: AclGate = AclGate::Object(|_| false);

bucket_actions! { BucketAsk<'a> => BucketTarget {
    DeleteBucket: Admin, DeleteBucket / DeleteBucket, SHUT;
    HeadBucket: Read, ListBucket / ListBucket, BUCKET_READ;
    ReadBucketLocation: Read, GetBucketLocation / GetBucketLocation, SHUT;
    /// ListObjects in both versions, HeadBucket, and telling that a key is not there.
    ListObjects: Read, ListBucket / ListBucket, BUCKET_READ;
    ListVersions: Read, ListBucketVersions / ListBucketVersions, BUCKET_READ;
    ListUploads: Read, ListBucketMultipartUploads / ListBucketMultipartUploads, BUCKET_READ;
    ReadVersioning: Read, GetBucketVersioning / GetBucketVersioning, SHUT;
    WriteVersioning: Admin, PutBucketVersioning / PutBucketVersioning, SHUT;
    ReadCors: Read, GetBucketCors / GetBucketCors, SHUT;
    WriteCors: Admin, PutBucketCors / PutBucketCors, SHUT;
    ReadBucketTags: Read, GetBucketTagging / GetBucketTagging, SHUT;
    WriteBucketTags: Admin, PutBucketTagging / PutBucketTagging, SHUT;
    ReadOwnership: Read, GetBucketOwnershipControls / GetBucketOwnershipControls, SHUT;
    WriteOwnership: Admin, PutBucketOwnershipControls / PutBucketOwnershipControls, SHUT;
    ReadPublicAccess: Read, GetBucketPublicAccessBlock / GetBucketPublicAccessBlock, SHUT;
    WritePublicAccess: Admin, PutBucketPublicAccessBlock / PutBucketPublicAccessBlock, SHUT;
    ReadBucketAcl: Read, GetBucketAcl / GetBucketAcl, AclGate::Bucket(|opened| opened.read_acp);
    WriteBucketAcl: Admin, PutBucketAcl / PutBucketAcl, AclGate::Bucket(|opened| opened.write_acp);
    ReadPolicy: Admin, GetBucketPolicy / GetBucketPolicy, SHUT;
    WritePolicy: Admin, PutBucketPolicy / PutBucketPolicy, SHUT;
    RemovePolicy: Admin, DeleteBucketPolicy / DeleteBucketPolicy, SHUT;
    ReadPolicyStatus: Admin, GetBucketPolicyStatus / GetBucketPolicyStatus, SHUT;
    /// A configuration that this server lacks, and so every bucket is without.
    ReadUnset: Read, GetLifecycleConfiguration / GetLifecycleConfiguration, SHUT;
} }

bucket_actions! { ObjectAsk<'a> => ObjectTarget {
    /// GetObject, HeadObject, the source of a copy.
    GetObject: Read, GetObject / GetObjectVersion, OBJECT_READ;
    ReadObjectTags: Read, GetObjectTagging / GetObjectVersionTagging, OBJECT_SHUT;
    ReadObjectAcl: Read, GetObjectAcl / GetObjectVersionAcl, AclGate::Object(|opened| opened.read_acp);
    ReadObjectAttributes: Read, GetObjectAttributes / GetObjectVersionAttributes, OBJECT_SHUT;
    /// PutObject, the target of a copy, and creating, filling and completing a multipart upload.
    PutObject: Write, PutObject / PutObject, BUCKET_WRITE;
    WriteObjectTags: Write, PutObjectTagging / PutObjectVersionTagging, OBJECT_SHUT;
    RemoveObjectTags: Write, DeleteObjectTagging / DeleteObjectVersionTagging, OBJECT_SHUT;
    WriteObjectAcl: Write, PutObjectAcl / PutObjectVersionAcl, AclGate::Object(|opened| opened.write_acp);
    /// DeleteObject, each key of a DeleteObjects.
    DeleteObject: Write, DeleteObject / DeleteObjectVersion, SHUT;
    AbortUpload: Write, AbortMultipartUpload / AbortMultipartUpload, SHUT;
    ListParts: Read, ListMultipartUploadParts / ListMultipartUploadParts, SHUT;
} }
