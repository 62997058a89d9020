//! The sub-resources of S3: which ones select an operation here, and which ones are refused by name.

use crate::error::{Code, S3Error};

use super::request::Request;

/// The sub-resource of a request that we know how to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// What selects an operation.
const KNOWN: [(&str, SubResource); 4] = [
    ("delete", SubResource::Delete),
    ("location", SubResource::Location),
    ("uploads", SubResource::Uploads),
    ("uploadId", SubResource::Upload),
];

/// What S3 has and this server lacks, on buckets and objects. Some are questions (`?acl`), some change things; all are
/// refused, because answering the plain resource instead would do something else than was asked.
pub(super) const LACKING: [&str; 37] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "updateObjectEncryption",
    "versioning",
    "versions",
    "website",
];

impl SubResource {
    /// The one sub-resource of a request.
    ///
    /// # Errors
    /// One that we lack, two at once, one twice.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, S3Error> {
        if let Some(name) = LACKING.iter().find(|name| request.has_argument(name)) {
            return Err(
                S3Error::not_implemented(format_args!("The sub-resource ?{name}")).with("SubResource", *name)
            );
        }
        let mut found = Self::None;
        for (name, sub_resource) in KNOWN {
            if request.argument(name)?.is_none() {
                continue;
            }
            if found != Self::None {
                return Err(
                    S3Error::new(Code::InvalidArgument).message("Conflicting query string parameters.")
                );
            }
            found = sub_resource;
        }
        Ok(found)
    }
}
