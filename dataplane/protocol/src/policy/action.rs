//! The actions that a bucket policy can name: those of S3 that act on a bucket or on an object.
//!
//! The list is AWS's service authorization reference of 2026, and the annotations that botocore 1.44 documents since. Those on
//! access points, jobs and accounts are left out, for no statement of a bucket policy reaches them.

use super::malformed::Malformed;
use super::pattern::{Dialect, Pattern};

/// What a resource is, as far as actions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    Bucket,
    Object,
}

macro_rules! actions {
    ($($kind:ident { $($action:ident $(= $name:literal)?,)* })*) => {
        /// An action of S3, by AWS's name without `s3:`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PolicyAction { $($($action,)*)* }

        impl PolicyAction {
            /// Every action, in the order of their discriminants.
            pub const ALL: &[Self] = &[$($(Self::$action,)*)*];

            /// AWS's name, e.g. `s3:GetObject`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($(Self::$action => actions!(@name $action $($name)?),)*)* }
            }

            /// Whether it is asked of a bucket or of an object.
            #[must_use]
            pub fn resource_kind(self) -> ResourceKind {
                match self { $($(Self::$action)|* => ResourceKind::$kind,)* }
            }
        }
    };
    (@name $action:ident $name:literal) => { $name };
    (@name $action:ident) => { concat!("s3:", stringify!($action)) };
}

actions! {
    Bucket {
        CreateBucket,
        CreateBucketMetadataTableConfiguration,
        DeleteBucket,
        DeleteBucketMetadataTableConfiguration,
        DeleteBucketPolicy,
        DeleteBucketWebsite,
        GetAccelerateConfiguration,
        GetAnalyticsConfiguration,
        GetBucketAbac,
        GetBucketAcl,
        GetBucketCors = "s3:GetBucketCORS",
        GetBucketLocation,
        GetBucketLogging,
        GetBucketMetadataTableConfiguration,
        GetBucketNotification,
        GetBucketObjectLockConfiguration,
        GetBucketOwnershipControls,
        GetBucketPolicy,
        GetBucketPolicyStatus,
        GetBucketPublicAccessBlock,
        GetBucketRequestPayment,
        GetBucketTagging,
        GetBucketVersioning,
        GetBucketWebsite,
        GetEncryptionConfiguration,
        GetIntelligentTieringConfiguration,
        GetInventoryConfiguration,
        GetLifecycleConfiguration,
        GetMetricsConfiguration,
        GetReplicationConfiguration,
        ListBucket,
        ListBucketMultipartUploads,
        ListBucketVersions,
        ListTagsForResource,
        PauseReplication,
        PutAccelerateConfiguration,
        PutAnalyticsConfiguration,
        PutBucketAbac,
        PutBucketAcl,
        PutBucketCors = "s3:PutBucketCORS",
        PutBucketLogging,
        PutBucketNotification,
        PutBucketObjectLockConfiguration,
        PutBucketOwnershipControls,
        PutBucketPolicy,
        PutBucketPublicAccessBlock,
        PutBucketRequestPayment,
        PutBucketTagging,
        PutBucketVersioning,
        PutBucketWebsite,
        PutEncryptionConfiguration,
        PutIntelligentTieringConfiguration,
        PutInventoryConfiguration,
        PutLifecycleConfiguration,
        PutMetricsConfiguration,
        PutReplicationConfiguration,
        TagResource,
        UntagResource,
        UpdateBucketMetadataAnnotationTableConfiguration,
        UpdateBucketMetadataInventoryTableConfiguration,
        UpdateBucketMetadataJournalTableConfiguration,
    }
    Object {
        AbortMultipartUpload,
        BypassGovernanceRetention,
        DeleteObject,
        DeleteObjectAnnotation,
        DeleteObjectTagging,
        DeleteObjectVersion,
        DeleteObjectVersionTagging,
        GetObject,
        GetObjectAcl,
        GetObjectAnnotation,
        GetObjectAttributes,
        GetObjectLegalHold,
        GetObjectRetention,
        GetObjectTagging,
        GetObjectTorrent,
        GetObjectVersion,
        GetObjectVersionAcl,
        GetObjectVersionAttributes,
        GetObjectVersionForReplication,
        GetObjectVersionTagging,
        GetObjectVersionTorrent,
        InitiateReplication,
        ListMultipartUploadParts,
        ListObjectAnnotations,
        ObjectOwnerOverrideToBucketOwner,
        PutObject,
        PutObjectAcl,
        PutObjectAnnotation,
        PutObjectLegalHold,
        PutObjectRetention,
        PutObjectTagging,
        PutObjectVersionAcl,
        PutObjectVersionTagging,
        ReplicateDelete,
        ReplicateObject,
        ReplicateTags,
        RestoreObject,
        UpdateObjectEncryption,
    }
}

/// A set of actions: wildcards are resolved when a policy is read, so that asking costs one bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ActionSet(u128);

const _: () = assert!(PolicyAction::ALL.len() <= u128::BITS as usize);

impl ActionSet {
    pub(super) fn all() -> Self {
        PolicyAction::ALL.iter().copied().collect()
    }

    /// What `s3:Get*` and its like name; `*` alone is all of them. Case does not matter.
    pub(super) fn named_by(text: &str) -> Result<Self, Malformed> {
        let invalid = || Malformed::new("Policy has invalid action").quoting(text);
        let lower = text.to_ascii_lowercase();
        if lower != "*" && !lower.starts_with("s3:") {
            return Err(invalid());
        }
        let pattern = Pattern::parse(&lower, Dialect::V2008)?;
        let named = |action: &PolicyAction| pattern.matches(action.name().to_ascii_lowercase().as_bytes());
        let set: Self = PolicyAction::ALL.iter().copied().filter(named).collect();
        if set == Self::default() { Err(invalid()) } else { Ok(set) }
    }

    pub(super) const fn has(self, action: PolicyAction) -> bool {
        self.0 & (1 << action as u8) != 0
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = PolicyAction> {
        PolicyAction::ALL.iter().copied().filter(move |action| self.has(*action))
    }
}

impl FromIterator<PolicyAction> for ActionSet {
    fn from_iter<I: IntoIterator<Item = PolicyAction>>(actions: I) -> Self {
        Self(actions.into_iter().fold(0, |bits, action| bits | 1 << action as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::{ActionSet, PolicyAction};

    #[track_caller]
    fn check(text: &str, expected: &[PolicyAction]) {
        let named: Vec<_> = ActionSet::named_by(text).unwrap().iter().collect();
        assert_eq!(named, expected, "{text}");
    }

    #[test]
    fn names() {
        check("s3:GetObject", &[PolicyAction::GetObject]);
        check("S3:getobject", &[PolicyAction::GetObject]);
        check("s3:getbucketcors", &[PolicyAction::GetBucketCors]);
        check("s3:Get?bject", &[PolicyAction::GetObject]);
        check("s3:*Uploads", &[PolicyAction::ListBucketMultipartUploads]);
        check("s3:*", PolicyAction::ALL);
        check("*", PolicyAction::ALL);
        assert_eq!(PolicyAction::PutBucketCors.name(), "s3:PutBucketCORS");
    }

    #[test]
    fn names_of_nothing() {
        for text in [
            "",
            "GetObject",
            "s3:",
            "s3:Fly",
            "s3:GetObject ",
            "ec2:*",
            "s3",
            "**",
            "s?:GetObject",
            "*:GetObject",
        ] {
            assert!(ActionSet::named_by(text).is_err(), "{text}");
        }
    }
}
