//! What buckets and objects are told: which document, by which operation, with which body.

use crate::document::acl::{AclHeaders, AclRequest, AclResource};
use crate::document::ownership::ObjectOwnership;
use crate::error::S3Error;
use crate::limits;

use super::request::Request;
use super::{BodyClaims, VersionSelector};

/// A document of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDocument {
    Acl,
    Cors,
    OwnershipControls,
    Policy,
    PublicAccessBlock,
    Tagging,
    Versioning,
}

impl BucketDocument {
    /// The operations on it, as AWS calls them: get, put, delete.
    pub(super) fn operation_names(self) -> [&'static str; 3] {
        match self {
            Self::Acl => ["GetBucketAcl", "PutBucketAcl", ""],
            Self::Cors => ["GetBucketCors", "PutBucketCors", "DeleteBucketCors"],
            Self::OwnershipControls => {
                ["GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls"]
            }
            Self::Policy => ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"],
            Self::PublicAccessBlock => {
                ["GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock"]
            }
            Self::Tagging => ["GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging"],
            Self::Versioning => ["GetBucketVersioning", "PutBucketVersioning", ""],
        }
    }

    /// A bucket always has an ACL, and versioning once enabled can only be suspended.
    pub(super) fn can_be_removed(self) -> bool {
        !matches!(self, Self::Acl | Self::Versioning)
    }

    pub(super) fn body_bytes_max(self) -> usize {
        match self {
            Self::Acl => limits::ACL_BODY_BYTES_MAX,
            Self::Cors => limits::CORS_BODY_BYTES_MAX,
            Self::Policy => limits::BUCKET_POLICY_BODY_BYTES_MAX,
            Self::Tagging => limits::TAGGING_BODY_BYTES_MAX,
            Self::OwnershipControls | Self::PublicAccessBlock | Self::Versioning => {
                limits::SMALL_DOCUMENT_BODY_BYTES_MAX
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct PutDocumentInput {
    pub document: BucketDocument,
    pub body: BodyClaims,
    /// Of PutBucketAcl.
    pub acl: AclFields,
}

#[derive(Clone, Debug)]
pub struct PutTagsInput {
    pub version: VersionSelector,
    pub body: BodyClaims,
}

#[derive(Clone, Debug)]
pub struct PutAclInput {
    pub version: VersionSelector,
    pub body: BodyClaims,
    pub acl: AclFields,
}

#[derive(Clone, Debug)]
pub struct CreateBucketInput {
    pub body: BodyClaims,
    pub acl: Option<AclRequest>,
    /// `x-amz-object-ownership`
    pub ownership: Option<ObjectOwnership>,
}

/// `x-amz-acl` and `x-amz-grant-*`, as sent.
#[derive(Clone, Debug, Default)]
pub struct AclFields {
    acl: Option<String>,
    grant_full_control: Option<String>,
    grant_read: Option<String>,
    grant_write: Option<String>,
    grant_read_acp: Option<String>,
    grant_write_acp: Option<String>,
}

impl PutDocumentInput {
    pub(super) fn read(request: &Request<'_>, document: BucketDocument) -> Result<Self, S3Error> {
        let acl = match document {
            BucketDocument::Acl => AclFields::read(request)?,
            _ => AclFields::default(),
        };
        Ok(Self { document, body: BodyClaims::read(request)?, acl })
    }
}

impl PutTagsInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        Ok(Self { version: VersionSelector::read(request)?, body: BodyClaims::read(request)? })
    }
}

impl PutAclInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        Ok(Self {
            version: VersionSelector::read(request)?,
            body: BodyClaims::read(request)?,
            acl: AclFields::read(request)?,
        })
    }
}

impl CreateBucketInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let ownership = request.text("x-amz-object-ownership")?;
        Ok(Self {
            body: BodyClaims::read(request)?,
            acl: AclFields::read(request)?.of_new(AclResource::Bucket)?,
            ownership: ownership.as_deref().map(ObjectOwnership::parse_header).transpose()?,
        })
    }
}

impl AclFields {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        Ok(Self {
            acl: request.text("x-amz-acl")?,
            grant_full_control: request.text("x-amz-grant-full-control")?,
            grant_read: request.text("x-amz-grant-read")?,
            grant_write: request.text("x-amz-grant-write")?,
            grant_read_acp: request.text("x-amz-grant-read-acp")?,
            grant_write_acp: request.text("x-amz-grant-write-acp")?,
        })
    }

    /// As the parser of ACLs takes them.
    #[must_use]
    pub fn headers(&self) -> AclHeaders<'_> {
        AclHeaders {
            acl: self.acl.as_deref(),
            grant_full_control: self.grant_full_control.as_deref(),
            grant_read: self.grant_read.as_deref(),
            grant_write: self.grant_write.as_deref(),
            grant_read_acp: self.grant_read_acp.as_deref(),
            grant_write_acp: self.grant_write_acp.as_deref(),
        }
    }

    /// What they ask for something that is being made.
    pub(super) fn of_new(&self, of: AclResource) -> Result<Option<AclRequest>, S3Error> {
        AclRequest::of_headers(&self.headers(), of)
    }
}
