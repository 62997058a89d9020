//! A request head becomes one typed operation, once: whatever comes later reads fields, never headers or queries.
//!
//! `route` is exhaustive over method, presence of bucket and key, and sub-resource. What S3 has and we lack is refused with
//! `NotImplemented` by name, never passed over: a stored configuration that nobody enforces, or a header that nobody
//! honours, would be a lie. Arguments that nobody knows (`x-id=...`) are ignored, as S3 does.

use holdfast_common::wire;

use crate::document::unset::Unset;
use crate::error::{Code, S3Error};
use crate::form::Boundary;
use crate::http::head::{Method, RequestHead};
use crate::limits;
use crate::name::{BucketName, ObjectKey};

mod addressing;
mod attributes;
pub(crate) mod body;
mod checksum_mode;
mod complete;
mod configuration;
mod copy;
mod facts;
mod integrity;
mod list;
pub(crate) mod metadata;
mod multipart;
mod object;
mod part;
pub(crate) mod request;
mod subresource;
mod version;
mod versions;

pub use addressing::Addressing;
pub use attributes::{GetObjectAttributesInput, ObjectAttributes};
pub use body::BodyClaims;
pub use checksum_mode::{checksum_headers, part_at};
pub use configuration::{
    AclFields, BucketDocument, CreateBucketInput, PutAclInput, PutDocumentInput, PutTagsInput,
};
pub use copy::{CopyObjectInput, CopySource, UploadPartCopyInput};
pub use facts::{RequestFacts, cors_request};
pub use list::{
    Dialect, ListBucketsInput, ListObjectsInput, ListPartsInput, ListUploadsInput, decode_token, encode_token,
};
pub use metadata::CONTENT_TYPE_DEFAULT;
pub use multipart::{
    CompleteInput, CreateUploadInput, ExpectedChecksum, UploadPartInput, UploadRef, checksum_kind_name,
};
pub use object::{
    DeleteObjectInput, GetObjectInput, PutObjectInput, ResponseOverrides, Selection, etag_condition,
};
pub use part::PartChecksums;
pub use version::{VersionId, VersionIdError, VersionSelector};
pub use versions::ListObjectVersionsInput;

use request::Request;
use subresource::SubResource;

/// What is asked, of what.
#[derive(Clone, Debug)]
pub struct Routed {
    /// Present for every operation but `ListBuckets`.
    pub bucket: Option<BucketName>,
    /// Present for every operation on an object or upload.
    pub key: Option<ObjectKey>,
    pub operation: Operation,
    /// `x-amz-expected-bucket-owner`: the operation must refuse when the bucket's owner is another.
    pub expected_bucket_owner: Option<String>,
}

/// Every operation this server knows, with its input. Large inputs are boxed, so that an `Operation` moves cheaply.
#[derive(Clone, Debug)]
pub enum Operation {
    ListBuckets(ListBucketsInput),
    CreateBucket(Box<CreateBucketInput>),
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    ListObjects(ListObjectsInput),
    ListMultipartUploads(ListUploadsInput),
    DeleteObjects(BodyClaims),
    /// With the boundary of its form, which says the rest.
    PostObject(Boundary),
    PutObject(Box<PutObjectInput>),
    CopyObject(Box<CopyObjectInput>),
    GetObject(Box<GetObjectInput>),
    HeadObject(Box<GetObjectInput>),
    DeleteObject(DeleteObjectInput),
    CreateMultipartUpload(Box<CreateUploadInput>),
    UploadPart(UploadPartInput),
    UploadPartCopy(Box<UploadPartCopyInput>),
    CompleteMultipartUpload(Box<CompleteInput>),
    AbortMultipartUpload(UploadRef),
    ListParts(ListPartsInput),
    ListObjectVersions(ListObjectVersionsInput),
    GetObjectAttributes(GetObjectAttributesInput),
    GetObjectTagging(VersionSelector),
    PutObjectTagging(PutTagsInput),
    DeleteObjectTagging(VersionSelector),
    GetObjectAcl(VersionSelector),
    PutObjectAcl(Box<PutAclInput>),
    /// GetBucketVersioning, GetBucketCors and so on.
    GetBucketDocument(BucketDocument),
    PutBucketDocument(Box<PutDocumentInput>),
    DeleteBucketDocument(BucketDocument),
    GetBucketPolicyStatus,
    /// What GET says of a configuration that no bucket ever had.
    GetUnset(Unset),
    /// OPTIONS of a browser.
    Preflight,
}

