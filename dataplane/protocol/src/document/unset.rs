//! What GET of a configuration answers for a bucket that never had it. Terraform reads them all.
//!
//! One table. The names of its documents are those that S3 sends, which its reference gets wrong in places. Only
//! `encryption` answers otherwise than S3, where every object is encrypted: here none is, and the code says so.

use super::ownership::ObjectOwnership;
use super::public_access::PublicAccessBlock;
use super::versioning::VersioningStatus;
use crate::error::{Code, S3Error};
use crate::xml::writer::XmlWriter;

/// The answer to GET `?sub_resource`: a body with 200, or an error.
#[derive(Clone, Copy, Debug)]
pub enum Unset {
    /// A root with nothing in it.
    Empty(&'static str),
    /// A root with one element in it.
    Says(&'static str, &'static str, &'static str),
    /// One of this group's own documents, at its default.
    Default(fn() -> Vec<u8>),
    Missing(Code),
}

/// Sorted by name.
const BUCKET: [(&str, Unset); 23] = [
    ("abac", Unset::Says("AbacStatus", "Status", "Disabled")),
    ("accelerate", Unset::Empty("AccelerateConfiguration")),
    ("analytics", Unset::Says("ListBucketAnalyticsConfigurationsResult", "IsTruncated", "false")),
    ("cors", Unset::Missing(Code::NoSuchCORSConfiguration)),
    ("encryption", Unset::Missing(Code::ServerSideEncryptionConfigurationNotFoundError)),
    (
        "intelligent-tiering",
        Unset::Says("ListIntelligentTieringConfigurationsResult", "IsTruncated", "false"),
    ),
    ("inventory", Unset::Says("ListInventoryConfigurationsResult", "IsTruncated", "false")),
    ("lifecycle", Unset::Missing(Code::NoSuchLifecycleConfiguration)),
    ("logging", Unset::Empty("BucketLoggingStatus")),
    ("metadataConfiguration", Unset::Missing(Code::MetadataConfigurationNotFound)),
    ("metadataTable", Unset::Missing(Code::MetadataConfigurationNotFound)),
    ("metrics", Unset::Says("ListMetricsConfigurationsResult", "IsTruncated", "false")),
    ("notification", Unset::Empty("NotificationConfiguration")),
    ("object-lock", Unset::Missing(Code::ObjectLockConfigurationNotFoundError)),
    ("ownershipControls", Unset::Default(|| ObjectOwnership::default().to_xml())),
    ("policy", Unset::Missing(Code::NoSuchBucketPolicy)),
    ("policyStatus", Unset::Missing(Code::NoSuchBucketPolicy)),
    ("publicAccessBlock", Unset::Default(|| PublicAccessBlock::NEW_BUCKET.to_xml())),
    ("replication", Unset::Missing(Code::ReplicationConfigurationNotFoundError)),
    ("requestPayment", Unset::Says("RequestPaymentConfiguration", "Payer", "BucketOwner")),
    ("tagging", Unset::Missing(Code::NoSuchTagSet)),
    ("versioning", Unset::Default(|| VersioningStatus::to_xml(None))),
    ("website", Unset::Missing(Code::NoSuchWebsiteConfiguration)),
];

/// Those of which a bucket may have several: without `id` they are listed, with it one is asked for.
const WITH_ID: [&str; 4] = ["analytics", "intelligent-tiering", "inventory", "metrics"];

impl Unset {
    /// The answer for a sub-resource of a bucket; `id` when the query has that argument. `None` for what is not in the table.
    #[must_use]
    pub fn of_bucket(sub_resource: &str, id: bool) -> Option<Self> {
        if id && WITH_ID.contains(&sub_resource) {
            return Some(Self::Missing(Code::NoSuchConfiguration));
        }
        let at = BUCKET.binary_search_by_key(&sub_resource, |(name, _)| *name).ok()?;
        Some(BUCKET[at].1)
    }

    /// The sub-resources of the table.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUCKET.iter().map(|(name, _)| *name)
    }

    /// The body of the 200.
    ///
    /// # Errors
    /// The code that says that there is no such configuration, with the bucket's name.
    pub fn answer(self, bucket: &str) -> Result<Vec<u8>, S3Error> {
        let mut xml = XmlWriter::document();
        match self {
            Self::Empty(root) => xml.empty_root(root),
            Self::Says(root, element, text) => {
                xml.open_root(root);
                xml.text(element, text);
                xml.close(root);
            }
            Self::Default(document) => return Ok(document()),
            Self::Missing(code) => return Err(S3Error::new(code).with("BucketName", bucket)),
        }
        Ok(xml.finish())
    }

    /// GET of an object's `?retention` or `?legal-hold` in a bucket without object lock.
    #[must_use]
    pub fn object_lock_of_object() -> S3Error {
        S3Error::new(Code::InvalidRequest).message("Bucket is missing Object Lock Configuration")
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKET, Unset};
    use crate::error::Code;

    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    const XMLNS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

    #[track_caller]
    fn check(name: &str, root: &str, inner: &str) {
        let expected = match inner {
            "" => format!("{HEAD}<{root} {XMLNS}/>"),
            inner => format!("{HEAD}<{root} {XMLNS}>{inner}</{root}>"),
        };
        let body = Unset::of_bucket(name, false).expect(name).answer("b").expect(name);
        assert_eq!(String::from_utf8(body).unwrap(), expected, "{name}");
    }

    #[track_caller]
    fn missing(name: &str, id: bool, code: Code) {
        let error = Unset::of_bucket(name, id).expect(name).answer("b").expect_err(name);
        assert_eq!((error.code, error.status()), (code, 404), "{name}");
        assert_eq!(error.extra, [("BucketName", "b".to_owned())], "{name}");
    }

    #[test]
    fn some_have_a_body() {
        let listed = "<IsTruncated>false</IsTruncated>";
        check("requestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>");
        check("accelerate", "AccelerateConfiguration", "");
        check("logging", "BucketLoggingStatus", "");
        check("notification", "NotificationConfiguration", "");
        check("versioning", "VersioningConfiguration", "");
        check("abac", "AbacStatus", "<Status>Disabled</Status>");
        check("analytics", "ListBucketAnalyticsConfigurationsResult", listed);
        check("intelligent-tiering", "ListIntelligentTieringConfigurationsResult", listed);
        check("inventory", "ListInventoryConfigurationsResult", listed);
        check("metrics", "ListMetricsConfigurationsResult", listed);
        let enforced = "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>";
        check("ownershipControls", "OwnershipControls", enforced);
        let block = "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true\
                     </BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>";
        check("publicAccessBlock", "PublicAccessBlockConfiguration", block);
    }

    #[test]
    fn some_are_missing() {
        missing("cors", false, Code::NoSuchCORSConfiguration);
        missing("encryption", false, Code::ServerSideEncryptionConfigurationNotFoundError);
        missing("lifecycle", false, Code::NoSuchLifecycleConfiguration);
        missing("metadataConfiguration", false, Code::MetadataConfigurationNotFound);
        missing("metadataTable", false, Code::MetadataConfigurationNotFound);
        missing("object-lock", false, Code::ObjectLockConfigurationNotFoundError);
        missing("policy", false, Code::NoSuchBucketPolicy);
        missing("policyStatus", false, Code::NoSuchBucketPolicy);
        missing("replication", false, Code::ReplicationConfigurationNotFoundError);
        missing("tagging", false, Code::NoSuchTagSet);
        missing("website", false, Code::NoSuchWebsiteConfiguration);
        for name in super::WITH_ID {
            missing(name, true, Code::NoSuchConfiguration);
        }
        missing("tagging", true, Code::NoSuchTagSet);
    }

    #[test]
    fn the_table_is_sorted_and_knows_nothing_else() {
        assert!(BUCKET.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(Unset::names().count(), BUCKET.len());
        for name in ["", "acl", "location", "uploads", "Cors", "torrent", "metadataAnnotationTable"] {
            assert!(Unset::of_bucket(name, false).is_none(), "{name}");
        }
        assert_eq!(Unset::object_lock_of_object().status(), 400);
    }
}
