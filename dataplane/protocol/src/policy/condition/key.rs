//! The condition keys, and the actions whose requests carry them.

use crate::policy::action::PolicyAction;
use crate::policy::malformed::Malformed;

/// A key that a condition may ask for: the list is the conformance table's, all else is refused when a policy is put, for
/// a condition on what is never there would hold or fail for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum ConditionKey {
    SourceIp,
    SecureTransport,
    PrincipalArn,
    Referer,
    UserAgent,
    Prefix,
    Delimiter,
    MaxKeys,
    Acl,
    ServerSideEncryption,
    /// With the tag's key.
    ExistingObjectTag(Box<str>),
    RequestObjectTag(Box<str>),
    /// The one key with many values.
    RequestObjectTagKeys,
    VersionId,
}

impl ConditionKey {
    /// Reads a name. Its case does not matter.
    pub(in crate::policy) fn parse(name: &str) -> Result<Self, Malformed> {
        let (family, tag) = name.split_once('/').map_or((name, None), |(family, tag)| (family, Some(tag)));
        let key = match (family.to_ascii_lowercase().as_str(), tag) {
            ("aws:sourceip", None) => Self::SourceIp,
            ("aws:securetransport", None) => Self::SecureTransport,
            ("aws:principalarn", None) => Self::PrincipalArn,
            ("aws:referer", None) => Self::Referer,
            ("aws:useragent", None) => Self::UserAgent,
            ("s3:prefix", None) => Self::Prefix,
            ("s3:delimiter", None) => Self::Delimiter,
            ("s3:max-keys", None) => Self::MaxKeys,
            ("s3:x-amz-acl", None) => Self::Acl,
            ("s3:x-amz-server-side-encryption", None) => Self::ServerSideEncryption,
            ("s3:requestobjecttagkeys", None) => Self::RequestObjectTagKeys,
            ("s3:versionid", None) => Self::VersionId,
            ("s3:existingobjecttag", Some(tag)) if !tag.is_empty() => Self::ExistingObjectTag(tag.into()),
            ("s3:requestobjecttag", Some(tag)) if !tag.is_empty() => Self::RequestObjectTag(tag.into()),
            _ => return Err(Malformed::new("Policy has an invalid condition key").quoting(name)),
        };
        Ok(key)
    }

    /// Whether requests for the action carry the key (AWS's service authorization reference).
    pub(in crate::policy) fn applies_to(&self, action: PolicyAction) -> bool {
        use PolicyAction as A;
        match self {
            Self::SourceIp | Self::SecureTransport | Self::PrincipalArn | Self::Referer | Self::UserAgent => {
                true
            }
            Self::Prefix | Self::Delimiter | Self::MaxKeys => {
                matches!(action, A::ListBucket | A::ListBucketVersions)
            }
            Self::Acl => matches!(
                action,
                A::PutObject
                    | A::PutObjectAcl
                    | A::PutObjectVersionAcl
                    | A::CreateBucket
                    | A::PutBucketAcl
                    | A::BypassGovernanceRetention
            ),
            Self::ServerSideEncryption => matches!(
                action,
                A::PutObject | A::ReplicateObject | A::UpdateObjectEncryption | A::BypassGovernanceRetention
            ),
            Self::RequestObjectTag(_) | Self::RequestObjectTagKeys => matches!(
                action,
                A::PutObject
                    | A::PutObjectTagging
                    | A::PutObjectVersionTagging
                    | A::BypassGovernanceRetention
            ),
            Self::ExistingObjectTag(_) => has_tags(action),
            Self::VersionId => names_version(action),
        }
    }
}

/// Reads, and changes of what hangs on an object. Not those that replace or delete it: AWS refuses such a policy.
fn has_tags(action: PolicyAction) -> bool {
    use PolicyAction as A;
    matches!(
        action,
        A::GetObject
            | A::GetObjectVersion
            | A::GetObjectAcl
            | A::GetObjectVersionAcl
            | A::GetObjectAttributes
            | A::GetObjectVersionAttributes
            | A::GetObjectTagging
            | A::GetObjectVersionTagging
            | A::PutObjectAcl
            | A::PutObjectVersionAcl
            | A::PutObjectTagging
            | A::PutObjectVersionTagging
            | A::DeleteObjectTagging
            | A::DeleteObjectVersionTagging
    )
}

fn names_version(action: PolicyAction) -> bool {
    use PolicyAction as A;
    matches!(
        action,
        A::GetObjectVersion
            | A::GetObjectVersionAcl
            | A::GetObjectVersionAttributes
            | A::GetObjectVersionTagging
            | A::GetObjectVersionTorrent
            | A::PutObjectVersionAcl
            | A::PutObjectVersionTagging
            | A::DeleteObjectVersion
            | A::DeleteObjectVersionTagging
    )
}