impl Operation {
    /// AWS's name of it, for metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ListBuckets(_) => "ListBuckets",
            Self::CreateBucket(_) => "CreateBucket",
            Self::HeadBucket => "HeadBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::ListObjects(input) if input.is_v2() => "ListObjectsV2",
            Self::ListObjects(_) => "ListObjects",
            Self::ListMultipartUploads(_) => "ListMultipartUploads",
            Self::DeleteObjects(_) => "DeleteObjects",
            Self::PostObject(_) => "PostObject",
            Self::PutObject(_) => "PutObject",
            Self::CopyObject(_) => "CopyObject",
            Self::GetObject(_) => "GetObject",
            Self::HeadObject(_) => "HeadObject",
            Self::DeleteObject(_) => "DeleteObject",
            Self::CreateMultipartUpload(_) => "CreateMultipartUpload",
            Self::UploadPart(_) => "UploadPart",
            Self::UploadPartCopy(_) => "UploadPartCopy",
            Self::CompleteMultipartUpload(_) => "CompleteMultipartUpload",
            Self::AbortMultipartUpload(_) => "AbortMultipartUpload",
            Self::ListParts(_) => "ListParts",
            Self::ListObjectVersions(_) => "ListObjectVersions",
            Self::GetObjectAttributes(_) => "GetObjectAttributes",
            Self::GetObjectTagging(_) => "GetObjectTagging",
            Self::PutObjectTagging(_) => "PutObjectTagging",
            Self::DeleteObjectTagging(_) => "DeleteObjectTagging",
            Self::GetObjectAcl(_) => "GetObjectAcl",
            Self::PutObjectAcl(_) => "PutObjectAcl",
            Self::GetBucketDocument(document) => document.operation_names()[0],
            Self::PutBucketDocument(input) => input.document.operation_names()[1],
            Self::DeleteBucketDocument(document) => document.operation_names()[2],
            Self::GetBucketPolicyStatus => "GetBucketPolicyStatus",
            Self::GetUnset(_) => "GetUnsetConfiguration",
            Self::Preflight => "Preflight",
        }
    }

    /// Largest body that is read into memory before it is acted on; `None` where the body is the object's bytes.
    #[must_use]
    pub fn control_body_bytes_max(&self) -> Option<usize> {
        match self {
            Self::PostObject(_) | Self::PutObject(_) | Self::UploadPart(_) => None,
            Self::CreateBucket(_) => Some(limits::CREATE_BUCKET_BODY_BYTES_MAX),
            Self::DeleteObjects(_) => Some(limits::DELETE_BODY_BYTES_MAX),
            Self::CompleteMultipartUpload(_) => Some(limits::COMPLETE_BODY_BYTES_MAX),
            Self::PutObjectTagging(_) => Some(limits::TAGGING_BODY_BYTES_MAX),
            Self::PutObjectAcl(_) => Some(limits::ACL_BODY_BYTES_MAX),
            Self::PutBucketDocument(input) => Some(input.document.body_bytes_max()),
            _ => Some(0),
        }
    }

    /// What the client says about the body it sends, for operations that have one.
    #[must_use]
    pub fn body(&self) -> Option<&BodyClaims> {
        match self {
            Self::PutObject(input) => Some(&input.body),
            Self::UploadPart(input) => Some(&input.body),
            Self::CreateBucket(input) => Some(&input.body),
            Self::DeleteObjects(body) => Some(body),
            Self::PutObjectTagging(input) => Some(&input.body),
            Self::PutObjectAcl(input) => Some(&input.body),
            Self::PutBucketDocument(input) => Some(&input.body),
            Self::CompleteMultipartUpload(input) => Some(&input.body),
            _ => None,
        }
    }
}

