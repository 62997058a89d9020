//! The sub-resources of S3: which ones select an operation here, and which ones are refused by name.

use crate::document::unset::Unset;
use crate::error::{Code, S3Error};
use crate::http::head::Method;

use super::BucketDocument;
use super::request::Request;

/// The sub-resource of a request that we know how to serve.
#[derive(Clone, Copy, Debug)]
pub(super) enum SubResource {
    None,
    /// `?delete`
    Delete,
    /// `?location`
    Location,
    /// `?uploads`
    Uploads,
    /// `?uploadId=`, with `partNumber=` for a part
    Upload,
    /// `?versions`
    Versions,
    /// `?attributes`
    Attributes,
    /// `?policyStatus`
    PolicyStatus,
    /// What a bucket is told; of objects too: `?tagging`, `?acl`.
    Document(BucketDocument),
    /// A question about a configuration that no bucket here ever has.
    Unset(Unset),
}

/// What selects an operation.
const KNOWN: [(&str, SubResource); 14] = [
    ("acl", SubResource::Document(BucketDocument::Acl)),
    ("attributes", SubResource::Attributes),
    ("cors", SubResource::Document(BucketDocument::Cors)),
    ("delete", SubResource::Delete),
    ("location", SubResource::Location),
    ("ownershipControls", SubResource::Document(BucketDocument::OwnershipControls)),
    ("policy", SubResource::Document(BucketDocument::Policy)),
    ("policyStatus", SubResource::PolicyStatus),
    ("publicAccessBlock", SubResource::Document(BucketDocument::PublicAccessBlock)),
    ("tagging", SubResource::Document(BucketDocument::Tagging)),
    ("uploads", SubResource::Uploads),
    ("uploadId", SubResource::Upload),
    ("versioning", SubResource::Document(BucketDocument::Versioning)),
    ("versions", SubResource::Versions),
];

/// What S3 has and this server lacks, on buckets and objects. Some are questions (`?lifecycle`), some change things; all that
/// is not a question about a bucket is refused, because answering the plain resource instead would do something else than was
/// asked.
pub(super) const LACKING: [&str; 28] = [
    "abac",
    "accelerate",
    "analytics",
    "annotation",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "torrent",
    "updateObjectEncryption",
    "website",
];

impl SubResource {
    /// The one sub-resource of a request; `of_bucket`: it names a bucket and no key.
    ///
    /// # Errors
    /// One that we lack, two at once, one twice.
    pub(super) fn of(request: &Request<'_>, of_bucket: bool) -> Result<Self, S3Error> {
        if let Some(name) = LACKING.iter().find(|name| request.has_argument(name)) {
            let asks = of_bucket && request.method() == Method::Get;
            return match Unset::of_bucket(name, request.has_argument("id")).filter(|_| asks) {
                Some(unset) => Ok(Self::Unset(unset)),
                None => Err(S3Error::not_implemented(format_args!("The sub-resource ?{name}"))
                    .with("SubResource", *name)),
            };
        }
        let mut found = Self::None;
        for (name, sub_resource) in KNOWN {
            if request.argument(name)?.is_none() {
                continue;
            }
            if !matches!(found, Self::None) {
                return Err(
                    S3Error::new(Code::InvalidArgument).message("Conflicting query string parameters.")
                );
            }
            found = sub_resource;
        }
        Ok(found)
    }
}