/// Reads a head. Nothing here depends on who asks or on what exists.
///
/// # Errors
/// The S3 error to answer: a name against the rules, an argument that makes no sense, an operation we lack.
pub fn route(head: &RequestHead, addressing: &Addressing) -> Result<Routed, S3Error> {
    let request = Request::new(head)?;
    let (bucket, key) = addressing.locate(head)?;
    if head.method() == Method::Options {
        return Ok(Routed { bucket, key, operation: Operation::Preflight, expected_bucket_owner: None });
    }
    let sub_resource = SubResource::of(&request, bucket.is_some() && key.is_none())?;
    request.refuse_unsupported()?;
    let operation = match (&bucket, &key) {
        (None, _) => service_operation(&request, sub_resource)?,
        (Some(_), None) => bucket_operation(&request, sub_resource)?,
        (Some(bucket), Some(key)) => object_operation(&request, sub_resource, bucket, key)?,
    };
    let expected_bucket_owner = request.text("x-amz-expected-bucket-owner")?;
    let routed = Routed { bucket, key, operation, expected_bucket_owner };
    routed.refuse_long_control_body()?;
    Ok(routed)
}

fn service_operation(request: &Request<'_>, sub_resource: SubResource) -> Result<Operation, S3Error> {
    match (request.method(), sub_resource) {
        (Method::Get, SubResource::None) => Ok(Operation::ListBuckets(ListBucketsInput::read(request)?)),
        _ => Err(method_not_allowed(request, "SERVICE")),
    }
}

fn bucket_operation(request: &Request<'_>, sub_resource: SubResource) -> Result<Operation, S3Error> {
    use SubResource as S;
    if request.has_argument("versionId") {
        return Err(object::no_version_here(request)?);
    }
    Ok(match (request.method(), sub_resource) {
        (Method::Get, S::None) => Operation::ListObjects(ListObjectsInput::read(request)?),
        (Method::Get, S::Location) => Operation::GetBucketLocation,
        (Method::Get, S::Uploads) => Operation::ListMultipartUploads(ListUploadsInput::read(request)?),
        (Method::Head, S::None) => Operation::HeadBucket,
        (Method::Put, S::None) => Operation::CreateBucket(Box::new(CreateBucketInput::read(request)?)),
        (Method::Delete, S::None) => Operation::DeleteBucket,
        (Method::Get, S::Versions) => Operation::ListObjectVersions(ListObjectVersionsInput::read(request)?),
        (Method::Get, S::PolicyStatus) => Operation::GetBucketPolicyStatus,
        (Method::Get, S::Unset(unset)) => Operation::GetUnset(unset),
        (Method::Get, S::Document(document)) => Operation::GetBucketDocument(document),
        (Method::Put, S::Document(document)) => {
            Operation::PutBucketDocument(Box::new(PutDocumentInput::read(request, document)?))
        }
        (Method::Delete, S::Document(document)) if document.can_be_removed() => {
            Operation::DeleteBucketDocument(document)
        }
        (Method::Post, S::Delete) => {
            object::refuse_bypass(request)?;
            Operation::DeleteObjects(BodyClaims::read(request)?)
        }
        (Method::Post, S::None) => Operation::PostObject(Boundary::of(request.head())?),
        _ => return Err(method_not_allowed(request, "BUCKET")),
    })
}

fn object_operation(
    request: &Request<'_>,
    sub_resource: SubResource,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Operation, S3Error> {
    use SubResource as S;
    let copies = request.header("x-amz-copy-source")?.is_some();
    Ok(match (request.method(), sub_resource) {
        (Method::Get, S::None) => Operation::GetObject(Box::new(GetObjectInput::read(request)?)),
        (Method::Get, S::Upload) => Operation::ListParts(ListPartsInput::read(request)?),
        (Method::Head, S::None) => Operation::HeadObject(Box::new(GetObjectInput::read(request)?)),
        (Method::Put, S::None) if copies => {
            Operation::CopyObject(Box::new(CopyObjectInput::read(request, bucket, key)?))
        }
        (Method::Put, S::None) => Operation::PutObject(Box::new(PutObjectInput::read(request)?)),
        (Method::Put, S::Upload) if copies => {
            Operation::UploadPartCopy(Box::new(UploadPartCopyInput::read(request)?))
        }
        (Method::Put, S::Upload) => Operation::UploadPart(UploadPartInput::read(request)?),
        (Method::Post, S::Uploads) => {
            Operation::CreateMultipartUpload(Box::new(CreateUploadInput::read(request)?))
        }
        (Method::Post, S::Upload) => {
            Operation::CompleteMultipartUpload(Box::new(CompleteInput::read(request)?))
        }
        (Method::Delete, S::None) => Operation::DeleteObject(DeleteObjectInput::read(request)?),
        (Method::Delete, S::Upload) => Operation::AbortMultipartUpload(UploadRef::read(request)?),
        (Method::Get, S::Attributes) => {
            Operation::GetObjectAttributes(GetObjectAttributesInput::read(request)?)
        }
        (Method::Get, S::Document(BucketDocument::Tagging)) => {
            Operation::GetObjectTagging(VersionSelector::read(request)?)
        }
        (Method::Put, S::Document(BucketDocument::Tagging)) => {
            Operation::PutObjectTagging(PutTagsInput::read(request)?)
        }
        (Method::Delete, S::Document(BucketDocument::Tagging)) => {
            Operation::DeleteObjectTagging(VersionSelector::read(request)?)
        }
        (Method::Get, S::Document(BucketDocument::Acl)) => {
            Operation::GetObjectAcl(VersionSelector::read(request)?)
        }
        (Method::Put, S::Document(BucketDocument::Acl)) => {
            Operation::PutObjectAcl(Box::new(PutAclInput::read(request)?))
        }
        _ => return Err(method_not_allowed(request, "OBJECT")),
    })
}

fn method_not_allowed(request: &Request<'_>, resource_type: &'static str) -> S3Error {
    S3Error::new(Code::MethodNotAllowed)
        .with("Method", request.method_str())
        .with("ResourceType", resource_type)
}

impl Routed {
    /// A control body that says it is too long is refused before a byte of it is read.
    fn refuse_long_control_body(&self) -> Result<(), S3Error> {
        let (Some(bytes_max), Some(body)) = (self.operation.control_body_bytes_max(), self.operation.body())
        else {
            return Ok(());
        };
        if body.size.is_some_and(|bytes| bytes > bytes_max as u64) {
            return Err(S3Error::new(Code::MaxMessageLengthExceeded)
                .with("MaxMessageLengthBytes", bytes_max.to_string())
                .closing());
        }
        Ok(())
    }
}

/// An ETag as the authority compares it: without quotes; `*` stays. A weak one keeps its mark and so equals none: it is no
/// proof that the bytes are the same (RFC 9110, 13.1.1).
fn etag_of(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).to_owned()
}

/// Conditions of a write, decided inside the commit. S3 has `If-None-Match: *` and `If-Match: <etag>` here, nothing else.
fn write_conditions(request: &Request<'_>) -> Result<wire::Precondition, S3Error> {
    for name in [
        "if-modified-since",
        "if-unmodified-since",
        "x-amz-if-match-size",
        "x-amz-if-match-last-modified-time",
    ] {
        if request.header(name)?.is_some() {
            return Err(
                S3Error::not_implemented(format_args!("The header {name} on a write")).with("Header", name)
            );
        }
    }
    let mut when = wire::Precondition::default();
    if let Some(text) = request.text("if-none-match")? {
        if text.trim() != "*" {
            return Err(S3Error::not_implemented("If-None-Match with an ETag on a write")
                .with("Header", "If-None-Match"));
        }
        when.absent = true;
    }
    if let Some(text) = request.text("if-match")? {
        if text.contains(',') || when.absent {
            return Err(S3Error::not_implemented("More than one ETag condition on a write")
                .with("Header", "If-Match"));
        }
        when.if_match = etag_of(&text);
        if when.if_match.is_empty() {
            return Err(S3Error::invalid_argument("If-Match", text, "The ETag of If-Match is empty."));
        }
    }
    Ok(when)
}

#[cfg(test)]
mod tests;
